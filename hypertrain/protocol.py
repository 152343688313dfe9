"""The pairs that are scored: CFP's official split and all pairs of the held-out `val` people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.data import Faces

FOLDS = tuple(f"{i:02d}" for i in range(1, 11))


@dataclass(frozen=True)
class Pairs:
    """Pairs of image indices: enrol (P,), probe (P,), same (P,), fold (P,). The first image of a pair is enrolled."""

    enrol: NDArray[np.int64]
    probe: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]


def cfp_pairs(root: Path, faces: Faces, protocol: str) -> Pairs:
    """CFP's ten folds of 350 same and 350 different pairs; `protocol`: "FF" (frontal) or "FP" (frontal–profile).

    Line `a,b` names two images: frontal a is photo (a−1)%10+1 of person (a−1)//10+1, profile b photo (b−1)%4+1 of
    person (b−1)//4+1. Raises UserError where the split is missing.
    """
    at = {name.removeprefix("cfp/").rsplit(".", 1)[0]: i for i, name in enumerate(faces.names)}

    def image(n: int, kind: str) -> int:
        each = 10 if kind == "frontal" else 4
        name = f"{(n - 1) // each + 1:03d}/{kind}-{(n - 1) % each + 1:02d}"
        if name not in at:
            raise UserError("cfp.csv", f"no photo {name}", "every photo of the protocol", f"{len(at)} photos")
        return at[name]

    kinds = ("frontal", "frontal" if protocol == "FF" else "profile")
    rows = []
    for fold in FOLDS:
        for word in ("same", "diff"):
            path = root / "Protocol" / "Split" / protocol / fold / f"{word}.txt"
            if not path.is_file():
                raise UserError(path, "no CFP split", "the official Protocol folder", "no such file")
            for line in path.read_text().split():
                try:
                    a, b = (int(v) for v in line.split(","))
                except ValueError:
                    raise UserError(path, "not a pair", "two numbers a,b", repr(line)) from None
                rows.append((image(a, kinds[0]), image(b, kinds[1]), word == "same", int(fold)))
    enrol, probe, same, folds = (np.array(c) for c in zip(*rows, strict=True))
    return Pairs(enrol, probe, same.astype(bool), folds)


def all_pairs(
    scores: NDArray[np.float32], identity: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(genuine, impostor) scores of the full matrix (enrolled N, probed N) of one set, its diagonal left out."""
    same = identity[:, None] == identity[None, :]
    off = ~np.eye(len(identity), dtype=bool)
    return scores[same & off], scores[~same]


def val_pairs(faces: Faces, impostors: int = 24, seed: int = 1) -> Pairs:
    """One enrolled image a held-out person (the first) against all their others and random images of other people."""
    rng, rows = np.random.default_rng(seed), []
    index = faces.select("val")
    identity = faces.identity[index]
    for name in np.unique(identity):
        own, others = index[identity == name], index[identity != name]
        rows += [(own[0], p, True) for p in own[1:]]
        rows += [(own[0], p, False) for p in rng.choice(others, min(impostors, len(others)), replace=False)]
    enrol, probe, same = (np.array(c) for c in zip(*rows, strict=True))
    return Pairs(enrol, probe, same.astype(bool), np.arange(len(rows)) % 10 + 1)
