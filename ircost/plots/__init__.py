"""Drawings. They need matplotlib: pip install 'ircost[plot]'."""
