"""Imports every family of emitters; each registers its own."""
