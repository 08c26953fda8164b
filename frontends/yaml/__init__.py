"""Networks written by hand, as YAML: layers, blocks, repeats."""
