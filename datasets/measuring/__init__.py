"""Kernels timed on the machine at hand, as tables of measurements."""
