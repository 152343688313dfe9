"""Which pairs of a net and an image are computed, and what each counts for (the paper's Discussion: a subset of pairs).

All pairs of one person, the hardest of different people by the frozen embeddings (known before any net has run), and a
random few of the rest, which stand for the whole rest: the expected weighted sum of any loss over the chosen pairs of a
row is its sum over the whole row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError


@dataclass(frozen=True)
class Subset:
    """Chosen images of each net. columns int64 (N, K), distinct in a row; weights float32 (N, K): 1, or rest/drawn for
    a random one, or 0 where a row has fewer than K. A row's weights add up to M."""

    columns: NDArray[np.int64]
    weights: NDArray[np.float32]


def check(where: str, hard: int, random: int) -> None:
    """Raises UserError where some pairs would never be drawn, so that no weights could be unbiased."""
    if hard < 0:
        raise UserError(f"{where}.hard", "hardest negatives of a net", "at least 0", hard)
    if random < 1:
        raise UserError(f"{where}.random", "random pairs of a net", "at least 1, to stand for the rest", random)


def choose(
    same: NDArray[np.bool_], similarity: NDArray[np.floating], hard: int, random: int, rng: np.random.Generator
) -> Subset:
    """All positives, the `hard` most similar negatives and `random` of the rest of each row.

    same, similarity (N, M): one identity, the teacher's cosine. K is that of the row with most pairs. Where rows are
    shared out over processes, choose for all rows and slice, so that the draws do not depend on the shares.
    """
    check("pairs", hard, random)
    kind = np.where(same, np.uint8(0), np.uint8(2))  # 0 positive, 1 hard, 2 rest, 3 not chosen
    hard = min(hard, same.shape[1])
    if hard:
        s = np.where(same, -np.inf, similarity)
        top = np.argpartition(-s, hard - 1, axis=1)[:, :hard]
        np.put_along_axis(kind, top, np.minimum(np.take_along_axis(kind, top, 1), 1), 1)  # a positive stays one
    rest = (kind == 2).sum(1)
    drawn = np.minimum(rest, random)
    key = np.where(kind == 2, rng.random(kind.shape, np.float32), np.inf)
    random = min(random, kind.shape[1])
    lucky = np.zeros(kind.shape, bool)
    np.put_along_axis(lucky, np.argpartition(key, random - 1, axis=1)[:, :random], True, 1)
    kind[(kind == 2) & ~lucky] = 3
    width = int((kind < 3).sum(1).max(initial=0))
    columns = np.argsort(kind, axis=1, kind="stable")[:, :width]
    kind = np.take_along_axis(kind, columns, 1)
    each = (rest / np.maximum(drawn, 1))[:, None]
    weights = np.where(kind == 2, each, kind < 2).astype(np.float32)
    return Subset(columns, weights)
