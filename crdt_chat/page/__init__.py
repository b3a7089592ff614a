"""What is said: the page document, its gate and what its changes mean. Pure: no I/O, clock or ids."""
