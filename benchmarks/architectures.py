"""Which f, and which head? Distils the trunk of every candidate under one budget and prints what it costs and reaches.

Costs are the cost model of hyper_mcu.codegen.presets; accuracies are of the float trunk with the linear head, before
anything is personal: equal error rate over all pairs of the held-out people, and CFP's ten folds.

    python benchmarks/architectures.py --faces FACES --steps 600 --save benchmarks/results/architectures.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from record import about

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec
from hyper_mcu.codegen.presets import cost, preset, same
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.hypertrain import data, distill, loop, metrics, protocols
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.protocols import EvalSet

PAPER = preset("paper@1")


def candidates() -> dict[str, NetSpec]:
    """paper@1 and what it was chosen against."""
    body = PAPER.layers[:-3]
    pooled = (*body, same(3, 64, 64, 16, 2), same(1, 64, 96, 2), same(1, 96, 64, relu=False))
    depthwise = (*body, same(3, 64, 64, 16, 2), same(1, 64, 64), Conv(7, 1, "valid", 64, 64, 64, relu=False))
    narrow = (same(3, 3, 12, stride=2), same(3, 12, 32, 4, 2), *PAPER.layers[2:])
    residual = (*PAPER.layers[:7], Add(4), *PAPER.layers[7:])
    return {
        "paper@1: 7×7×20 map, CosDot": PAPER,
        "the same, Dot": replace(PAPER, id="dot", head=Head("dot")),
        "pooled 64-vector, CosDot": replace(PAPER, id="pooled", layers=pooled, head=Head("cosdot", True)),
        "7×7 depthwise to 64, CosDot": replace(PAPER, id="depthwise", layers=depthwise),
        "12 channels at the start": replace(PAPER, id="narrow", layers=narrow),
        "an Add over stage 5 and 6": replace(PAPER, id="residual", layers=residual),
    }


def measure(spec: NetSpec, faces: data.Faces, sets: dict[str, EvalSet], steps: int) -> dict[str, Any]:
    """Costs and accuracies of one candidate."""
    run = loop.Run(every=steps, device="cpu")
    settings = distill.Settings(steps=steps, warmup=min(steps // 4, 100))
    stage = distill.Distill(distill.Trunk(spec, faces.dimension, run.seed), faces, settings, run)
    with TemporaryDirectory() as out:
        loop.train(stage, faces, run, About(spec, faces.backbone_sha256, stage.name), Path(out))
    return {**asdict(cost(spec)), **stage.check(), **{name: accuracy(stage.module, s) for name, s in sets.items()}}


@torch.no_grad()
def accuracy(trunk: distill.Trunk, chosen: EvalSet) -> float:
    """Ten-fold accuracy, the first photo of each pair enrolled."""
    faces, pairs = chosen.faces, chosen.pairs
    heads = trunk.enrol(torch.from_numpy(faces.enrolled()[:, : faces.dimension])).numpy()
    looks = distill.look_all(trunk, faces, np.arange(len(faces.names)))
    scores = (heads[pairs.enrol] * looks[pairs.probe]).sum(1)
    return metrics.ten_folds(scores, pairs.same, pairs.fold)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs and accuracies of candidates for f under one budget.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv and cfp/")
    parser.add_argument("--steps", type=int, default=600, help="steps of 256 images each")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    faces = data.load(o.faces, o.cache)
    h_bb = backbone()
    sets = {p: protocols.load("cfp", o.faces / "cfp", o.cache, h_bb, protocol=p) for p in ("FF", "FP")}
    rows = {}
    print(f"{'candidate':30}{'params':>8}{'M MACs':>8}{'person B':>10}{'RAM rows':>10}{'val EER':>9}{'FF':>8}{'FP':>8}")
    for name, spec in candidates().items():
        r = rows[name] = measure(spec, faces, sets, o.steps)
        print(
            f"{name:30}{r['params']:>8,}{r['macs'] / 1e6:>8.2f}{r['person_bytes']:>10,}{r['ram_bytes']:>10,}"
            f"{r['val_eer']:>9.2%}{r['FF']:>8.2%}{r['FP']:>8.2%}",
            flush=True,
        )
    if o.save:
        o.save.write_text(
            json.dumps({**about(o.faces), "steps": o.steps, "candidates": rows}, indent=2, ensure_ascii=False) + "\n"
        )


if __name__ == "__main__":
    main()
