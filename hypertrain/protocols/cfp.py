"""Celebrities in Frontal-Profile: the official split of ten folds, for frontal (FF) and frontal-profile pairs (FP)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.protocols.lists import Listed

PHOTOS = {"frontal": 10, "profile": 4}  # of each person
FOLDS = tuple(f"{i:02d}" for i in range(1, 11))


def listed(root: Path, protocol: str) -> Listed:
    """The pairs of `root`/Protocol by names like 001/frontal-01: 350 of each kind a fold; `protocol`: "FF" or "FP".

    Line `a,b` names two images: frontal a is photo (a−1)%10+1 of person (a−1)//10+1, profile b photo (b−1)%4+1 of
    person (b−1)//4+1. Raises UserError, naming file and line, where the split is missing or holds something else.
    """
    kinds = ("frontal", "frontal" if protocol == "FF" else "profile")
    rows, digest = [], hashlib.sha256()
    for fold in FOLDS:
        for word in ("same", "diff"):
            path = root / "Protocol" / "Split" / protocol / fold / f"{word}.txt"
            if not path.is_file():
                raise UserError(path, "no CFP split", "the official Protocol folder", "no such file")
            content = path.read_bytes()
            digest.update(content)
            for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
                if line.strip():
                    where = f"{path} line {number}"
                    names = _names(where, line, kinds)
                    rows.append((*names, word == "same", int(fold), where))
    if not rows:
        raise UserError(root / "Protocol", "empty CFP split", "pairs", "none")
    first, second, same, folds, where_of = zip(*rows, strict=True)
    return Listed(list(first), list(second), np.array(same), np.array(folds), list(where_of), digest.hexdigest())


def _names(where: str, line: str, kinds: tuple[str, str]) -> tuple[str, str]:
    try:
        numbers = [int(v) for v in line.split(",")]
        if len(numbers) != 2 or min(numbers) < 1:
            raise ValueError
    except ValueError:
        raise UserError(where, "not a pair", "two numbers a,b from 1 on", repr(line[:60])) from None
    a, b = (
        f"{(n - 1) // PHOTOS[kind] + 1:03d}/{kind}-{(n - 1) % PHOTOS[kind] + 1:02d}"
        for n, kind in zip(numbers, kinds, strict=True)
    )
    return a, b


def photo(name: str) -> str:
    """The name of a photo as in `listed`: without folder of the set and suffix."""
    return name.removeprefix("cfp/").rsplit(".", 1)[0]
