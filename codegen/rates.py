"""What a threshold stands for: error rates counted on held-out people, and the threshold for a wanted rate.

A score of one person's net is not that of another's: some nets give strangers higher scores than others do. So scores
are compared on a person's own scale: z = (score − μ) / σ, μ and σ being the mean and the standard deviation of what
strangers score there. Before any stranger was seen they are guessed from the embedding (`Strangers`); a cohort, photos
of strangers that the net is asked about, corrects the guess. Rates are counted for both cases, and kept as curves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError

DEFAULT_FMR = 1e-3
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)  # false match rates that are reported
CONFIDENCE = 0.95
# The rule of three: n comparisons without an error show, with a confidence of 95 %, a rate of no more than 3/n, and no
# n comparisons show less (Jovanovic and Levy, "A look at the rule of three", 1997; ISO/IEC 19795-1:2006, annex B). A
# rate below 3/n is not claimed.
RULE_OF_THREE = 3


def needed(rate: float) -> int:
    """How many comparisons can show such a rate."""
    return math.ceil(RULE_OF_THREE / rate - 1e-9)


def clopper_pearson(events: int, trials: int) -> tuple[float, float]:
    """Bounds (95 %) of the rate of `events` seen in `trials` independent ones: Clopper and Pearson 1934."""
    tail = (1 - CONFIDENCE) / 2
    low = _where(lambda p: 1 - _at_most(events - 1, trials, p) >= tail) if events else 0.0
    high = _where(lambda p: _at_most(events, trials, p) <= tail) if events < trials else 1.0
    return low, high


def _at_most(events: int, trials: int, p: float) -> float:
    """Probability of at most so many events among trials that each have one with probability p, 0 < p < 1."""
    k = np.arange(1, events + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((trials - k + 1) / k))])
    log = ways + np.arange(events + 1) * math.log(p) + (trials - np.arange(events + 1)) * math.log1p(-p)
    return float(np.exp(log).sum())


def _where(reached: Callable[[float], bool]) -> float:
    """The p of 0…1 from which on `reached(p)` holds, by bisection."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Operating:
    """A threshold z on a person's own scale, and what was counted there: rates 0…1, `fmr_high` the bound (95 %)."""

    z: float
    fmr: float
    fmr_high: float
    fnmr: float


@dataclass(frozen=True)
class Curve:
    """Counts by threshold. genuine, impostor: comparisons; points: (z, false matches, false non-matches), z rising.

    Raises UserError where it has no points, or they are in another order.
    """

    genuine: int
    impostor: int
    points: tuple[tuple[float, int, int], ...]

    def __post_init__(self) -> None:
        z = [p[0] for p in self.points]
        if not z or sorted(z) != z or min(self.genuine, self.impostor) < 1:
            raise UserError("rates", "curve", "thresholds that rise, and comparisons", f"{len(z)} points")

    @property
    def least(self) -> float:
        """The least FMR that so many comparisons can show."""
        return min(1.0, RULE_OF_THREE / self.impostor)

    def at(self, fmr: float | None) -> Operating:
        """The lowest threshold that no more than `fmr` of the impostors reach; None: DEFAULT_FMR, or where so many
        comparisons do not show that the highest threshold. Raises UserError for a rate that they do not show."""
        if fmr is None and self.least > DEFAULT_FMR:
            return self._counted(self.points[-1])
        fmr = DEFAULT_FMR if fmr is None else fmr
        if not self.least * (1 - 1e-9) <= fmr < 1:
            shown = f"{self.least:.1g} or more, and less than 1: {self.impostor:,} comparisons show no less"
            raise UserError("--fmr", "false match rate", shown, f"{fmr:g}")
        enough = [p for p in self.points if p[1] <= fmr * self.impostor + 1e-9] or self.points[-1:]
        return self._counted(enough[0])

    def _counted(self, point: tuple[float, int, int]) -> Operating:
        z, matches, missed = point
        return Operating(z, matches / self.impostor, clopper_pearson(matches, self.impostor)[1], missed / self.genuine)


@dataclass(frozen=True)
class Strangers:
    """What strangers score on a person's net, as it is guessed from the person's embedding e alone: the mean is
    offset + slope · ⟨e, centre⟩, with the centre (d,) of many strangers' embeddings, the standard deviation `sd`.

    mean_faces, sd_faces: how many strangers that are asked about count for as much as the guess: the variance of a
    stranger's score over that of the guess's error, and its like for the standard deviation.
    """

    centre: tuple[float, ...]
    offset: float
    slope: float
    sd: float
    mean_faces: float
    sd_faces: float

    def __post_init__(self) -> None:
        if self.sd <= 0 or min(self.mean_faces, self.sd_faces) < 0:
            raise UserError("rates", "strangers", "a positive deviation, and weights of 0 or more", self.sd)

    def moments(self, e: NDArray[np.float32], seen: NDArray[np.floating] | None = None) -> tuple[float, float]:
        """(μ, σ) of the scores of strangers on the net of embedding e (d or more,), after those `seen` (n,)."""
        mean = self.offset + self.slope * float(np.dot(e[: len(self.centre)], self.centre))
        if seen is None or not len(seen):
            return mean, self.sd
        n = len(seen)
        variance = (n * float(np.var(seen)) + self.sd_faces * self.sd**2) / (n + self.sd_faces)
        return (n * float(np.mean(seen)) + self.mean_faces * mean) / (n + self.mean_faces), math.sqrt(variance)


@dataclass(frozen=True)
class Rates:
    """What a generator's nets do to held-out people, and to how many (`people`): `alone` with thresholds by the guess,
    `cohort` with those by `faces` strangers besides."""

    people: int
    strangers: Strangers
    alone: Curve
    cohort: Curve
    faces: int

    def at(self, fmr: float | None = None, *, cohort: bool = False) -> Operating:
        """Curve.at of either case."""
        return (self.cohort if cohort else self.alone).at(fmr)

    def told(self) -> dict[str, Any]:
        """For people and JSON: what they were measured on, and rates by target, those that so many pairs can show."""
        shown = [t for t in TARGETS if t >= self.alone.least]
        rows = [{"target": t, "alone": asdict(self.at(t)), "cohort": asdict(self.at(t, cohort=True))} for t in shown]
        return {"rates_on": self.on(), "faces": self.faces, "rates": rows}

    def on(self, *, cohort: bool = False) -> str:
        """What they were measured on, in words."""
        counts = (
            f"{self.alone.genuine} genuine and {self.alone.impostor} impostor pairs of {self.people} held-out people"
        )
        return f"{counts}, {self.faces} strangers asked about before" if cohort else counts

    def to_json(self) -> dict[str, Any]:
        """Plain values, `from_json`'s inverse."""
        return asdict(self)


def from_json(said: Mapping[str, Any]) -> Rates:
    """The Rates of these plain values; raises UserError, KeyError, TypeError or ValueError for others."""

    def curve(key: str) -> Curve:
        points = tuple((float(z), int(a), int(b)) for z, a, b in said[key]["points"])
        return Curve(int(said[key]["genuine"]), int(said[key]["impostor"]), points)

    known = said["strangers"]
    numbers = {k: float(v) for k, v in known.items() if k != "centre"}
    strangers = Strangers(centre=tuple(float(x) for x in known["centre"]), **numbers)
    if not all(map(math.isfinite, (*strangers.centre, *numbers.values()))):
        raise ValueError("numbers that are not finite")
    return Rates(int(said["people"]), strangers, curve("alone"), curve("cohort"), int(said["faces"]))
