"""WebSocket frames (RFC 6455): a client's taken apart strictly and within a limit, ours encoded.

No extensions are spoken. Our own, since an idle connection has to cost little: of one that says nothing
only an empty buffer is kept.
"""

from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import (  # type: ignore[attr-defined]  # apply_mask: in C where that is built
    Close,
    apply_mask,
)

from crdt_chat.errors import BadFrame, BadText, TooLarge

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OPCODES: Final = frozenset((CONTINUED, TEXT, BINARY, CLOSE, PING, PONG))
CONTROL_BYTES: Final = 125
"""The most that a control frame may carry."""


class Incoming:
    """What comes from one client. limit: bytes of a message, looked at in the head of each frame."""

    __slots__ = ("_buffer", "_opcode", "_parts", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._opcode = CONTINUED
        # One growing buffer for the parts of a message: a list of them would cost many times its bytes.
        self._parts: bytearray | None = None

    def add(self, data: bytes) -> None:
        """Bytes have come; take the messages out with `next`."""
        self._buffer += data

    @property
    def incomplete(self) -> int:
        """Bytes in memory that are no whole message yet."""
        return len(self._buffer) + (0 if self._parts is None else len(self._parts))

    def next(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next whole message or control frame; None: more has to come.

        Raises BadFrame and TooLarge; the connection has failed then, and nothing more may be read.
        """
        while (frame := self._frame()) is not None:
            first, payload = frame
            opcode = first & 0x0F
            if opcode and first & 0x80:
                return opcode, payload
            if self._parts is None:
                self._opcode, self._parts = opcode, bytearray(payload)
                continue
            self._parts += payload
            if first & 0x80:
                payload, self._parts = bytes(self._parts), None
                return self._opcode, payload
        return None

    def _frame(self) -> tuple[int, bytes] | None:
        """The first byte and the unmasked payload of the next frame, if it is there as a whole."""
        buffer = self._buffer
        have = len(buffer)
        if have < 2:
            return None
        first, second = buffer[0], buffer[1]
        size, at = second & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            if have < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
        self._check(first, masked=second > 0x7F, size=size)
        start, end = at + 4, at + 4 + size
        if have < end:
            return None
        payload = apply_mask(buffer[start:end], buffer[at:start])
        del buffer[:end]
        return first, payload

    def _check(self, first: int, *, masked: bool, size: int) -> None:
        """Refuse at its head what may not come now. Raises BadFrame, TooLarge."""
        opcode = first & 0x0F
        if first & 0x70 or opcode not in OPCODES or not masked:
            raise BadFrame("reserved bits, an unknown opcode or no mask")
        if opcode >= CLOSE:
            if size > CONTROL_BYTES or not first & 0x80:
                raise BadFrame("a control frame is short and in one piece")
            return
        parts = self._parts
        if (parts is None) is (opcode == CONTINUED):
            raise BadFrame("a part without its beginning, or a message within another")
        if size + (0 if parts is None else len(parts)) > self.limit:
            raise TooLarge("a frame over the limit")


def closing(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame; 1005 stands for none. Raises BadFrame, BadText."""
    try:
        close = Close.parse(payload)
    except ProtocolError as error:
        raise BadFrame("a close frame with a code that there is not") from error
    except UnicodeDecodeError as error:
        raise BadText("a reason that is not UTF-8") from error
    return int(close.code), close.reason


def encode(opcode: int, payload: bytes) -> bytes:
    """`payload` as one whole frame of a server: not masked, not compressed."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; the reason takes at most 123 bytes."""
    return encode(CLOSE, code.to_bytes(2, "big") + reason.encode())
