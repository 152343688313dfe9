"""How well do nets tell people whom their generator has never seen, and how well those whom it was trained on?

The first says what a generator is worth; what lies between both, whether more people or more steps would help. Float
nets, shared stages in bfloat16 as in training, every person's first photo enrolled and asked about all photos of all of
them: equal error rate, and FNMR at several FMR. `val`: all held-out people; `train`: as many others who have two photos
or more. `by_people`: the standard deviation of each FMR, by that of as many independent comparisons, each person's net
asked about one photo of each other one. `by_set`: the only groups that labels tell, people of one data set asked about
each other, at the thresholds that are everybody's. `trained`: the settings that each generator says it was trained by.
`int8`: the rates of int8 scores on the pairs that rates of the shipped file were counted on, at one threshold of plain
scores for everybody. `strangers_told`: how the mean and the spread of strangers' scores on a net go with those of its
embedding's cosines with a photo of each person of the training, and what FNMR that is worth. `both_sides`: the rates of
`val` with the scores of mirror images added. `never_shown`: the rates of the held-out people but for those whom an
unlabelled image of the training may show. `backbone`: the rates of the held-out people by the frozen backbone's own
cosines, with the mirror image on both sides. `others`: by the cosines of OTHERS.

    python benchmarks/held_out.py --faces FACES [GENERATOR …] --save benchmarks/results/held_out.json

Without GENERATOR the shipped one. What the file has of other generators stays there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from record import about

from hyper_mcu import generator
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import backbones, data, evaluate, export, finish
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.data.embeddings import embedded
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.personal import Personal, score_matrix
from hyper_mcu.hypertrain.protocols import val_pairs
from hyper_mcu.hypertrain.sampling import set_of

Image = NDArray[np.uint8]
FMRS = (1e-1, 1e-2, 1e-3, 1e-4)
OTHERS = ("sface",)  # backbones that could teach instead
FEW = 10  # people of a set from which on its rates are told
# Cosine of the backbone from which on an unlabelled image may show a held-out person: 78 % of the pairs of photos of
# one of them reach it, and 7 in a million of those of two.
MAY_SHOW = 0.4


class Seen:
    """Crops as a function of one crop, `through`, shows them (data.Crops): (N, …) of its own shape."""

    def __init__(self, crops: data.Crops, through: Callable[[Image], Image]) -> None:
        self.crops, self.through = crops, through
        self.shape = (len(crops), *through(crops[0]).shape)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: Any, /) -> Image:
        x = self.crops[index]
        return np.stack([self.through(crop) for crop in x]) if x.ndim == 4 else self.through(x)


def first_photos(faces: Faces, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places in `index` (M,) of the first image of each person there."""
    return np.unique(faces.identity[index], return_index=True)[1]


def rates(scores: NDArray[np.float32], faces: Faces, index: NDArray[np.int64]) -> dict[str, float]:
    """EER, and FNMR at FMRS, of scores (people, M) of everybody's first photo, enrolled, on the images `index` (M,)."""
    first, identity = first_photos(faces, index), faces.identity[index]
    same = identity[first][:, None] == identity[None]
    own = first[:, None] == np.arange(len(index))[None]
    return at_fmrs(scores[same & ~own], scores[~same])


def at_fmrs(genuine: NDArray[Any], impostor: NDArray[Any]) -> dict[str, float]:
    """EER, and FNMR at each of FMRS, 0…1, of scores of pairs of one person (G,) and of two (I,)."""
    at = {f"fnmr_{t:.0e}": float((genuine <= np.quantile(impostor, 1 - t)).mean()) for t in FMRS}
    return {"eer": equal_error(genuine, impostor).eer, **at}


def by_set(scores: NDArray[np.float32], faces: Faces, index: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Of each data set with FEW people or more: `people`, `genuine` comparisons, EER, FNMR and FMR, of scores (people,
    M) as in `rates`, at the thresholds for two FMR over all of them; nets are asked about people of their own set."""
    first, identity = first_photos(faces, index), faces.identity[index]
    sets = np.array([set_of(name) for name in faces.names[index]])
    same = identity[first][:, None] == identity[None]
    own = first[:, None] == np.arange(len(index))[None]
    thresholds = {f"{t:.0e}": np.quantile(scores[~same], 1 - t) for t in (1e-2, 1e-3)}
    found = {}
    for name in np.unique(sets):
        here = (sets[first] == name)[:, None] & (sets == name)[None]
        genuine, impostor = scores[here & same & ~own], scores[here & ~same]
        if (people := int((sets[first] == name).sum())) < FEW:
            continue
        at = {f"fnmr_{k}": float((genuine <= t).mean()) for k, t in thresholds.items()}
        at |= {f"fmr_{k}": float((impostor > t).mean()) for k, t in thresholds.items()}
        found[str(name)] = {"people": people, "genuine": len(genuine), "eer": equal_error(genuine, impostor).eer, **at}
    return found


def by_people(scores: NDArray[np.float32], fmrs: Sequence[float] = FMRS) -> dict[str, float]:
    """By FMR the standard deviation of the rate among scores (n, n), a row for each net and a column for each person
    asked about, over that of n(n − 1) independent comparisons. Comparisons that share a person go together (Aronow,
    Samii and Assenova 2015, Cluster-robust variance estimation for dyadic data). The diagonal is not looked at."""
    others = ~np.eye(len(scores), dtype=bool)
    out = {}
    for fmr in fmrs:
        passed = (scores > np.quantile(scores[others], 1 - fmr)) & others
        rate = float(passed[others].mean())
        off = np.where(others, passed - rate, 0.0)
        both = off + off.T  # of two people, and in `shared` of all comparisons with one of them
        shared = both.sum(1)
        variance = (np.square(shared).sum() - np.square(both).sum() / 2) / others.sum() ** 2
        out[f"fmr_{fmr:.0e}"] = float(np.sqrt(variance / (rate * (1 - rate) / others.sum())))
    return out


def plain_rates(g: generator.Generator, hgen: HGen, faces: Faces) -> dict[str, float]:
    """EER and FNMR at FMRS of int8 scores at one threshold for everybody."""
    pairs = val_pairs(faces)
    scored = evaluate.score_pairs(hgen.spec, finish.weights_of(hgen), np.array(g.scales, np.float32), faces, pairs)
    genuine, impostor = (scored["int8"][which] for which in (pairs.same, ~pairs.same))
    return at_fmrs(genuine, impostor)


def strangers_told(scores: NDArray[np.float32], faces: Faces, index: NDArray[np.int64]) -> dict[str, Any]:
    """What embeddings alone tell of strangers, of scores (people, M) as in `rates`: correlations over people of the
    `mean` of strangers' scores and the `sd` of these with those of cosines; and rates of scores from which what that
    tells of the mean was taken (`by_mean`), which were then divided by what it tells of the spread (`by_both`), or
    where both are known (`known`). All is fitted to the people whom it is measured on: other people would gain less."""
    train, first = faces.select("train"), first_photos(faces, index)
    cosines = faces.teacher(index[first]) @ faces.teacher(train[first_photos(faces, train)]).T
    others = np.where(np.eye(len(first), dtype=bool), np.nan, scores[:, first])
    known = np.nanmean(others, 1), np.nanstd(others, 1)
    told = cosines.mean(1), cosines.std(1)
    mean, sd = (np.polyval(np.polyfit(x, y, 1), x) for x, y in zip(told, known, strict=True))

    def scaled(mean: NDArray[Any], sd: NDArray[Any]) -> dict[str, float]:
        return rates((scores - mean[:, None]) / sd[:, None], faces, index)

    correlations = {k: float(np.corrcoef(x, y)[0, 1]) for k, x, y in zip(("mean", "sd"), told, known, strict=True)}
    by_guess = {"by_mean": scaled(mean, np.ones(len(first))), "by_both": scaled(mean, sd)}
    return {**correlations, **by_guess, "known": scaled(*known)}


def never_shown(faces: Faces, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the images `index` (M,) whose people no unlabelled image is like: such images have no names, and are
    learned from."""
    e = faces.teacher()
    closest = (e[index] @ e[faces.select("unlabelled")].T).max(1, initial=-1)
    shown = np.unique(faces.identity[index[closest >= MAY_SHOW]])
    return index[~np.isin(faces.identity[index], shown)]


def measured(scored: NDArray[np.float32], faces: Faces, index: NDArray[np.int64]) -> dict[str, Any]:
    """`rates`, `by_people` and `by_set` of scores (people, M) as in `rates`."""
    return {
        **rates(scored, faces, index),
        "by_people": by_people(scored[:, first_photos(faces, index)]),
        "by_set": by_set(scored, faces, index),
    }


def backbone_scores(faces: Faces, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """The backbone's cosines (people, M) of everybody's first photo with the images `index` (M,)."""
    e = faces.teacher(index)
    cosines: NDArray[np.float32] = e[first_photos(faces, index)] @ e.T
    return cosines


def seen_by(name: str, faces: Faces, index: NDArray[np.int64]) -> Faces:
    """The images `index` (M,) alone, as another backbone embeds their ArcFace crops."""
    parts = [embedded(faces.crops[rows], backbones.load(name)) for rows in np.array_split(index, 1 + len(index) // 256)]
    return replace(
        faces,
        crops=faces.crops[index],
        embeddings=np.concatenate(parts),
        identity=faces.identity[index],
        split=faces.split[index],
        names=faces.names[index],
        dimension=0,
    )


def scores(module: Personal, faces: Faces, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores (people, M) of everybody's first photo, enrolled, on the images `index` (M,)."""
    e = torch.from_numpy(faces.enrolled()[index[first_photos(faces, index)]])
    return score_matrix(module, e, faces, index)


def both_sides(module: Personal, faces: Faces, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores as of `scores`, to which those of the mirror images are added: a device would look twice."""
    mirrored = replace(faces, crops=Seen(faces.crops, np.fliplr))
    return scores(module, faces, index) + scores(module, mirrored, index)


def sides(faces: Faces, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """The images of the held-out people, and those of as many people of the training who have two or more."""
    val, train = faces.select("val"), faces.select("train")
    names, photos = np.unique(faces.identity[train], return_counts=True)
    people = len(np.unique(faces.identity[val]))
    chosen = np.random.default_rng(seed).choice(names[photos > 1], people, replace=False)
    return {"val": val, "train": train[np.isin(faces.identity[train], chosen)]}


def show(name: str, side: str, found: dict[str, Any]) -> None:
    """One line of the rates."""
    figures = ", ".join(f"{k} {v:.2%}" for k, v in found.items() if isinstance(v, float))
    print(f"{name:16} {side:16}{figures}", flush=True)


def of_generator(g: generator.Generator, hgen: HGen, faces: Faces) -> dict[str, Any]:
    """All that the file has of one generator."""
    module, val = Personal(hgen), faces.select("val")
    found: dict[str, Any] = {"trained": g.trained}
    for side, index in sides(faces).items():
        scored = scores(module, faces, index)
        found[side] = measured(scored, faces, index)
        if side == "val":
            found["both_sides"] = rates(both_sides(module, faces, index), faces, index)
            found["strangers_told"] = strangers_told(scored, faces, index)
    found["int8"] = plain_rates(g, hgen, faces)
    unseen = never_shown(faces, val)
    people = len(np.unique(faces.identity[unseen]))
    found["never_shown"] = {"people": people, **rates(scores(module, faces, unseen), faces, unseen)}
    for name in ("val", "train", "both_sides", "strangers_told", "int8", "never_shown"):
        show(g.sha256[:16], name, found[name])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Held-out people beside those of the training.")
    parser.add_argument("generators", nargs="*", type=Path, metavar="GENERATOR", help="default: the shipped one")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="the figures, as JSON")
    o = parser.parse_args()
    faces = data.load(o.faces, o.cache)
    val = faces.select("val")
    rows: dict[str, Any] = {}
    for path in o.generators or [SHIPPED]:
        g = generator.load(path)
        rows[g.sha256] = of_generator(g, export.restore(path)[0], faces)
    backbone = measured(backbone_scores(faces, val), faces, val)
    show("the backbone", "val", backbone)
    others = {}
    for name in OTHERS:
        other, everything = seen_by(name, faces, val), np.arange(len(val))
        others[name] = rates(backbone_scores(other, everything), other, everything)
        show(name, "val", others[name])
    if o.save:
        was = json.loads(o.save.read_text())["generators"] if o.save.exists() else {}
        text = {
            **about(o.faces),
            "backbone": {"sha256": faces.backbone_sha256, "val": backbone},
            "others": others,
            "generators": was | rows,
        }
        o.save.write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
