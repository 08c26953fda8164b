"""How long, how much energy, what limits it: models that answer for a table of kernels."""
