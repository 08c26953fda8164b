"""Readers of other people's models: each turns a file into a module of the IR."""
