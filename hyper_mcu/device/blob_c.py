"""A person.bin as C: an array of words, so that it lies where the engine reads it."""

from __future__ import annotations

PER_LINE = 8  # words


def array_of(name: str, blob: bytes) -> str:
    """The C of a static array of that name with the bytes of a blob, a multiple of 4 of them."""
    words = [f"0x{int.from_bytes(blob[i : i + 4], 'little'):08X}U" for i in range(0, len(blob), 4)]
    lines = [", ".join(words[i : i + PER_LINE]) for i in range(0, len(words), PER_LINE)]
    return f"static const uint32_t {name}[] = {{\n    " + ",\n    ".join(lines) + ",\n};\n"
