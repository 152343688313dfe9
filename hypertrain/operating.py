"""From scores of held-out people to what a generator ships about them: strangers' moments and rates by threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.rates import RULE_OF_THREE, Curve, Rates, Strangers
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.protocols import Pairs

Float64 = NDArray[np.float64]
PER_DECADE = 20  # points of a curve
HIGHEST = 0.3  # decades below 1, FMR of its first point
MOST = 1e6  # strangers that a guess counts for, where people do not differ beyond chance


def rates(scores: Float64, pairs: Pairs, faces: Faces) -> Rates:
    """Rates of the scores (P,) of `protocols.val_pairs`: every person is asked about one image of every other one.

    With a cohort: of the other people every second one, in the order of names, is the cohort, and the others are
    compared; then the other way round. A genuine pair is compared with either cohort in turn.
    """
    names, enrolled = np.unique(faces.identity[pairs.enrol], return_inverse=True)
    half = np.searchsorted(names, faces.identity[pairs.probe]) % 2
    half[pairs.same] = np.arange(pairs.same.sum()) % 2
    e = faces.enrolled(pairs.enrol[np.unique(enrolled, return_index=True)[1]])
    strangers = guess([scores[~pairs.same & (enrolled == i)] for i in range(len(names))], e, centre(faces))
    alone, cohort, sizes = np.empty(len(scores)), np.empty(len(scores)), []
    for i in range(len(names)):
        own = enrolled == i
        mean, sd = strangers.moments(e[i])
        alone[own] = (scores[own] - mean) / sd
        for h in (0, 1):
            seen = scores[own & ~pairs.same & (half != h)]
            sizes.append(len(seen))
            mean, sd = strangers.moments(e[i], seen)
            cohort[own & (half == h)] = (scores[own & (half == h)] - mean) / sd
    by_guess, by_cohort = (curve(z[pairs.same], z[~pairs.same]) for z in (alone, cohort))
    return Rates(len(names), strangers, by_guess, by_cohort, max(sizes))


def centre(faces: Faces) -> NDArray[np.float32]:
    """Mean (d,) of the unit embeddings of the training images."""
    e = faces.enrolled(faces.select("train"))[:, : faces.dimension]
    mean: NDArray[np.float32] = e.mean(0)
    return mean


def guess(strangers: list[Float64], e: NDArray[np.float32], centre: NDArray[np.float32]) -> Strangers:
    """What the embeddings e (N, d or more) tell of the scores of strangers on each net, by least squares; how many
    strangers the guess counts for follows from how far people differ from it beyond chance."""
    counts = np.array([len(s) for s in strangers])
    means, variances = (np.array([f(s) for s in strangers]) for f in (np.mean, np.var))
    variance = max(float(np.average(variances, weights=counts)), 1e-12)
    slope, offset = np.polyfit(e[:, : len(centre)] @ centre, means, 1) if len(means) > 2 else (0.0, means.mean())
    left = means - offset - slope * (e[:, : len(centre)] @ centre)

    def weight(one: float, spread: float, chance: float) -> float:
        """How many of variance `one` are as good as a guess with that spread, of which so much is chance."""
        return min(MOST, one / max(spread - chance, one / MOST))

    each = float(np.mean(1 / counts))
    return Strangers(
        centre=tuple(float(x) for x in np.round(centre, 5)),
        offset=float(offset),
        slope=float(slope),
        sd=variance**0.5,
        mean_faces=weight(variance, float(left.var()), variance * each),
        sd_faces=weight(2 * variance**2, float(variances.var()), 2 * variance**2 * each),
    )


def curve(genuine: Float64, impostor: Float64) -> Curve:
    """False matches and non-matches by threshold, PER_DECADE points a decade of FMR down to the least that so many
    comparisons can show; each threshold is the lowest score that no more of the impostors reach."""
    g, i = np.sort(genuine), np.sort(impostor)
    both, points = np.unique(np.concatenate([g, i])), {}
    least = RULE_OF_THREE / len(i)
    steps = np.arange(round(HIGHEST * PER_DECADE), max(0.0, -np.log10(least)) * PER_DECADE)
    for target in (*10 ** (-steps / PER_DECADE), min(least, 0.5)):
        beyond = i[len(i) - int(target * len(i) + 1e-9) - 1]  # the highest impostor that must stay out
        at = int(np.searchsorted(both, beyond, "right"))
        z = float(both[at] if at < len(both) else np.nextafter(beyond, np.inf))
        points[z] = (z, int(len(i) - np.searchsorted(i, z)), int(np.searchsorted(g, z)))
    return Curve(len(g), len(i), tuple(points[z] for z in sorted(points)))
