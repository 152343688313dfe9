"""Which f, and which head? Measures what every candidate costs, and distils its trunk under one budget.

Costs are of the product's own code for a person with random weights: instructions on emulated cores, bytes of the
session, of a person and of the code. The accuracy is of the float trunk with the linear head, before anything is
personal: equal error rate over all pairs of the held-out people, best of the checks. moulded_eer: the same of a trunk
that was fitted to the shipped generator's and not trained; none where that cannot be.

    python benchmarks/architectures.py --faces FACES --steps 1000 --seeds 2 --save benchmarks/results/architectures.json

A result that is in the file already is not made again: a call that was stopped goes on, and more seeds are added. A
candidate that cannot be trained is named and left out. The first version of this, with CFP's accuracies and without
instructions, compared heads: `heads.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import comparison
import torch
from record import about

from hyper_mcu.cli.bench import result
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, Layer, NetSpec, Shuffle
from hyper_mcu.codegen.presets import cost, preset, same
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import data, distill, loop, pipeline
from hyper_mcu.hypertrain.checkpoint import About

PAPER = preset("paper@1")
TARGETS = ("m4", "m55", "rv32imc")


def candidates() -> dict[str, NetSpec]:
    """paper@1 and what may be better, or cheaper."""
    start, body, end = PAPER.layers[:2], PAPER.layers[2:7], PAPER.layers[7:]
    narrow = (same(3, 3, 8, stride=2), same(3, 8, 32, 2, 2))
    mixed = (*body[:3], Shuffle(2), *body[3:])  # the halves of stage 4 reach both halves of stage 6
    pooled = (same(3, 64, 64, 16, 2), same(1, 64, 96, 2), same(1, 96, 64, relu=False))
    depthwise = (same(3, 64, 64, 16, 2), same(1, 64, 64), Conv(7, 1, "valid", 64, 64, 64, relu=False))
    deep = (*mixed, Add(4), same(3, 64, 64, 16), same(1, 64, 64, 4), Add(7))

    def of(*layers: Layer, head: Head = PAPER.head) -> NetSpec:
        return replace(PAPER, id="candidate", layers=layers, head=head)

    def closing(width: int) -> tuple[Layer, ...]:
        return same(3, 64, 64, 16, 2), same(1, 64, width), same(1, width, 20, relu=False)

    return {
        "paper@1": PAPER,
        "Dot instead of CosDot": of(*PAPER.layers, head=Head("dot")),
        "pooled 64-vector": of(*start, *body, *pooled, head=Head("cosdot", True)),
        "7×7 depthwise to 64": of(*start, *body, *depthwise),
        "12 channels at the start": of(same(3, 3, 12, stride=2), same(3, 12, 32, 4, 2), *body, *end),
        "8 channels at the start": of(*narrow, *body, *end),
        "Add": of(*start, *body, Add(4), *end),
        "Shuffle": of(*start, *mixed, *end),
        "Shuffle, Add": of(*start, *mixed, Add(4), *end),
        "8, Add": of(*narrow, *body, Add(4), *end),
        "8, Shuffle, Add": of(*narrow, *mixed, Add(4), *end),
        "8, one more block, Shuffle, Adds": of(*narrow, *deep, *closing(50)),
    }  # fmt: skip


def costs(spec: NetSpec) -> dict[str, Any]:
    """What one person costs."""
    told = result([seeded(spec)], TARGETS, 1, "", lambda text: None)["targets"]
    keys = ("instructions", "instructions_per_mac", "ram_bytes", "text_bytes")
    return {**asdict(cost(spec)), "targets": {name: {k: t[k] for k in keys} for name, t in told.items()}}


def error(name: str, seed: int, steps: int, root: Path, cache: Path) -> float:
    """The best EER of a trunk's checks, by one thread."""
    torch.set_num_threads(1)
    spec, faces = candidates()[name], data.load(root, cache)
    run = loop.Run(seed=seed, every=max(steps // 4, 1), device="cpu")
    settings = distill.Settings(steps=steps, warmup=min(steps // 4, 100))
    stage = distill.Distill(distill.Trunk(spec, faces.dimension, run.seed), faces, settings, run)
    with TemporaryDirectory() as out:
        about_it = About(spec, faces.backbone_sha256, stage.name)
        return loop.train(stage, faces, run, about_it, Path(out)).check_eer


def moulded(spec: NetSpec, faces: data.Faces) -> float | None:
    """The EER of a trunk that was fitted to the shipped generator's; None where the architectures do not correspond."""
    trunk = distill.Trunk(spec, faces.dimension, 0)
    try:
        pipeline.mould_from(SHIPPED, trunk, faces, 0)
    except UserError:
        return None
    return distill.check(trunk, faces, faces.select("val"))["val_eer"]


def lines(rows: dict[str, Any]) -> Iterator[str]:
    """The table."""
    yield (
        f"{'':34}{'params':>7}{'M MACs':>8}{'person B':>10}{'session':>9}"
        + "".join(f"{f'M {t}':>11}" for t in TARGETS)
        + f"{'moulded':>9}{'EER, each seed':>20}"
    )
    for name, r in rows.items():
        yield (
            f"{name:34}{r['params']:>7,}{r['macs'] / 1e6:>8.2f}{r['person_bytes']:>10,}{r['ram_bytes']:>9,}"
            + "".join(f"{r['targets'][t]['instructions'] / 1e6:>11.2f}" for t in TARGETS)
            + ("–" if r["moulded_eer"] is None else f"{r['moulded_eer']:.2%}").rjust(9)
            + f"{' '.join(f'{v:.2%}' for v in r['val_eer'].values()):>20}"
        )


def main() -> None:
    parser = comparison.parser("Costs and accuracies of candidates for f under one budget.", 1000, "of 256 images")
    o = parser.parse_args()
    chosen = o.only.split(";") if o.only else list(candidates())
    if unknown := set(chosen) - set(candidates()):
        parser.error(f"--only: no candidates: {'; '.join(sorted(unknown))}")
    was = json.loads(o.save.read_text()) if o.save.exists() else {"steps": o.steps, "candidates": {}}
    if was.get("steps") != o.steps:
        parser.error(f"--save: {o.save} is of another number of steps: {was.get('steps')}")
    rows: dict[str, Any] = was["candidates"]
    faces = data.load(o.faces, o.cache)  # embedded once, not by every process
    for name, spec in candidates().items():
        if name in chosen:
            trained = rows.get(name, {}).get("val_eer", {})
            rows[name] = {**costs(spec), "moulded_eer": moulded(spec, faces), "val_eer": trained}

    def save() -> None:
        told = {**about(o.faces), "steps": o.steps, "candidates": rows}
        o.save.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")

    wanted = [(n, seed) for seed in range(o.seeds) for n in chosen if str(seed) not in rows[n]["val_eer"]]
    for name, seed, eer in comparison.results_of(error, wanted, (o.steps, o.faces, o.cache), o.processes):
        rows[name]["val_eer"][str(seed)] = eer
        print(f"{name}, seed {seed}: {eer:.2%}", flush=True)
        save()
    save()
    print("\n".join(lines(rows)))


if __name__ == "__main__":
    main()
