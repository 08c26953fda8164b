"""The analytical model of GPU-like machines: tiles, waves, memory levels, launches; one module for each family."""
