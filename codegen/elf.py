"""Reading what a compiler and a linker wrote: sections, symbols and segments of a little-endian ELF file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu.codegen.errors import UserError

SHT_SYMTAB, SHT_NOBITS, SHF_ALLOC, PT_LOAD, STT_SECTION, STT_FILE = 2, 8, 2, 1, 3, 4


@dataclass(frozen=True)
class Section:
    """A section: its bytes in the file are `size`, unless nobits (.bss)."""

    name: str
    alloc: bool
    nobits: bool
    size: int


@dataclass(frozen=True)
class Symbol:
    """A named symbol; section: index into Elf.sections, or a number beyond them (absolute, undefined: 0)."""

    name: str
    value: int
    size: int
    section: int


@dataclass(frozen=True)
class Segment:
    """Bytes to load at a physical address."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Elf:
    """What of an ELF file is used here. Symbols of files and sections are left out."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    segments: tuple[Segment, ...]


def read_elf(path: Path) -> Elf:
    """Reads a 32- or 64-bit little-endian ELF file (System V gABI, chapters 4, 5); raises UserError for another."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[5] != 1:
        raise UserError(path, "cannot be read", "a little-endian ELF file", repr(data[:6]))
    try:
        return _parse(data, wide=data[4] == 2)
    except (struct.error, IndexError, ValueError) as e:
        raise UserError(path, "cannot be read", "a whole ELF file", e) from e


def _parse(data: bytes, wide: bool) -> Elf:
    word = "Q" if wide else "I"
    phoff, shoff = struct.unpack_from(f"<{word}{word}", data, 32 if wide else 28)
    phsize, phnum, shsize, shnum, names_at = struct.unpack_from("<5H", data, 54 if wide else 42)
    headers = [struct.unpack_from(f"<II4{word}II2{word}", data, shoff + i * shsize) for i in range(shnum)]
    names = headers[names_at][4]
    sections = tuple(
        Section(_text(data, names + name), bool(flags & SHF_ALLOC), kind == SHT_NOBITS, size)
        for name, kind, flags, _, _, size, *_ in headers
    )
    symbols: list[Symbol] = []
    for _, kind, _, _, offset, size, link, _, _, entry in headers:
        if kind == SHT_SYMTAB:
            rows = range(offset, offset + size, entry)
            symbols += [s for at in rows if (s := _symbol(data, at, headers[link][4], wide)) is not None]
    segments: list[Segment] = []
    for i in range(phnum):
        at = phoff + i * phsize
        kind, offset, address, filesz = (
            struct.unpack_from("<I4xQ8xQQ", data, at) if wide else struct.unpack_from("<II4xII", data, at)
        )
        if kind == PT_LOAD and filesz:
            segments.append(Segment(address, data[offset : offset + filesz]))
    return Elf(sections, tuple(symbols), tuple(segments))


def _symbol(data: bytes, at: int, names: int, wide: bool) -> Symbol | None:
    if wide:
        name, info, section, value, size = struct.unpack_from("<IBxHQQ", data, at)
    else:
        name, value, size, info, section = struct.unpack_from("<IIIBxH", data, at)
    if not name or info & 15 in (STT_SECTION, STT_FILE):
        return None
    return Symbol(_text(data, names + name), value, size, section)


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()
