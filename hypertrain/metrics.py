"""Verification metrics from genuine and impostor scores, and the ten folds of the face protocols."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True)
class EqualError:
    """The threshold (a score) at which FMR and FNMR are closest, and both rates there."""

    threshold: float
    fmr: float
    fnmr: float

    @property
    def eer(self) -> float:
        """Equal error rate, the mean of both rates."""
        return (self.fmr + self.fnmr) / 2


def equal_error(genuine: Scores, impostor: Scores) -> EqualError:
    """Equal-error point of the rule `match iff score ≥ threshold`; thresholds are the scores themselves."""
    g, i = np.sort(genuine), np.sort(impostor)
    t = np.unique(g)
    fnmr = np.searchsorted(g, t, "left") / len(g)
    fmr = 1 - np.searchsorted(i, t, "left") / len(i)
    best = int(np.argmin(np.abs(fmr - fnmr)))
    return EqualError(float(t[best]), float(fmr[best]), float(fnmr[best]))


def rates(genuine: Scores, impostor: Scores, threshold: float) -> tuple[float, float]:
    """(FMR, FNMR) of `match iff score ≥ threshold`."""
    return float(np.mean(impostor >= threshold)), float(np.mean(genuine < threshold))


def best_threshold(scores: Scores, same: NDArray[np.bool_]) -> float:
    """The score that classifies most pairs rightly as `same iff score ≥ threshold`."""
    order = np.argsort(scores, kind="stable")
    s, y = scores[order], same[order]
    # accepting everything from position k on: right are the different pairs before k and the same pairs from k on
    right = np.concatenate([[0], np.cumsum(~y)]) + np.concatenate([np.cumsum(y[::-1])[::-1], [0]])
    usable = np.concatenate([[True], s[1:] != s[:-1], [True]])
    k = int(np.argmax(np.where(usable, right, -1)))
    return float(s[k]) if k < len(s) else float(s[-1]) + 1.0


def ten_folds(scores: Scores, same: NDArray[np.bool_], fold: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy, mean and SD over folds (0…1), each fold with the threshold that is best on the other folds."""
    accuracy = []
    for f in np.unique(fold):
        t = best_threshold(scores[fold != f], same[fold != f])
        accuracy.append(np.mean((scores[fold == f] >= t) == same[fold == f]))
    return float(np.mean(accuracy)), float(np.std(accuracy, ddof=1))
