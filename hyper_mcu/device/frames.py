"""The link's frames: COBS around type, sequence, payload and CRC-32. Their bytes: firmware/LINK.md, "Frames"."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

PAYLOAD = 1024  # most bytes of a payload
RESPONSE = 0x80  # added to the type of the request
_CRC = struct.Struct("<I")
_LONGEST = 2 + PAYLOAD + _CRC.size
_ENCODED = _LONGEST + _LONGEST // 254 + 1  # without the zeros around it
_RUN = 254


class Request(IntEnum):
    """Types of requests."""

    PING = 1
    INFO = 2
    LIST = 3
    CHALLENGE = 4
    LOAD = 5
    LOAD_PART = 6
    LOAD_END = 7
    DELETE = 8
    SET_KEY = 9
    VERIFY = 10
    VERIFY_ROWS = 11
    VERIFY_END = 12
    LAYERS = 13
    PROFILE = 14
    KAT = 15


@dataclass(frozen=True)
class Frame:
    """A request, or a response, whose type is the request's + RESPONSE. payload: at most PAYLOAD bytes."""

    type: int
    sequence: int
    payload: bytes = b""


def cobs(data: bytes) -> bytes:
    """Consistent Overhead Byte Stuffing (Cheshire and Baker 1999): no zero is left.

    >>> cobs(bytes([1, 0, 2])).hex()
    '02010202'
    """
    out = bytearray()
    for i, piece in enumerate(pieces := data.split(b"\0")):
        while len(piece) > _RUN or (len(piece) == _RUN and i < len(pieces) - 1):
            out += bytes([_RUN + 1]) + piece[:_RUN]
            piece = piece[_RUN:]
        out += bytes([len(piece) + 1]) + piece
    return bytes(out)


def uncobs(data: bytes) -> bytes | None:
    """What `cobs` made this of; None where nothing makes it.

    >>> uncobs(bytes([2, 1, 2, 2]))
    b'\\x01\\x00\\x02'
    """
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        piece = data[at + 1 : at + code]
        if code == 0 or len(piece) != code - 1 or 0 in piece:
            return None
        out += piece
        at += code
        if code <= _RUN and at < len(data):
            out.append(0)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """The bytes of a frame for the line, with the zeros around them."""
    body = bytes([frame.type, frame.sequence]) + frame.payload
    if len(frame.payload) > PAYLOAD:
        raise ValueError(f"a payload of {len(frame.payload)} bytes, above {PAYLOAD}")
    return b"\0" + cobs(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def decode(data: bytes) -> Frame | None:
    """The frame of what stood between two zeros; None where that is none."""
    raw = uncobs(data) if len(data) <= _ENCODED else None
    if raw is None or not 2 + _CRC.size <= len(raw) <= _LONGEST:
        return None
    body, (crc,) = raw[: -_CRC.size], _CRC.unpack(raw[-_CRC.size :])
    return Frame(body[0], body[1], body[2:]) if zlib.crc32(body) == crc else None


class Receiver:
    """Finds frames in what a line says, whatever its pieces; noise and a console's text are dropped."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete, in order."""
        *whole, kept = (self._kept + data).split(b"\0")
        self._kept = kept[: _ENCODED + 1]  # longer is no frame, and stays none
        return [frame for piece in whole if (frame := decode(piece)) is not None]
