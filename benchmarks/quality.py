"""Which photos are too poor to enrol, and what the limits of enrolment cost: pose, embedding norm, one person's photos.

Every photo of the held-out people is enrolled by the shipped generator, and its net (float) is asked about up to 8
other photos of the person and 16 of others. Errors go by what is measured on the enrolled photo; FNMR and FMR are those
at the threshold where both are equal over all of them. Held-out photos were cleaned, so poor ones are made: copies,
damaged in seven ways, of which those count that the checks of light and sharpness let pass. Pose is also asked of CFP,
where nets from the front and nets from the side are asked about the same frontal photos. Sets of a person's photos, and
the same with a stranger's among them, are counted as refused or not, and pairs of photos, of two people and of one, as
`alike` or not. FTE is the share of photos that are refused.

    python benchmarks/quality.py --faces FACES --save benchmarks/results/quality.json
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from record import about

from hyper_mcu import generator, photos
from hyper_mcu.faces import Crop
from hyper_mcu.faces.backbone import Backbone, backbone
from hyper_mcu.faces.detect import Face, detect
from hyper_mcu.faces.quality import SHARP, SPREAD, TURNED, luminance, sharpness, turned
from hyper_mcu.hypertrain import data, evaluate
from hyper_mcu.hypertrain.data import Faces, central, layout
from hyper_mcu.hypertrain.data.crops import Decoded
from hyper_mcu.hypertrain.metrics import equal_error, rates
from hyper_mcu.hypertrain.protocols import Pairs, cfp

OWN, OTHERS = 8, 16  # photos of the person, and of others, that a net is asked about
FEW = 30  # comparisons from which on a rate is told
EVERY = 4  # of so many people the first photo of one is damaged
SETS = 10  # drawn of each person and size
TURNS = (0.15, 0.2, 0.25, 0.3, 0.35)
NORMS = (14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0)
COSINES = (0.2, 0.25, 0.3, 0.35)
SAME = (0.25, 0.3, 0.35)
DAMAGE = ("blurred", "small", "noisy", "dark", "packed", "covered", "shifted")
CFP = ("frontal-01", "frontal-02", "profile-01", "profile-02")  # photos of each person of CFP that are looked at
Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What enrolment measures on photos (N,): turned (NaN: no face found), norm, sharp, spread."""

    turned: Values
    norm: Values
    sharp: Values
    spread: Values

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Lit and sharp, as both were checked before."""
        return (self.sharp >= SHARP) & (self.spread >= SPREAD)


def measured(crops: NDArray[np.uint8], norm: NDArray[np.floating], *, pose: bool = True) -> Measured:
    """Of crops (N, S, S, 3) whose embeddings have that norm (N,); without pose, turned is 0."""
    rows, everywhere = [], np.ones((112, 112), bool)
    for crop in crops:
        middle = central(crop)
        low, high = np.percentile(luminance(middle), [5, 95])
        rows.append((turn_of(crop) if pose else 0.0, sharpness(middle, everywhere), high - low))
    turns, sharp, spread = np.array(rows).T
    return Measured(turns, norm.astype(np.float64), sharp, spread)


def turn_of(crop: NDArray[np.uint8]) -> float:
    """How far the face in the middle of a crop is turned aside; NaN where the detector finds none."""
    middle = crop.shape[0] / 2

    def off(face: Face) -> float:
        return float(np.hypot(*(face.landmarks.mean(0) - middle)))

    found = detect(np.ascontiguousarray(crop))
    return turned(min(found, key=off).landmarks) if found else np.nan


def norms(h_bb: Backbone, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lengths (N,) of the embeddings of the central parts of crops (N, S, S, 3)."""
    found = [
        np.linalg.norm(h_bb.look(central(crops[i : i + 32]))[:, : h_bb.dimension], axis=1)
        for i in range(0, len(crops), 32)
    ]
    return np.concatenate(found).astype(np.float32)


def of_cfp_photos(root: Path, cache: Path, h_bb: Backbone) -> tuple[Faces, NDArray[np.str_]]:
    """The photos CFP of each person of CFP, and which it is of these; of the first of each kind embeddings too."""
    source = layout.read(root, "shards", cache)
    kinds = np.array([cfp.photo(n).rpartition("/")[2] for n in source.names.tolist()])
    rows = np.flatnonzero(np.isin(kinds, CFP))
    crops, kinds = Decoded(source, rows, 128), kinds[rows]
    first = np.flatnonzero(np.char.endswith(kinds, "01"))
    embeddings = np.zeros((len(rows), 2, h_bb.size), np.float16)
    embeddings[first] = data.embedded(crops[first], h_bb)
    people = np.array([cfp.photo(n).rpartition("/")[0] for n in source.names[rows].tolist()])
    nobody = np.zeros(len(rows), "U1")
    return Faces(crops, embeddings, people, nobody, source.names[rows], dimension=h_bb.dimension), kinds


def damaged(crop: NDArray[np.uint8], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Copies of a crop (112, 112, 3), one of each of DAMAGE, of a random strength."""
    blur = cv2.GaussianBlur(crop, (0, 0), rng.uniform(1, 5))
    side = int(rng.integers(14, 56))  # 5 to 18 pixels between the eyes
    small = cv2.resize(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), (112, 112))
    noisy = crop + rng.normal(0, rng.uniform(10, 100), crop.shape)
    dark = (crop * rng.uniform(0.12, 0.4) + rng.normal(0, 8, crop.shape)).clip(0) * 2
    packed = BytesIO()
    Image.fromarray(crop).save(packed, "JPEG", quality=int(rng.integers(1, 15)))
    covered = crop.copy()
    top, height = rng.integers(20, 80), rng.integers(15, 60)
    covered[top : top + height] = rng.integers(0, 256, 3)
    shift = np.array([[1, 0, rng.uniform(-40, 40)], [0, 1, rng.uniform(-40, 40)]])
    beside = cv2.warpAffine(crop, shift, (112, 112), borderMode=cv2.BORDER_REPLICATE)
    made = (blur, small, noisy, dark, np.asarray(Image.open(packed)), covered, beside)
    return [np.ascontiguousarray(m).clip(0, 255).astype(np.uint8) for m in made]


@dataclass(frozen=True)
class Nets:
    """Nets of enrolled photos and their scores: net (P,) by number, scores (P,), same (P,)."""

    net: Rows
    scores: Values
    same: NDArray[np.bool_]
    threshold: float

    def errors(self, which: NDArray[np.bool_]) -> dict[str, float | int]:
        """Of some of the nets, bool (N,): how many, EER, and FNMR and FMR at the threshold."""
        asked = which[self.net]
        genuine, impostor = self.scores[asked & self.same], self.scores[asked & ~self.same]
        found: dict[str, float | int] = {"nets": int(which.sum()), "genuine": len(genuine)}
        if min(len(genuine), len(impostor)) >= FEW:
            fmr, fnmr = rates(genuine, impostor, self.threshold)
            found |= {"eer": equal_error(genuine, impostor).eer, "fnmr": fnmr, "fmr": fmr}
        return found


def asked(
    g: generator.Generator,
    faces: Faces,
    enrolled: Rows,
    probes: Rows,
    identity: NDArray[np.str_],
    shown: Rows | None = None,
    at: float | None = None,
) -> Nets:
    """Nets of the rows `enrolled`, whose people are `identity`, asked about some of the rows `probes`, but not
    about the photo that was enrolled, or where it is a copy, the photo that was copied, `shown`; at: the threshold, by
    default the equal-error one."""
    rng, rows = np.random.default_rng(1), list[tuple[int, int, bool]]()
    own = faces.identity[probes]
    for k, (row, name) in enumerate(zip(enrolled if shown is None else shown, identity, strict=True)):
        mine, others = probes[(own == name) & (probes != row)], probes[own != name]
        rows += [(k, p, True) for p in rng.permutation(mine)[:OWN]]
        rows += [(k, p, False) for p in rng.choice(others, OTHERS, replace=False)]
    net, probe, same = (np.array(c) for c in zip(*rows, strict=True))
    pairs = Pairs(enrolled[net], probe, same.astype(bool), np.zeros(len(net), np.int64))
    scores = evaluate.score_pairs(g.spec, g.weights, None, faces, pairs)["float"]
    equal = equal_error(scores[pairs.same], scores[~pairs.same]).threshold
    return Nets(net, scores, pairs.same, equal if at is None else at)


def bins(nets: Nets, values: Values, edges: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Errors by the value of the enrolled photo, between edges."""
    return [{"from": float(a), "to": float(b), **nets.errors((values >= a) & (values < b))} for a, b in pairwise(edges)]


def tenths(nets: Nets, values: Values) -> list[dict[str, Any]]:
    """Errors by tenths of the values."""
    edges = np.nanpercentile(values, np.arange(0, 101, 10))
    edges[-1] = np.nextafter(edges[-1], np.inf)
    return bins(nets, values, edges)


def limits(nets: Nets, bad: dict[float, NDArray[np.bool_]], identity: NDArray[np.str_]) -> list[dict[str, Any]]:
    """By limit: errors of the nets that it refuses, of those that it accepts, and of these of the same people alone."""
    rows = []
    for limit, refused in bad.items():
        same = np.isin(identity, identity[refused]) & ~refused
        parts = {"refused": refused, "accepted": ~refused, "accepted_of_the_same_people": same}
        rows.append({"limit": limit, "fte": refused.mean(), **{k: nets.errors(v) for k, v in parts.items()}})
    return rows


def agreement(
    e: NDArray[np.float32], identity: NDArray[np.str_], h_bb: Backbone, limit: float, k: int
) -> dict[str, Any]:
    """Sets of k photos of a person, and the same with a stranger's as the last, by `photos.strangers`."""
    rng = np.random.default_rng(k)
    judge = replace(h_bb, limits=replace(h_bb.limits, agree=limit))
    counts, total = Counter[str](), 0
    crop = Crop(np.empty((0, 0, 3), np.uint8), Face((0, 0, 0, 0), np.empty((0, 2), np.float32), 0), 1, 1)

    def refused(rows: Rows) -> set[int]:
        return set(photos.strangers([photos.Photo(Path(), crop, e[i : i + 1], 0.0, ()) for i in rows], judge))

    for name in np.unique(identity):
        own, others = np.flatnonzero(identity == name), np.flatnonzero(identity != name)
        if len(own) < k:
            continue
        for _ in range(SETS):
            rows = rng.choice(own, k, replace=False)
            mixed = np.append(rows[:-1], rng.choice(others))
            total += 1
            counts["own"] += bool(refused(rows))
            found = refused(mixed)
            counts["passed"] += not found
            counts["right"] += found == ({0, 1} if k == 2 else {k - 1})
    return {
        "limit": limit,
        "photos": k,
        "sets": total,
        "own_sets_refused": counts["own"] / total,
        "sets_with_a_stranger_accepted": counts["passed"] / total,
        "stranger_alone_named": counts["right"] / total,
    }


def alike(e: NDArray[np.float32], identity: NDArray[np.str_], limit: float) -> dict[str, Any]:
    """How many pairs of two people, by the first photo of each, reach a cosine, and which share of one person's."""
    first = np.unique(identity, return_index=True)[1]
    same, upper = identity[:, None] == identity[None], np.triu(np.ones((len(e), len(e)), bool), 1)
    own, others = (e @ e.T)[same & upper], (e[first] @ e[first].T)[np.triu_indices(len(first), 1)]
    return {
        "limit": limit,
        "pairs_of_two": len(others),
        "of_two_alike": int((others >= limit).sum()),
        "of_one_alike": float((own >= limit).mean()),
    }


def refusals(m: Measured, norm: float) -> dict[str, Any]:
    """Of aligned photos: the share refused at the shipped limits, and by reason (a photo may have several)."""
    why = {
        "no face found": np.isnan(m.turned),
        "turned aside": m.turned > TURNED,
        "short embedding": m.norm < norm,
        "blurred": m.sharp < SHARP,
        "badly lit": m.spread < SPREAD,
    }
    fte = np.any(list(why.values()), 0).mean()
    return {"photos": len(m.norm), "fte": float(fte), **{k: float(v.mean()) for k, v in why.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description="Limits of enrolment, and what they cost.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv and cfp/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    g = generator.load()
    h_bb = backbone(g.backbone)
    faces = data.load(o.faces, o.cache, h_bb)
    index = faces.select("val")
    identity = faces.identity[index]
    val = measured(faces.crops[index], norms(h_bb, faces.crops[index]))
    nets = asked(g, faces, index, index, identity)
    said: dict[str, Any] = {"turned": tenths(nets, val.turned), "norm": tenths(nets, val.norm)}
    said["turned_tail"] = bins(nets, val.turned, np.array([0, *TURNS, 1.0]))
    said["turned_limits"] = limits(nets, {t: val.turned > t for t in TURNS}, identity)
    said["norm_limits"] = limits(nets, {n: val.norm < n for n in NORMS}, identity)
    show("val by turned", said["turned"])
    show("val by turned, the tail", said["turned_tail"])
    show("val by norm", said["norm"])

    first = np.unique(identity, return_index=True)[1][::EVERY]
    rng = np.random.default_rng(2)
    made = np.stack([c for i in first for c in damaged(central(faces.crops[index[i]]), rng)])
    e, norm = h_bb.enrol_and_norm(made)
    poor = measured(made, norm, pose=False)
    twice = e[:, None].repeat(2, 1).astype(np.float16)
    both = replace(faces, embeddings=np.concatenate([faces.embeddings, twice]))
    rows = np.arange(len(faces.embeddings), len(both.embeddings))
    of = first.repeat(len(made) // len(first))
    copies = asked(g, both, rows, index, identity[of], index[of], nets.threshold)
    clear = np.where(poor.clear, poor.norm, np.nan)
    kind = np.arange(len(made)) % len(DAMAGE)
    said["damaged_by_kind"] = {
        name: {
            "copies": int((kind == k).sum()),
            "lit_and_sharp": int((poor.clear & (kind == k)).sum()),
            "of_these_short": int((poor.clear & (kind == k) & (poor.norm < h_bb.limits.norm)).sum()),
        }
        for k, name in enumerate(DAMAGE)
    }
    said["damaged"] = bins(copies, clear, np.array([0, *NORMS, 40.0]))
    show("damaged copies, lit and sharp, by norm", said["damaged"])

    sides, kinds = of_cfp_photos(o.faces / "cfp", o.cache, h_bb)
    aside = measured(sides.crops[:], norms(h_bb, sides.crops[:]))
    asking, probes = np.flatnonzero(np.char.endswith(kinds, "01")), np.flatnonzero(kinds == "frontal-02")
    of_cfp = asked(g, sides, asking, probes, sides.identity[asking])
    front = kinds[asking] == "frontal-01"
    said["cfp_by_kind"] = {k: of_cfp.errors(v) for k, v in (("frontal", front), ("profile", ~front))}
    said["cfp_turned"] = bins(of_cfp, aside.turned[asking], np.array([0, *TURNS, 1.0]))
    show("CFP by turned", said["cfp_turned"])

    def part(kind: str) -> Measured:
        rows = np.char.startswith(kinds, kind)
        return Measured(*(v[rows] for v in (aside.turned, aside.norm, aside.sharp, aside.spread)))

    sets = {"val": val, "CFP frontal": part("frontal"), "CFP profile": part("profile")}
    for what, candidates in (("turned", TURNS), ("norm", NORMS)):
        for limit, row in zip(candidates, said[f"{what}_limits"], strict=True):
            row["fte_by_set"] = {
                name: float((m.turned > limit if what == "turned" else m.norm < limit).mean())
                for name, m in sets.items()
            }
            show_limit(what, row)
    said["failure_to_enrol"] = {name: refusals(m, h_bb.limits.norm) for name, m in sets.items()}
    whole = faces.enrolled(index)
    said["agreement"] = [agreement(whole, identity, h_bb, c, k) for k in (2, 3, 4) for c in COSINES]
    for row in (*said["failure_to_enrol"].items(), *said["agreement"]):
        print(row)
    said["alike"] = [alike(whole, identity, c) for c in SAME]
    print(said["alike"])
    if o.save:
        shipped = {"turned": TURNED, "norm": h_bb.limits.norm, "agree": h_bb.limits.agree, "same": h_bb.limits.same}
        head = {**about(o.faces), "generator_sha256": g.sha256, "backbone": h_bb.name, "limits": shipped}
        o.save.write_text(json.dumps({**head, **rounded(said)}, indent=2) + "\n")


def rounded(value: Any) -> Any:
    """The same with five digits behind the point."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(float(value), 5) if isinstance(value, (float, np.floating)) else value


def percent(row: dict[str, Any]) -> str:
    """Errors in a line."""
    if "eer" not in row:
        return f"{row['nets']:5} nets"
    return f"{row['nets']:5} nets, EER {row['eer']:6.2%}, FNMR {row['fnmr']:6.2%}, FMR {row['fmr']:6.2%}"


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table of bins."""
    print(f"\n{title}")
    for row in rows:
        print(f"{row['from']:8.3f} to {row['to']:6.3f}: {percent(row)}", flush=True)


def show_limit(what: str, row: dict[str, Any]) -> None:
    """A limit: who fails to enrol, and the errors of those refused and accepted."""
    fte = ", ".join(f"{name} {rate:.1%}" for name, rate in row["fte_by_set"].items())
    print(f"\n{what} {row['limit']}: FTE {fte}")
    for part in ("refused", "accepted", "accepted_of_the_same_people"):
        print(f"{part.replace('_', ' '):28}{percent(row[part])}", flush=True)


if __name__ == "__main__":
    main()
