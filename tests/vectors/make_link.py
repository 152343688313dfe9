"""Writes link.csv, frames of the link (firmware/LINK.md), and conversation.csv, requests and what a device answers, by
loops that share nothing with the product.

    python tests/vectors/make_link.py

link.csv: what; type, sequence (decimal) and payload (hex) of the frame, empty for bytes that hold none; line: the bytes
on the line (hex). Where a payload ends with a tag, challenge and key (hex, of 32 bytes) and number say by what it was
made.

conversation.csv: what; type and sequence of the request; the payloads (hex) of request and response; both on the line
(hex). All by one device, from its first start on, in this order. Its network is tests/firmware/vector_engine.h, its
random numbers are CHALLENGE.
"""

from __future__ import annotations

import csv
import hashlib
import struct
from pathlib import Path

KEY = bytes(range(32, 64))
NUMBER = 7
CHALLENGE = bytes(range(240, 256))


def crc32(data: bytes) -> int:
    """CRC-32 bit by bit: polynomial 0xEDB88320, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def stuffed(data: bytes) -> bytes:
    """COBS as its authors' listing has it: a code byte is written when its run is known."""
    out, code = bytearray([0]), 0
    for i, byte in enumerate(data):
        if byte:
            out.append(byte)
        if not byte or (len(out) - code == 255 and i < len(data) - 1):
            out[code] = len(out) - code
            code = len(out)
            out.append(0)
    out[code] = len(out) - code
    return bytes(out)


def line(type: int, sequence: int, payload: bytes) -> bytes:
    body = bytes([type, sequence]) + payload
    return b"\0" + stuffed(body + crc32(body).to_bytes(4, "little")) + b"\0"


def hmac(key: bytes, data: bytes) -> bytes:
    """RFC 2104, for a key of at most 64 bytes."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + data).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).digest()


def tagged(type: int, payload: bytes) -> bytes:
    link = hmac(KEY, b"hyper-mcu link" + NUMBER.to_bytes(4, "little"))
    return payload + hmac(link, CHALLENGE + bytes([type]) + payload)


def name(text: bytes) -> bytes:
    return text.ljust(48, b"\0")


def rows() -> list[list[object]]:
    frames = [
        ("ping without payload", 1, 0, b""),
        ("ping", 1, 255, b"hyper-mcu"),
        ("zeros", 1, 1, bytes(20)),
        ("a zero first", 1, 2, b"\0a"),
        ("a zero last", 1, 3, b"a\0"),
        ("info", 2, 4, b""),
        ("list from place 12", 3, 5, (12).to_bytes(4, "little")),
        ("challenge answered", 0x84, 6, b"\0" + CHALLENGE),
        ("refused", 0x85, 7, b"\x44"),
        ("refused, in words", 0x85, 7, b"\x44the challenge was not answered with the device's key"),
        ("wrong offset", 0x86, 8, b"\x43" + (1020).to_bytes(4, "little")),
        ("wrong offset, in words", 0x86, 8, b"\x43" + (1020).to_bytes(4, "little") + b"not the next part"),
        ("set key", 9, 9, NUMBER.to_bytes(4, "little") + KEY),
        *((f"{n} bytes without a zero", 6, n % 256, bytes([1 + i % 255 for i in range(n)])) for n in (247, 248, 249)),
        *((f"{n} bytes and a zero", 6, n % 256, b"\xee" * n + b"\0") for n in (251, 252, 253)),
        ("the longest payload", 6, 10, bytes([255 - i % 255 for i in range(1024)])),
        ("the longest payload of zeros", 6, 11, bytes(1024)),
    ]
    made: list[list[object]] = [[w, t, s, p.hex(), line(t, s, p).hex(), "", "", ""] for w, t, s, p in frames]
    load = b"\x01" + (964).to_bytes(4, "little") + hashlib.sha256(b"a sealed person").digest() + name(b"alice")
    asked = [
        ("load", 5, load),
        ("delete", 8, name(b"alice")),
        ("verify", 10, name(b"alice")),
        ("verify all", 10, name(b"")),
    ]
    for i, (what, type, payload) in enumerate(asked):
        whole = tagged(type, payload)
        made.append(
            [what, type, 20 + i, whole.hex(), line(type, 20 + i, whole).hex(), CHALLENGE.hex(), KEY.hex(), NUMBER]
        )
    good = line(1, 1, b"abcd")
    broken = [
        ("nothing", b"\0\0\0"),
        ("text of a console", b"\0hello\r\n\0"),
        ("a flipped bit", good[:5] + bytes([good[5] ^ 4]) + good[6:]),
        ("a byte lost", good[:4] + good[5:]),
        ("a byte twice", good[:4] + good[3:]),
        ("its end lost", good[:-3] + b"\0"),
        ("shorter than type, sequence and check sum", b"\0" + stuffed(crc32(b"\1").to_bytes(4, "little")) + b"\0"),
        ("a run beyond the end", b"\0\x09abcd\0"),
        ("longer than the longest", line(1, 1, b"\x55" * 1025)),
        ("much longer", b"\0" + b"\x01" * 5000 + b"\0"),
    ]
    return made + [[what, "", "", "", data.hex(), "", "", ""] for what, data in broken]


IDENT = bytes(range(160, 176))
THRESHOLD, COUNTER = -2950, 5
IMAGE = bytes(range(1, 24, 2))  # two rows of 6 bytes
LOGIT = sum(IMAGE) - 3000
CYCLES = 1000 + 2 * (100 + 7) + 5


def sealed() -> bytes:
    """alice, as STORE.md has it."""
    payload = struct.pack("<i4x", THRESHOLD)
    n = 128 + len(payload) + 32
    head = struct.pack("<4s6I4x16s16x48s16x", b"HMsp", 1, n, 0, NUMBER, COUNTER, len(payload), IDENT, b"alice")
    return head + payload + hmac(hmac(KEY, b"hyper-mcu seal" + NUMBER.to_bytes(4, "little")), head + payload)


def words(*numbers: int) -> bytes:
    return b"".join((n % 2**32).to_bytes(4, "little") for n in numbers)


def conversation() -> list[list[object]]:
    person, alice = sealed(), name(b"alice")
    slot = 4096  # 160 bytes of records and the largest person, in units of 4096
    info = words(77, 0xA1B2C3D4, 2, 2, 6, 16, 8, 1, slot, slot - 160, 16 * slot, COUNTER, NUMBER, 0, 0, 0, 1)
    sums = words(crc32(IMAGE), crc32(bytes([sum(IMAGE[:6]), sum(IMAGE)])))
    load = tagged(5, b"\0" + words(len(person)) + hashlib.sha256(person).digest() + alice)
    challenge = ("challenge", 4, b"", b"\0" + CHALLENGE)
    said = [
        ("set key", 9, words(NUMBER) + KEY, b"\0"),
        challenge,
        ("load", 5, load, b"\0" + words(0)),
        ("load part", 6, words(0) + person, b"\0" + words(len(person))),
        ("load end", 7, b"", b"\0"),
        ("info", 2, b"", b"\0\1\2" + info + b"wire\0" + b"9.8.7\0"),
        ("list", 3, words(0), b"\0" + words(8, 8, 0) + alice + IDENT + words(NUMBER, COUNTER, len(person))),
        ("kat", 15, alice, b"\0" + words(1333, 1)),
        ("info", 2, b"", b"\0\1\2" + info + b"wire\0" + b"9.8.7\0"),
        challenge,
        ("verify", 10, tagged(10, alice), b"\0" + words(1, 12)),
        ("verify rows", 11, words(0) + IMAGE, b"\0" + words(12)),
        ("verify end", 12, b"", b"\0" + words(0x5AC369A5, LOGIT, THRESHOLD, CYCLES, 1) + alice),
        ("layers", 13, words(0), b"\0" + words(2) + sums),
        ("profile", 14, words(0), b"\0" + words(2, 200, 14)),
        challenge,
        ("delete", 8, tagged(8, alice), b"\0"),
        ("delete, replayed", 8, tagged(8, alice), b"\x44the challenge was not answered with the device's key"),
        challenge,
        ("delete once more", 8, tagged(8, alice), b"\x22nobody of that name"),
    ]
    return [
        [what, type, i, asked.hex(), told.hex(), line(type, i, asked).hex(), line(type + 0x80, i, told).hex()]
        for i, (what, type, asked, told) in enumerate(said)
    ]


def write(name: str, header: str, rows: list[list[object]]) -> None:
    with (Path(__file__).parent / name).open("w", newline="", encoding="ascii") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header.split())
        out.writerows(rows)


def main() -> None:
    write("link.csv", "what type sequence payload line challenge key number", rows())
    write("conversation.csv", "what type sequence asked answered request response", conversation())


if __name__ == "__main__":
    main()
