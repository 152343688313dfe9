"""What of a net is personal, and what is that worth?

`tensors`: what h_gen writes, over one net for each photo of the held-out people. `change`: how far nets are from their
mean, root mean square, by the mean's length; `dimensions`: how many principal directions hold 90, 99 and 99.9 % of the
variance. `rows`: EER and FNMR as by held_out.py, of each person's first photo, of nets in which some tensors are
everybody's, the mean over these nets; in the last row that of the head is left which is linear in e. Nothing is
trained: what shared stages can learn to make up for is in levers.json, rows `first K`.

    python benchmarks/personal.py --faces FACES --save benchmarks/results/personal.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from held_out import first_photos, rates
from leakage import head
from record import about
from torch import Tensor

from hyper_mcu import generator
from hyper_mcu.codegen.netspec import Conv
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import data, export
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.personal import Personal, scores_of

SHARES = (0.9, 0.99, 0.999)
HEAD = "head.weight"


def written(hgen: HGen) -> dict[str, slice]:
    """Where in θ the tensors lie that h_gen writes, by their names."""
    shared = 2 * sum(isinstance(s.layer, Conv) for s in hgen.spec.stages[: hgen.shape.first])
    return {t.name: slice(t.offset, t.offset + t.size) for t in hgen.spec.tensors[shared:]}


def change(raw: Tensor) -> dict[str, float | list[int]]:
    """`change` and `dimensions` of a tensor of N nets (N, size)."""
    mean = raw.double().mean(0)
    off = raw - mean
    variance = torch.linalg.svdvals(off).square()
    held = variance.cumsum(0) / variance.sum()
    return {
        "change": float(off.square().sum(1).mean().sqrt() / mean.norm()),
        "dimensions": [int((held < s).sum()) + 1 for s in SHARES],
    }


def alike(hgen: HGen, raw: Tensor, names: Iterable[str]) -> Tensor:
    """θ (N, params) in which the tensors of these names are the mean over nets."""
    found, places = raw.clone(), written(hgen)
    for name in names:
        found[:, places[name]] = raw[:, places[name]].mean(0)
    return found


def rows(hgen: HGen, e: Tensor) -> dict[str, Tensor]:
    """Nets (N, params) of embeddings e (N, D) by the name of their row."""
    raw, names = hgen.raw(e), [n for n in written(hgen) if n != HEAD]
    stages = list(dict.fromkeys(n.split(".")[0] for n in names))
    found = {"as generated": raw}
    for stage in stages:
        found[f"{stage} shared"] = alike(hgen, raw, [n for n in names if n.split(".")[0] == stage])
    for kind, said in (("weight", "weights"), ("bias", "biases")) if stages else ():
        found[f"{said} of {' and '.join(stages)} shared"] = alike(hgen, raw, [n for n in names if n.endswith(kind)])
    found["all but the head shared"] = alone = alike(hgen, raw, names)
    if hgen.linear is not None:
        linear = e[:, : hgen.shape.embedding] @ hgen.linear.T
        beside = (head(hgen, e) - linear).mean(0)  # the same for everybody
        found["and the head linear in e"] = only = alone.clone()
        only[:, written(hgen)[HEAD]] = linear + beside
    return found


def lines(found: dict[str, dict[str, float]]) -> Iterator[str]:
    """The rows as a table in Markdown."""
    yield "| | EER | FNMR at FMR 1e-2 | at 1e-3 |"
    yield "| --- | --- | --- | --- |"
    for name, f in found.items():
        yield f"| {name} | {f['eer']:.1%} | {f['fnmr_1e-02']:.1%} | {f['fnmr_1e-03']:.1%} |".replace("%", " %")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="What of a generated net is personal, and what that is worth.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--generator", type=Path, default=SHIPPED, help="default: the shipped one")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="the figures, as JSON")
    o = parser.parse_args()
    faces, module = data.load(o.faces, o.cache), Personal(export.restore(o.generator)[0])
    hgen, index = module.hgen, faces.select("val")
    everybody = hgen.raw(torch.from_numpy(faces.enrolled()[index]))
    tensors = {name: change(everybody[:, place]) for name, place in written(hgen).items()}
    for name, t in tensors.items():
        print(f"{name:32}change {t['change']:.3f}, dimensions {t['dimensions']}", flush=True)
    found = {}
    for name, raw in rows(hgen, torch.from_numpy(faces.enrolled()[index[first_photos(faces, index)]])).items():
        found[name] = rates(scores_of(module, torch.split(module.nets(raw), 16), faces, index), faces, index)
    print("\n".join(lines(found)))
    if o.save:
        told = {
            **about(o.faces), "generator_sha256": generator.load(o.generator).sha256, "nets": len(index),
            "shares": SHARES, "tensors": tensors, "rows": found,
        }  # fmt: skip
        o.save.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
