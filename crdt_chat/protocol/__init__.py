"""How it is said: sans-IO codecs and state machines for the wire."""
