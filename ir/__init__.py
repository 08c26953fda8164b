"""The tensor IR: types, graph, ops, text format, verifier, rewriting, reference interpreter."""
