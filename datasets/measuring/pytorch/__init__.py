"""Kernels of PyTorch, on GPUs and CPUs. Needs the extra ``torch``."""
