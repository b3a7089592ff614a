"""Ids of annotations and comments (design 3): a time and randomness, both of which come in as arguments."""

NOISE_BYTES = 10
"""Random bytes that an id takes."""


def uuid7(now: int, noise: bytes) -> str:
    """A UUID version 7 (RFC 9562, 5.7) of this time in ms: ids of one author sort as they were made."""
    raw = bytearray((now & (1 << 48) - 1).to_bytes(6, "big") + noise)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
