"""Pair lists as text, in the forms that the face protocols are published in.

- LFW's (vis-www.cs.umass.edu/lfw/README.txt, 3c): perhaps a first line `sets n`, then for each set n lines
  `NAME i j` of one person and n lines `NAME i NAME j` of two; NAME i is the image NAME/NAME_000i. With one number N in
  the first line (View 1) it is one set.
- CALFW's and CPLFW's: two lines a pair, `IMAGE label` each, where label 0 says that they are different people.
- one line a pair, `IMAGE IMAGE label`, as lists for AgeDB-30, CFP and VGG2-FP are passed on.

Fields are separated by tabs, commas or blanks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.protocols.pairs import tenths

FORMS = {"lfw": "NAME i j, or NAME i NAME j", "label": "IMAGE IMAGE label", "lines": "IMAGE label, twice for a pair"}


@dataclass(frozen=True)
class Listed:
    """Pairs by the names of their images, P of each: first, second, same, fold, where (list and line, for messages).
    sha256: of the list's bytes."""

    first: list[str]
    second: list[str]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]
    where: list[str]
    sha256: str

    @property
    def images(self) -> Iterator[tuple[str, str]]:
        """The name and the place of each image in the order of the list, again where it is named again."""
        for first, second, where in zip(self.first, self.second, self.where, strict=True):
            yield first, where
            yield second, where


@dataclass(frozen=True)
class _Row:
    """One pair, and the number of its (first) line."""

    line: int
    first: str
    second: str
    same: bool


def read(path: Path) -> Listed:
    """The pairs of a list; raises UserError, naming file and line, where it is none of the known forms."""
    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(path, "no pair list", "a text file", (e.strerror or str(e)).lower()) from e
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        at = content[: e.start].count(b"\n") + 1
        raise UserError(f"{path} line {at}", "not a pair list", "text in UTF-8", "other bytes") from e
    fields = [(n, words) for n, line in enumerate(lines, 1) if (words := _fields(line))]
    head: list[int] = []
    if fields and len(fields[0][1]) <= 2 and all(map(_is_number, fields[0][1])):
        head = [int(w) for w in fields[0][1]]
        fields = fields[1:]
    if not fields:
        raise UserError(path, "empty pair list", "pairs", "none")
    form = "lfw" if head else _form(fields[0][1])
    if not form:
        raise UserError(f"{path} line {fields[0][0]}", "not a pair", "; or ".join(FORMS.values()), _shown(fields[0][1]))
    rows = _two_lines(path, fields) if form == "lines" else [_one_line(path, n, words, form) for n, words in fields]
    same = np.array([r.same for r in rows])
    if same.all() or not same.any():
        kind = "the same person" if same.all() else "different people"
        raise UserError(
            path, "pair list of one kind", "pairs of the same person and of different people", f"only {kind}"
        )
    return Listed(
        [r.first for r in rows],
        [r.second for r in rows],
        same,
        _sets(path, rows, head) if len(head) == 2 else tenths(same),
        [f"{path} line {r.line}" for r in rows],
        hashlib.sha256(content).hexdigest(),
    )


def _fields(line: str) -> list[str]:
    line = line.strip()
    separator = "\t" if "\t" in line else "," if "," in line else None
    return [w.strip() for w in line.split(separator) if w.strip()]


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18


def _form(words: list[str]) -> str:
    """The key of FORMS that a list starting with this line has, or nothing."""
    if len(words) in (3, 4) and _is_number(words[1]) and _is_number(words[-1]):
        return "lfw"
    if len(words) == 3 and (words[2] in ("0", "1") or words[0] in ("0", "1")):
        return "label"
    return "lines" if len(words) == 2 and _is_number(words[1]) else ""


def _one_line(path: Path, line: int, words: list[str], form: str) -> _Row:
    """A pair of one line; raises UserError where the line is not of the form of the others."""
    if form == "label" and len(words) == 3:
        first, second, label = words if words[2] in ("0", "1") else (words[1], words[2], words[0])
        if label in ("0", "1"):
            return _Row(line, first, second, label == "1")
    if form == "lfw" and len(words) == 3 and _is_number(words[1]) and _is_number(words[2]):
        return _Row(line, _image(words[0], words[1]), _image(words[0], words[2]), True)
    if form == "lfw" and len(words) == 4 and _is_number(words[1]) and _is_number(words[3]):
        if words[0] == words[2]:
            raise UserError(f"{path} line {line}", "one person as two", "two names", words[0])
        return _Row(line, _image(words[0], words[1]), _image(words[2], words[3]), False)
    raise UserError(f"{path} line {line}", "not a pair", FORMS[form], _shown(words))


def _image(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}"


def _two_lines(path: Path, fields: list[tuple[int, list[str]]]) -> list[_Row]:
    """The pairs of a list with an image a line."""
    for line, words in fields:
        if len(words) != 2 or not _is_number(words[1]):
            raise UserError(f"{path} line {line}", "not a pair", FORMS["lines"], _shown(words))
    if len(fields) % 2:
        raise UserError(f"{path} line {fields[-1][0]}", "half a pair", "two lines a pair", "the last line alone")
    rows = []
    for (line, (first, label)), (_, (second, other)) in zip(fields[::2], fields[1::2], strict=True):
        if label != other:
            raise UserError(f"{path} line {line}", "two labels of a pair", "one", f"{label} and {other}")
        rows.append(_Row(line, first, second, label != "0"))
    return rows


def _sets(path: Path, rows: list[_Row], head: list[int]) -> NDArray[np.int64]:
    """The folds of an LFW list by its first line, which says how many sets of how many pairs of each kind follow."""
    sets, each = head
    if sets < 2 or each < 1 or len(rows) != 2 * sets * each:
        raise UserError(f"{path} line 1", "another number of pairs", f"{2 * sets * each} by this line", len(rows))
    for k, row in enumerate(rows):
        if row.same != (k // each % 2 == 0):
            want = f"{each} lines of one person, then {each} of two"
            raise UserError(f"{path} line {row.line}", "pair in the wrong place of its set", want, _shown([row.first]))
    return np.arange(len(rows)) // (2 * each) + 1


def _shown(words: list[str]) -> str:
    return repr(" ".join(words)[:60])
