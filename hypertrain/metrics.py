"""Verification metrics: ten folds, equal error rate, TAR at FMR with its confidence, the error trade-off.

A *genuine* score is one of two photos of the same person, an *impostor* score one of two people; a match is a score at
or above a threshold, and thresholds are taken from the scores themselves. A comparison that could not be made, because
no face was found, is a wrong decision in the accuracy whichever it is. Rates follow ISO/IEC 19795-1: false matches are
counted among the comparisons made; a genuine one that could not be made is not accepted at any threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.rates import clopper_pearson, needed

Scores = NDArray[np.floating] | NDArray[np.integer]
TARGETS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}  # false match rates
# The rule of thirty: where 30 errors were seen, the true rate is within 30 % of the one seen, with a confidence of 90 %
# (Doddington et al., "The NIST speaker recognition evaluation", 2000; the same annex). With fewer, a rate is rough.
RULE_OF_THIRTY = 30


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


@dataclass(frozen=True)
class Tar:
    """True accept rate at a false match rate of at most the target, with Clopper-Pearson bounds (95 %).

    supported: whether so many impostor comparisons can show such a rate at all (rule of three); where not, everything
    but `needs`, how many it takes, is None. rough: too few false matches behind the threshold (rule of thirty).
    fmr, fmr_low, fmr_high: the rate at that threshold, with bounds. threshold: None where no score lies high enough.
    """

    supported: bool
    needs: int
    tar: float | None = None
    tar_low: float | None = None
    tar_high: float | None = None
    threshold: float | None = None
    fmr: float | None = None
    fmr_low: float | None = None
    fmr_high: float | None = None
    false_matches: int | None = None
    rough: bool | None = None


@dataclass(frozen=True)
class Figures:
    """What one set of scores says. Ten-fold accuracy (mean, SD), equal error rate, the score there, TAR by target."""

    accuracy_mean: float
    accuracy_sd: float
    eer: float
    threshold: float
    tar_at_fmr: dict[str, Tar]


def figures(
    scores: Scores, same: NDArray[np.bool_], fold: NDArray[np.int64], made: NDArray[np.bool_] | None = None
) -> Figures:
    """Figures of the scores (P,); made: which comparisons could be made (all)."""
    made = np.ones(len(same), bool) if made is None else made
    genuine, impostor = sides(scores, same, made)
    equal = equal_error(genuine, impostor)
    at = {name: tar_at_fmr(genuine, impostor, target) for name, target in TARGETS.items()}
    return Figures(*ten_folds(scores, same, fold, made), equal.eer, equal.threshold, at)


def sides(
    scores: Scores, same: NDArray[np.bool_], made: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Genuine scores, −∞ for those that could not be made, and impostor scores, those that could."""
    return np.where(made, scores, -np.inf)[same].astype(np.float64), scores[~same & made].astype(np.float64)


def equal_error(genuine: Scores, impostor: Scores) -> EqualError:
    """Equal-error point of the rule `match iff score ≥ threshold`; thresholds are the scores themselves."""
    g, i = np.sort(genuine), np.sort(impostor)
    t = np.unique(g)
    fmr, fnmr = _rates(g, i, t)
    k = int(np.searchsorted(fnmr - fmr, 0))  # they cross between t[k − 1] and t[k]; only impostors lie in there
    low = np.searchsorted(i, t[k - 1], "right") if k else 0
    high = np.searchsorted(i, t[k]) if k < len(t) else len(i)
    t = np.unique(np.concatenate([t[max(k - 1, 0) : k + 1], i[low:high]]))
    fmr, fnmr = _rates(g, i, t)
    best = int(np.argmin(np.abs(fmr - fnmr)))
    return EqualError(float(t[best]), float(fmr[best]), float(fnmr[best]))


def _rates(g: NDArray[Any], i: NDArray[Any], t: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FMR and FNMR at thresholds t of genuine and impostor scores, both sorted."""
    return 1 - np.searchsorted(i, t) / len(i), np.searchsorted(g, t) / len(g)


def rates(genuine: Scores, impostor: Scores, threshold: float) -> tuple[float, float]:
    """(FMR, FNMR) of `match iff score ≥ threshold`."""
    return float(np.mean(impostor >= threshold)), float(np.mean(genuine < threshold))


def trade_off(genuine: Scores, impostor: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FMR and FNMR at every threshold that tells scores apart, FMR falling: the DET curve."""
    g, i = np.sort(genuine), np.sort(impostor)
    return _rates(g, i, np.append(np.unique(np.concatenate([g, i])), np.inf))


def tar_at_fmr(genuine: Scores, impostor: Scores, target: float) -> Tar:
    """Genuine comparisons accepted at the lowest score at which no more than `target` of the impostors are."""
    n, needs = len(impostor), needed(target)
    if n < needs:
        return Tar(supported=False, needs=needs)
    allowed = math.floor(target * n + 1e-9)
    beyond = np.sort(impostor)[n - allowed - 1]  # the highest impostor that must stay out
    higher = np.concatenate([genuine[genuine > beyond], impostor[impostor > beyond]])
    accepted, matched = int((genuine > beyond).sum()), int((impostor > beyond).sum())
    (tar_low, tar_high), (fmr_low, fmr_high) = clopper_pearson(accepted, len(genuine)), clopper_pearson(matched, n)
    return Tar(
        supported=True,
        needs=needs,
        tar=accepted / len(genuine),
        tar_low=tar_low,
        tar_high=tar_high,
        threshold=float(higher.min()) if len(higher) else None,
        fmr=matched / n,
        fmr_low=fmr_low,
        fmr_high=fmr_high,
        false_matches=matched,
        rough=matched < RULE_OF_THIRTY,
    )


def best_threshold(scores: Scores, same: NDArray[np.bool_]) -> float:
    """The score that classifies most pairs rightly as `same iff score ≥ threshold`."""
    order = np.argsort(scores, kind="stable")
    s, y = scores[order], same[order]
    # accepting everything from position k on: right are the different pairs before k and the same pairs from k on
    right = np.concatenate([[0], np.cumsum(~y)]) + np.concatenate([np.cumsum(y[::-1])[::-1], [0]])
    usable = np.concatenate([[True], s[1:] != s[:-1], [True]])
    k = int(np.argmax(np.where(usable, right, -1)))
    return float(s[k]) if k < len(s) else float(np.nextafter(s[-1], np.inf))


def ten_folds(
    scores: Scores, same: NDArray[np.bool_], fold: NDArray[np.int64], made: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Accuracy, mean and SD over folds (0…1), each fold with the threshold that is best on the other folds.

    made: which comparisons could be made (all); the others are wrong, and choose no threshold.
    """
    made = np.ones(len(same), bool) if made is None else made
    accuracy = []
    for f in np.unique(fold):
        others = (fold != f) & made
        t = best_threshold(scores[others], same[others]) if others.any() else math.inf
        here = fold == f
        accuracy.append(np.mean(((scores[here] >= t) == same[here]) & made[here]))
    return float(np.mean(accuracy)), float(np.std(accuracy, ddof=1))
