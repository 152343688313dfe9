"""A person in a file of theirs: model.h or person.bin, written by suffix and told apart by what is in it."""

from __future__ import annotations

from pathlib import Path

from hyper_mcu.codegen import parse_header, person_bin
from hyper_mcu.codegen.emit_c import PREFIX, emit
from hyper_mcu.codegen.files import read
from hyper_mcu.codegen.kinds import kind, no_person
from hyper_mcu.codegen.person import Person

SUFFIXES = (".h", ".bin")
FORMS = "a model.h or person.bin of hyper-mcu enroll"


def person_file(path: Path | str) -> Person:
    """The Person in the file `path`. Raises UserError for a file that cannot be read or holds none, by name for another
    tool's network: hyper-mcu runs what it enrolled, and imports nothing."""
    return person_in(read(Path(path), FORMS), path)


def person_in(data: bytes, path: Path | str) -> Person:
    """The Person in the bytes of a file that was at `path`; raises UserError as `person_file` does."""
    if data.startswith(person_bin.MAGIC):
        return person_bin.parse_bytes(data, str(path))
    if found := kind(data):
        raise no_person(path, FORMS, found)
    return parse_header.parse_text(data.decode("latin-1"), str(path)).person


def content(p: Person, suffix: str, prefix: str = PREFIX) -> str | bytes:
    """What a file of that suffix, one of SUFFIXES, holds of a person; prefix: of the C names in a model.h."""
    return person_bin.pack(p) if suffix == ".bin" else emit(p, prefix)
