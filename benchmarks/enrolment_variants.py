"""Is one photo enough? The enrolments of the paper's Discussion, by the shipped generator, int8.

Held-out people with more than four photos are enrolled in each of the ways of hyper_mcu.hypertrain.enrolment, from
their first photos; all are asked about the same later photos of theirs and about strangers. `fmr_at`: how many of the
other people, a later photo of each, pass at the thresholds for these rates, which are set for one photo and its mirror
image. The Discussion's other idea, θ in several steps, takes another h_gen:
`hyper-mcu ablate --rows full --set hgen.refine=3` beside Table II.

    python benchmarks/enrolment_variants.py --faces FACES --save benchmarks/results/enrolment_variants.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import about

from hyper_mcu import generator
from hyper_mcu.faces.backbone import Backbone, backbone
from hyper_mcu.hypertrain import data, enrolment, evaluate
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.metrics import figures
from hyper_mcu.hypertrain.protocols import Pairs

PHOTOS = 4  # of each person, to enrol with
STRANGERS = 24  # asked about a person
VIEWS = 8
FMRS = (1e-2, 1e-3)
Way = Callable[[Backbone, NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class People:
    """Held-out people: their first photos int64 (P, PHOTOS), and whom each is asked about, for accuracy and for FMR."""

    first: NDArray[np.int64]
    pairs: Pairs
    strangers: Pairs  # a later photo of every other one


def people(faces: Faces, seed: int = 1) -> People:
    """Those of split val with more than PHOTOS photos; their folds are of people."""
    rng, first, later = np.random.default_rng(seed), list[NDArray[np.int64]](), list[int]()
    rows = list[tuple[int, int, bool, int]]()
    index = faces.select("val")
    identity = faces.identity[index]
    for name in np.unique(identity):
        own, others = index[identity == name], index[identity != name]
        if len(own) <= PHOTOS:
            continue
        fold = len(first) % 10 + 1
        first.append(own[:PHOTOS])
        later.append(own[PHOTOS])
        rows += [(own[0], probe, True, fold) for probe in own[PHOTOS:]]
        rows += [(own[0], probe, False, fold) for probe in rng.choice(others, STRANGERS, replace=False)]
    enrol, probed, same, folds = (np.array(column) for column in zip(*rows, strict=True))
    one, another = np.nonzero(~np.eye(len(first), dtype=bool))
    nobody = np.zeros(len(one), bool)
    strangers = Pairs(np.array(first)[one, 0], np.array(later)[another], nobody, nobody.astype(np.int64))
    return People(np.array(first), Pairs(enrol, probed, same.astype(bool), folds), strangers)


def ways() -> dict[str, Way]:
    """Each way to enrol from the crops (PHOTOS, S, S, 3) of a person."""

    def of(count: int) -> Way:
        return lambda h_bb, crops: enrolment.photos(h_bb, list(crops[:count]))

    return {
        "one photo": lambda h_bb, crops: enrolment.one_photo(h_bb, crops[0]),
        "one photo and its mirror image (enroll)": lambda h_bb, crops: enrolment.flipped(h_bb, crops[0]),
        f"one photo, its mirror image, {VIEWS} views": lambda h_bb, crops: enrolment.augmented(
            h_bb, crops[0], VIEWS, 0
        ),
        "two photos": of(2),
        "three photos": of(3),
        "four photos": of(4),
    }


def enrolled(faces: Faces, chosen: People, way: Way, h_bb: Backbone) -> Faces:
    """The same faces, in which the first photo of each chosen person stands for the whole enrolment."""
    embeddings = np.array(faces.embeddings)
    for photos in chosen.first:
        embeddings[photos[0], :, : faces.dimension] = way(h_bb, faces.crops[photos])
    return replace(faces, embeddings=embeddings)


def measured(g: generator.Generator, faces: Faces, chosen: People) -> dict[str, Any]:
    """Accuracy (mean, SD over ten folds of people) and EER of both arithmetics, and FMR at thresholds."""
    scores = evaluate.score_pairs(g.spec, g.weights, g.scales, faces, chosen.pairs)
    told = {kind: asdict(figures(s, chosen.pairs.same, chosen.pairs.fold)) for kind, s in scores.items()}
    return told | {"fmr_at": let_in(g, faces, chosen.strangers)}


def let_in(g: generator.Generator, faces: Faces, strangers: Pairs) -> dict[str, float]:
    """The share of pairs of two people that pass at the thresholds which enrolment sets for FMRS, int8."""
    scores = evaluate.score_pairs(g.spec, g.weights, g.scales, faces, strangers)["int8"]
    mean, sd = np.array([g.rates.strangers.moments(e) for e in faces.enrolled(strangers.enrol)]).T
    return {f"{target:g}": float(((scores - mean) / sd >= g.rates.at(target).z).mean()) for target in FMRS}


def main() -> None:
    parser = argparse.ArgumentParser(description="Enrolment from more than one photo.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    g = generator.load()
    h_bb = backbone(g.backbone)
    faces = data.load(o.faces, o.cache, h_bb)
    chosen = people(faces)
    genuine = int(chosen.pairs.same.sum())
    print(f"{len(chosen.first)} people, {genuine} genuine, {len(chosen.pairs.same) - genuine} impostor pairs")
    rows: dict[str, Any] = {}
    for name, way in ways().items():
        rows[name] = measured(g, enrolled(faces, chosen, way, h_bb), chosen)
        show(name, rows[name])
    if o.save:
        said = {**about(o.faces), "generator_sha256": g.sha256, "people": len(chosen.first), "ways": rows}
        o.save.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def show(name: str, row: dict[str, Any]) -> None:
    """A line of the table."""
    r = row["int8"]
    let_in = ", ".join(f"FMR {share:.2%} at {target}" for target, share in row["fmr_at"].items())
    print(
        f"{name:42} accuracy {r['accuracy_mean']:.2%} ± {r['accuracy_sd']:.2%}   EER {r['eer']:.2%}   {let_in}",
        flush=True,
    )


if __name__ == "__main__":
    main()
