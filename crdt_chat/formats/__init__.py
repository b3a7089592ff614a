"""How else it is written: other encodings of a page, pure functions."""
