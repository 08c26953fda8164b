"""Target machines as data, and what is emitted for them."""
