"""The ops, each declared once, in the file of its kin."""
