"""Rewrites, one file per concept, and the pipelines made of them."""
