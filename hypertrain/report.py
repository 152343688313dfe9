"""What an evaluation says: both directions of every pair, both arithmetics, failures, hashes.

The score of a generated net is asymmetric: one photo writes the net, the other is shown to it. Enrolling the first
photo of each pair is the headline. The mean of both directions takes two nets a pair, which no chip does; it is here
because symmetric embeddings are compared with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.generator import Generator
from hyper_mcu.hypertrain import evaluate, metrics
from hyper_mcu.hypertrain.protocols import EvalSet, Pairs
from hyper_mcu.hypertrain.protocols.sets import Failed

DIRECTIONS = ("first", "second", "mean")  # which photo of a pair is enrolled, and the mean of both scores
Points = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Scored:
    """The scores of a set by direction and arithmetic, (P,) each, and which comparisons could be made."""

    pairs: Pairs
    scores: dict[str, evaluate.Scores]
    made: dict[str, NDArray[np.bool_]]

    def figures(self, direction: str) -> dict[str, metrics.Figures]:
        """Figures by arithmetic."""
        same, fold, made = self.pairs.same, self.pairs.fold, self.made[direction]
        return {k: metrics.figures(s, same, fold, made) for k, s in self.scores[direction].items()}

    def curves(self) -> dict[str, Points]:
        """FMR and FNMR at every threshold, by label, of both directions and arithmetics."""
        out = {}
        for direction in ("first", "second"):
            for kind, s in self.scores[direction].items():
                sides = metrics.sides(s, self.pairs.same, self.made[direction])
                out[f"{kind}, enrol {direction}"] = metrics.trade_off(*sides)
        return out


def score(chosen: EvalSet, g: Generator, *, by_c: bool = False, progress: Progress = silent) -> Scored:
    """Scores of all pairs that can be compared, in both directions at once, so that what both need is made once.

    Raises UserError where a kind of pair has none that can, and where all are in one fold.
    """
    there, back = chosen.pairs, chosen.pairs.swapped
    made = {"first": chosen.made(there), "second": chosen.made(back)}
    made["mean"] = made["first"] & made["second"]
    for direction, can in made.items():
        for which, word in ((there.same, "the same person"), (~there.same, "different people")):
            if not (can & which).any():
                where = "in both directions" if direction == "mean" else f"enrolling the {direction}"
                got = f"no face in any of {int(which.sum())}"
                raise UserError("pairs", f"none of {word} to compare, {where}", "some with faces", got)
    if (folds := len(np.unique(there.fold))) < 2:
        raise UserError("pairs", "too few for a threshold from other folds", "two folds", folds)
    both = there.only(made["first"]), back.only(made["second"])
    asked = Pairs(*(np.concatenate([getattr(p, k) for p in both]) for k in ("enrol", "probe", "same", "fold")))
    found = evaluate.score_pairs(g.spec, g.weights, g.scales, chosen.faces, asked, progress=progress, by_c=by_c)
    scores: dict[str, evaluate.Scores] = {d: {} for d in DIRECTIONS}
    for kind, values in found.items():
        parts = np.split(values, [int(made["first"].sum())])
        for direction, part in zip(("first", "second"), parts, strict=True):
            scores[direction][kind] = np.full(len(there.same), np.nan)
            scores[direction][kind][made[direction]] = part
        scores["mean"][kind] = (scores["first"][kind] + scores["second"][kind]) / 2
    return Scored(there, scores, made)


def summary(chosen: EvalSet, g: Generator, scored: Scored) -> dict[str, Any]:
    """Everything as plain values for JSON; the headline's figures at the top, as "float" and "int8"."""
    same = scored.pairs.same
    by = {d: {k: asdict(f) for k, f in scored.figures(d).items()} for d in DIRECTIONS}
    return {
        "pairs": len(same),
        "genuine": int(same.sum()),
        "impostor": int((~same).sum()),
        "folds": len(np.unique(scored.pairs.fold)),
        "enrolled": "first",
        **by["first"],
        "enrolled_second": by["second"],
        "mean_of_both_directions": {"takes": "two nets a pair, which no chip does", **by["mean"]},
        "broken_images": len(chosen.faces.broken),
        "broken": _named(chosen.faces.broken),
        "failure_to_enrol": _failures(chosen.to_enrol),
        "failure_to_acquire": _failures(chosen.to_acquire),
        "pairs_that_count_as_errors": int((~scored.made["first"]).sum()),
        "generator_sha256": g.sha256,
        "netspec": g.spec.id,
        "backbone_name": g.backbone,
        "backbone_sha256": g.backbone_sha256,
        "pairs_sha256": chosen.pairs_sha256,
        "crops_sha256": chosen.crops_sha256,
    }


def _failures(f: Failed) -> dict[str, Any]:
    return {"photos": f.photos, "failed": len(f.reasons), "rate": f.rate, "images": _named(f.reasons)}


def _named(reasons: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"image": name, "reason": reason} for name, reason in reasons]
