"""People held out for checks, where a set has no split of its own."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def split(identity: NDArray[np.str_], count: int) -> NDArray[np.str_]:
    """train, val or unlabelled (N,) of images of these people: `count` people, a tenth of all at most, are val.

    They are those with the smallest hash of their name among all who have two images or more: the same ones on every
    machine, and most of them still when people are added.
    """
    people, which, photos = np.unique(identity, return_inverse=True, return_counts=True)
    able = [k for k in np.flatnonzero(photos > 1) if people[k] != ""]
    named = int((people != "").sum())
    able.sort(key=lambda k: hashlib.sha256(str(people[k]).encode(errors="surrogateescape")).digest())
    kind = np.where(people == "", "unlabelled", "train")
    kind[able[: min(count, max(2, named // 10))]] = "val"
    return kind[which]
