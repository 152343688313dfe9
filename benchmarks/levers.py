"""What does each lever of the personal stage bring? One change at a time, from one trunk, under one budget.

Rows `first K`: the stages from K on and the head are personal, so that `first 10` is a personal head over a shared
trunk, and what the rows below it add is what personal weights bring. The other rows change one setting of `base`. What
the shared stages make of each image and of its mirror image is computed once, so rows see no other views of them; but
those of `augmented` do, step by step as in `hyper-mcu train`, and compare with each other; those of `views` see one
view of each image instead (hyper_mcu.hypertrain.views). `mirrored images too`: nets look a second time, at the mirror
image, and both scores are added, which takes a device twice as long. `changes begin at random`: the heads that write
them begin with weights of a standard deviation of SPREAD, instead of 0. `learning rate 3e-4 to the end`: it does not
fall after the warm-up.
Figures are of float nets, in rows `quantised` of nets with the roundings of the integers; every held-out person's first
photo enrolled and asked about all photos of all of them: equal error rate, and FNMR at two FMR. `start` is the trunk
with its linear head, not trained any further.

    python benchmarks/levers.py --faces FACES --steps 1000 --save benchmarks/results/levers.json

A result that is in the file already is not made again: a call that was stopped goes on, and more seeds are added. Each
has the commit that made it: code that only rounds otherwise moved `base` by 0.3 points of FNMR.
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import comparison
import numpy as np
import torch
from held_out import both_sides, rates, scores
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu import generator
from hyper_mcu.codegen import files
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import (
    augment,
    checkpoint,
    config,
    data,
    distill,
    evaluate,
    export,
    finish,
    loop,
    sampling,
    schedule,
    start,
)
from hyper_mcu.hypertrain.average import Average
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.hyper import Hyper
from hyper_mcu.hypertrain.personal import Personal
from hyper_mcu.hypertrain.qat import Quantiser

BASE = (
    "run.device=cpu", "run.threads=1", "distill.steps=0",
    "hgen.first=8", "hgen.rank=16", "hgen.width=512",
    "hyper.people=48", "hyper.photos=4", "hyper.unlabelled=64", "hyper.nets=32", "hyper.mixtures=32",
    "hyper.teacher=20", "hyper.emphasis=4", "hyper.bce=0", "hyper.lr=3e-4",
    "hyper.check_nets=16", "hyper.check_images=64",
)  # fmt: skip
SPREAD = 1e-3
SHARP = ("hyper.contrast=1", "hyper.temperature=0.02", "hyper.labelled=true")
BOTH = (*SHARP, "hyper.both_ways=true")
HARD = ("hyper.hard=32", "hyper.random=32")
SHIPPED_LOSS = (*BOTH, "hyper.teacher=2", "hyper.balance=0.5")
TIMES = {"twice": 2, "four times": 4}


def more(times: int) -> tuple[str, ...]:
    """So many times the people and the nets of BASE."""
    return f"hyper.people={48 * times}", f"hyper.nets={32 * times}", f"hyper.mixtures={32 * times}"


ROWS: dict[str, tuple[str, ...]] = {
    "start": ("hyper.steps=0",),
    "start, mirrored images too": ("hyper.steps=0",),
    "base": (),
    **{f"first {k}": (f"hgen.first={k}",) for k in (10, 9, 7, 6, 4)},
    "channels alone": ("hgen.rank=0",),
    "rank 4": ("hgen.rank=4",),
    "rank 64": ("hgen.rank=64",),
    "full kernels": ("hgen.rank=-1",),
    "changes begin at random": (),
    "width 256": ("hgen.width=256",),
    "width 1024": ("hgen.width=1024",),
    "two hidden layers": ("hgen.depth=2",),
    "refined once": ("hgen.refine=2",),
    "no mixtures": ("hyper.nets=64", "hyper.mixtures=0"),
    "mixtures alone": ("hyper.nets=1", "hyper.mixtures=63"),
    "draws from the distribution of embeddings instead of mixtures": ("hyper.drawn=true",),
    "no noise": ("hyper.noise=0",),
    "noise 0.5": ("hyper.noise=0.5",),
    "dropout 0.2": ("hyper.dropout=0.2",),
    "labels alone": ("hyper.teacher=0", "hyper.bce=0.05"),
    "labels too": ("hyper.bce=0.005",),
    "soft targets too": ("hyper.soft=0.5",),
    "soft targets too, half at 0.2": ("hyper.soft=0.5", "hyper.soft_zero=0.2"),
    "soft targets too, half as wide": ("hyper.soft=0.5", "hyper.soft_width=0.05"),
    "contrast too": ("hyper.contrast=0.3",),
    "contrast too, temperature 0.02": ("hyper.contrast=1", "hyper.temperature=0.02"),
    "contrast too, with labels, temperature 0.02": SHARP,
    "contrast too, both ways": BOTH,
    "contrast both ways, a tenth of the squared differences": (*BOTH, "hyper.teacher=2"),
    "contrast both ways, no squared differences": (*BOTH, "hyper.teacher=0"),
    "contrast both ways, a tenth, sets balanced": SHIPPED_LOSS,
    **{f"contrast both ways, a tenth, sets balanced, first {k}": (*SHIPPED_LOSS, f"hgen.first={k}") for k in (10, 6)},
    **{
        f"contrast both ways, a tenth, sets balanced, first 10, {name} the people and nets": (
            *SHIPPED_LOSS, "hgen.first=10", *more(times), "hyper.chunk=32",
        )
        for name, times in TIMES.items()
    },
    "no emphasis": ("hyper.emphasis=0",),
    "emphasis 16": ("hyper.emphasis=16",),
    "no images of nobody": ("hyper.unlabelled=0", "hyper.people=64"),
    "clusters": ("hyper.clusters=50",),
    "L_norm a hundred times": ("hyper.alpha_from=1e-3", "hyper.alpha_to=1e-3"),
    "SGD as published": ("hyper.optimiser=sgd", "hyper.lr=1e-3", "hyper.weight_decay=1e-4"),
    "SGD, learning rate 3e-2": ("hyper.optimiser=sgd", "hyper.lr=3e-2"),
    "learning rate 1e-4": ("hyper.lr=1e-4",),
    "learning rate 1e-3": ("hyper.lr=1e-3",),
    "learning rate 3e-4 to the end": (),
    "statistics follow": ("hyper.statistics=0.02",),
    "weights averaged": ("run.ema=0.99",),
    "learning rate 1e-3, weights averaged": ("hyper.lr=1e-3", "run.ema=0.99"),
    "sets balanced": ("hyper.balance=0.5",),
    "views": ("views.each=1",),
    "views, enrolled too": ("views.each=1", "hyper.enrolled=views"),
    "hard pairs": HARD,
    "hard pairs, twice the people and nets": (*HARD, *more(2)),
    **{f"hard pairs, first {k}": (f"hgen.first={k}", *HARD) for k in (6, 4)},
    "augmented": (),
    "augmented, quantised in training": ("hyper.qat=true",),
    "augmented, quantised in training, scales as calibrated": ("hyper.qat=true",),
    "augmented, quantised afterwards": (),
    "augmented, the trunk too": ("hyper.trunk=true",),
}  # fmt: skip


class Seen(Personal):
    """Nets that are shown maps instead of images."""

    def shared(self, x: Tensor, amp: bool = True) -> Tensor:
        """The maps themselves."""
        return x


def maps(module: Personal, crops: data.Crops, path: Path) -> NDArray[np.float16]:
    """What the shared stages make of each image and of its mirror image (2, N, C, H, W), mapped from `path`."""
    c, h, w = module.shared(augment.plain(crops[:1], module.hgen.spec.height)).shape[1:]
    shape = (2, len(crops), c, h, w)
    if not path.exists():
        with files.replacing(path) as part:
            found = np.memmap(part, np.float16, "w+", shape=shape)
            for i in range(0, shape[1], 256):
                x = augment.plain(crops[i : i + 256], module.hgen.spec.height)
                for side, seen in enumerate((x, x.flip(3))):
                    found[side, i : i + 256] = module.shared(seen).half().numpy()
            found.flush()
    return np.memmap(path, np.float16, "r", shape=shape)


def spread(module: Personal, seed: int) -> None:
    """Weights of the heads that are 0 become random ones of the standard deviation SPREAD."""
    g = torch.Generator().manual_seed(seed)
    h = module.hgen
    for layer in (*h.scale.values(), *h.shift.values(), *h.up.values(), h.head):
        (weight, *_) = layer.parameters()
        with torch.no_grad():
            weight.copy_(SPREAD * torch.randn(weight.shape, generator=g))


def calibrated(module: Personal, faces: data.Faces) -> Quantiser:
    """A quantiser with the scales that a generator of these weights would ship."""
    spec = module.hgen.spec
    return Quantiser(spec, evaluate.calibrate(spec, finish.weights_of(module.hgen), faces))


def train(stage: Hyper, seen: NDArray[np.float16], falls: bool = True) -> None:
    """The stage to its end on maps, a side of each image at random; falls: so does the learning rate."""
    optimiser, average = stage.optimiser(), Average(stage.module, stage.run.ema)
    for step in range(1, stage.steps + 1):
        rows = stage.rows(step)
        side = sampling.rng(stage.run.seed, step, "side").integers(0, 2, len(rows))
        schedule.set_lr(optimiser, stage.rate(step if falls else min(step, stage.c.warmup)))
        optimiser.zero_grad(set_to_none=True)
        stage.backward(step, rows, torch.from_numpy(seen[side, rows]).float())
        optimiser.step()
        average.follow(step)
    with average.shown():
        last = {k: v.clone() for k, v in stage.module.state_dict().items()}
    stage.module.load_state_dict(last)


def figures(name: str, seed: int, steps: int, root: Path, cache: Path, trunk: Path) -> comparison.Figures:
    """EER, and FNMR at FMR 1e-2 and 1e-3, of a row's nets; processor seconds of its training."""
    sets = [f"run.seed={seed}", f"run.every={steps}", f"hyper.steps={steps}", f"hyper.warmup={min(30, steps // 2)}"]
    c = config.read(None, [*sets, *BASE, *ROWS[name]])
    torch.set_num_threads(1)
    faces = data.load(root, cache)
    shared, _ = export.restore(trunk)
    base = distill.Trunk(shared.spec, faces.dimension, seed)
    start.to_trunk(shared, base)
    module = Personal(start.from_trunk(base, c.hgen, seed))
    if name == "changes begin at random":
        spread(module, seed)
    if c.hyper.qat:
        quantiser = calibrated(module, faces)
        module.hgen.quantiser = quantiser.requires_grad_(not name.endswith("scales as calibrated"))
    begin = time.process_time()
    if c.hyper.steps and not name.startswith("augmented"):
        shown = comparison.shown(c, faces, cache)
        stem = f"maps-{generator.load(trunk).sha256[:16]}-{faces.sha256[:16]}-{c.hgen.first}"
        if shown:
            stem += f"-views-{zlib.crc32(repr((c.views, seed)).encode()):08x}"
        with torch.no_grad():
            seen = maps(module, shown.crops if shown else faces.crops, cache / f"{stem}.f16")
        begin = time.process_time()
        train(Hyper(Seen(module.hgen), faces, c.hyper, c.run, shown), seen, not name.endswith("to the end"))
    elif c.hyper.steps:
        about_it = About(shared.spec, faces.backbone_sha256, "")
        with TemporaryDirectory() as out:  # where it ends, not where a check was best
            loop.train(Hyper(module, faces, c.hyper, c.run), faces, c.run, about_it, Path(out))
            last = checkpoint.read(Path(out) / "last.safetensors")
        checkpoint.fill(last, module, shared.spec, faces.backbone_sha256)
    seconds = time.process_time() - begin
    if name.endswith("quantised afterwards"):
        module.hgen.quantiser = calibrated(module, faces)
    index = faces.select("val")
    look = both_sides if name.endswith("mirrored images too") else scores
    return {**rates(look(module, faces, index), faces, index), "seconds": seconds}


def main() -> None:
    parser = comparison.parser("Controlled comparisons of the personal stage.", 1000, "of 64 nets on 256 images")
    parser.add_argument("--trunk", type=Path, default=SHIPPED, help="what every row starts from")
    o = parser.parse_args()
    told = {"trunk": generator.load(o.trunk).sha256, "base": BASE}
    comparison.run(parser, o, ROWS, figures, (o.steps, o.faces, o.cache, o.trunk), told)


if __name__ == "__main__":
    main()
