"""Pairs of images to compare, and the folds that they are judged in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.hypertrain.data import Faces


@dataclass(frozen=True)
class Pairs:
    """Pairs of image indices: enrol (P,), probe (P,), same (P,), fold (P,). The first image of a pair is enrolled."""

    enrol: NDArray[np.int64]
    probe: NDArray[np.int64]
    same: NDArray[np.bool_]
    fold: NDArray[np.int64]

    @property
    def swapped(self) -> Pairs:
        """The other direction: the second image of each pair is enrolled."""
        return Pairs(self.probe, self.enrol, self.same, self.fold)

    def only(self, which: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs, bool (P,)."""
        return Pairs(self.enrol[which], self.probe[which], self.same[which], self.fold[which])


def tenths(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Folds 1…10 of a list that names none: the pairs of the same person, in their order, are cut into ten consecutive
    parts, and so are those of different people.

    In lists that come fold by fold these are their folds, and those that InsightFace's evaluation makes of them.
    """
    fold = np.empty(len(same), np.int64)
    for kind in (same, ~same):
        count = int(kind.sum())
        fold[kind] = np.arange(count) * 10 // max(count, 1) + 1
    return fold


def all_pairs(
    scores: NDArray[np.float32], identity: NDArray[np.str_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(genuine, impostor) scores of the full matrix (enrolled N, probed N) of one set, its diagonal left out."""
    same = identity[:, None] == identity[None, :]
    off = ~np.eye(len(identity), dtype=bool)
    return scores[same & off], scores[~same]


def val_pairs(faces: Faces, impostors: int = 0, seed: int = 1) -> Pairs:
    """One enrolled image a held-out person (the first) against all their others, and against one random image of every
    other person, or so many random images of other people."""
    rng, rows = np.random.default_rng(seed), []
    index = faces.select("val")
    identity = faces.identity[index]
    people = np.unique(identity)
    images = {name: index[identity == name] for name in people.tolist()}
    for name in people.tolist():
        own, others = images[name], index[identity != name]
        if impostors:
            strangers = rng.choice(others, min(impostors, len(others)), replace=False)
        else:
            strangers = np.array([rng.choice(images[other]) for other in people.tolist() if other != name])
        rows += [(own[0], p, True) for p in own[1:]]
        rows += [(own[0], p, False) for p in strangers]
    enrol, probe, same = (np.array(c) for c in zip(*rows, strict=True))
    return Pairs(enrol, probe, same.astype(bool), np.arange(len(rows)) % 10 + 1)
