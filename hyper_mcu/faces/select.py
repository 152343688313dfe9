"""Which of the found faces is meant, and what to say where that is not clear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.detect import Face

Purpose = Literal["enrol", "probe"]
LISTED = 100  # boxes named in a message


def choose(faces: Sequence[Face], which: str | None, where: object, purpose: Purpose = "probe") -> tuple[int, ...]:
    """The numbers, 1 for the first, of the meant faces among `faces`, largest first.

    which: None (there must be one), "largest", a number, or, for a probe, "any" (all of them).
    Raises UserError, naming `where`, if there is no such face or several are possible.
    """
    options = "N|largest" + ("|any" if purpose == "probe" else "")
    if which is not None and which not in options.split("|")[1:] and not re.fullmatch("[0-9]{1,6}", which):
        raise UserError("--face", "which face", " or ".join(("a number", *options.split("|")[1:])), which)
    if not faces:
        raise UserError(where, "no face found", "one face", "none")
    if which is None and len(faces) > 1:
        raise UserError(where, f"{len(faces)} faces", f"one, or --face {options}", _listed(faces))
    if which is None or which == "largest":
        return (1,)
    if which == "any":
        return tuple(range(1, len(faces) + 1))
    if not 1 <= int(which) <= len(faces):
        raise UserError(where, f"no face {which}", "--face 1" + (f" to {len(faces)}" if len(faces) > 1 else ""), which)
    return (int(which),)


def _listed(faces: Sequence[Face]) -> str:
    boxes = (tuple(round(v) for v in f.box) for f in faces[:LISTED])
    texts = [f"{n}: {x0},{y0}–{x1},{y1}" for n, (x0, y0, x1, y1) in enumerate(boxes, 1)]
    more = len(faces) - LISTED
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")
