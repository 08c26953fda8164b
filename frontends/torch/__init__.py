"""Modules of PyTorch, by way of torch.export."""
