"""Reads a model.h back: the Person in it, integers included, and that nothing was changed since it was written.

The C arrays are the integers; the JSON in the last comment is what C does not say. The first line carries the SHA-256
of all that follows, against accidents. Against forgery the Person that was read is emitted again and has to give the
very text: what comes through here holds no C but what emit_c writes, so that it may be compiled and run.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.emit_c import FIRST_LINE, emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.facts import NONSENSE, person_of
from hyper_mcu.codegen.files import read
from hyper_mcu.codegen.layout import ABI, check_sum, person_bytes, session_bytes
from hyper_mcu.codegen.passes import compiled
from hyper_mcu.codegen.person import Person

_FIRST = re.compile(re.escape(FIRST_LINE).replace(r"\{abi\}", "([0-9]{1,9})").replace(r"\{sha256\}", "([0-9a-f]{64})"))
_ARRAY = re.compile(r"/\* (\w+) \*/\n +(\{[^{}]*\}|-?\w+)")


@dataclass(frozen=True)
class Header:
    """A model.h as read: its Person, the prefix of its C, SHA-256 of its content, the text itself (compile
    this one: the file may change meanwhile), the bytes of flash for the person and of RAM for a session."""

    person: Person
    prefix: str
    sha256: str
    text: str
    person_bytes: int
    session_bytes: int


def parse(path: Path | str) -> Header:
    """The Header in the file `path`; raises UserError for a file that cannot be read and as `parse_text` does."""
    data = read(Path(path), "a model.h of hyper-mcu")
    return parse_text(data.decode("latin-1"), str(path))  # byte by byte: emit_c writes ASCII alone


def parse_text(text: str, where: str = "model.h") -> Header:
    """The Header in the text of a model.h, whatever its line ends.

    Raises UserError for a text that emit_c does not write (whoever did), that has another ABI, or that was changed or
    cut since.
    """
    text = text.replace("\r\n", "\n")
    line, _, body = text.partition("\n")
    first = _FIRST.fullmatch(line + "\n")
    if not first:
        expected = f"/* hyper-mcu model.h, ABI {ABI}. …"
        raise UserError(
            where, "not a hyper-mcu header", f"a first line {expected}", repr(line[:40]) if line else "an empty line"
        )
    abi, sha256 = int(first[1]), first[2]
    if abi != ABI:
        raise UserError(
            where, "made by another version of hyper-mcu; enrol again to regenerate it", f"ABI {ABI}", f"ABI {abi}"
        )
    digest = hashlib.sha256(body.encode("utf-8")).hexdigest()
    if digest != sha256:
        raise UserError(where, "corrupted, cut or edited", f"SHA-256 {sha256}", digest)
    try:
        said = json.loads(body[body.rindex('\n{"abi"') : body.rindex("*/")])
        person = person_of(said, _arrays(body))
        again = emit(person, said["prefix"])
    except UserError as e:
        raise UserError(f"{where}, {e.where}", e.what, e.expected, e.got) from e
    except NONSENSE as e:
        raise UserError(
            where, "not a hyper-mcu header", "arrays and facts as written by emit_c", f"{type(e).__name__} {e}"[:200]
        ) from e
    crc = f"0x{check_sum(person, compiled(person.qnet)):08X}"
    if f"{crc}U" not in body:
        raise UserError(where, "inconsistent", f"check sum {crc}", "another")
    if again != text:
        raise _otherwise(where, again, text)
    return Header(person, said["prefix"], sha256, text, person_bytes(person), session_bytes(person.qnet.spec))


def _otherwise(where: str, again: str, text: str) -> UserError:
    """The error of a text that is not what its person gives: another version's, or C of somebody else's hand."""
    pairs = list(zip(again.split("\n"), text.split("\n"), strict=False))
    at = next((i for i in range(1, len(pairs)) if pairs[i][0] != pairs[i][1]), 0)  # the first line is of all others
    ours, theirs = pairs[at]
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
    what = "not what this version of hyper-mcu writes for its person; enrol again to regenerate it"
    return UserError(where, what, f"line {at + 1} {_short(ours, first)}", _short(theirs, first))


def _short(line: str, at: int) -> str:
    """The part of a line around the character `at`."""
    start = max(0, at - 20)
    return ("…" if start else "") + repr(line[start : start + 60]) + ("…" if start + 60 < len(line) else "")


def _arrays(body: str) -> dict[str, NDArray[np.int64]]:
    """The initialisers of hm_weights by name, flat."""
    start = body.rindex("static const ")
    data = body[start : body.index("\n};", start)]
    return {
        name: np.array([int(v) for v in text.strip("{}").split(",")], np.int64) for name, text in _ARRAY.findall(data)
    }
