"""What does each lever of the shared trunk bring? One change at a time, under one budget.

Rows are stage `distill`, from one trunk that is trained already, on views of the images (hyper_mcu.hypertrain.views),
and change one setting of `base`. Those `from scratch` begin with random weights and a higher learning rate, and compare
with each other. Figures are of the trunk with its linear head, before anything is personal: every held-out person's
first photo enrolled and asked about all photos of all of them, equal error rate, and FNMR at several FMR; `damaged_…`
are the same, asked about those photos with cameras' defects, twice as often as the views of `base` have them. Rows
`grey` and `of 56×56 pixels` see such images in training and after it, the one `in the first half` in that of the steps.
`start` is not trained.

    python benchmarks/trunks.py --faces FACES --steps 500 --save benchmarks/results/trunks.json

A result that is in the file already is not made again: a call that was stopped goes on, and more seeds are added.
Architectures are compared by architectures.py, what is personal by levers.py.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import comparison
import cv2
import numpy as np
import torch
from held_out import Image, Seen, first_photos, rates

from hyper_mcu import generator
from hyper_mcu.generator import SHIPPED
from hyper_mcu.hypertrain import checkpoint, config, data, distill, export, loop, pipeline, start, views
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data.faces import central

BASE = (
    "run.device=cpu", "run.threads=1", "hyper.steps=0", "distill.batch=256", "distill.lr=1.5e-3",
    "views.each=6", "views.half=true", "views.blended=0.6", "views.parts=0.6", "views.turned=0.15", "views.yaw=40",
    "views.camera=0.25",
)  # fmt: skip
DAMAGE = 0.5  # a share as views.camera is one
SCRATCH = ("distill.lr=3e-3",)
ROWS: dict[str, tuple[str, ...]] = {
    "start": ("distill.steps=0", "distill.warmup=0"),
    "base": (),
    "own photo alone": ("distill.partner=0",),
    "always a random photo of the person": ("distill.partner=1",),
    "no contrast": ("distill.contrast=0",),
    "three times the contrast": ("distill.contrast=3",),
    "temperature 0.01": ("distill.temperature=0.01",),
    "temperature 0.02": ("distill.temperature=0.02",),
    "temperature 0.02, always a random photo of the person": ("distill.temperature=0.02", "distill.partner=1"),
    "temperature 0.02, three times the contrast": ("distill.temperature=0.02", "distill.contrast=3"),
    "temperature 0.02, always a random photo of the person, 1,024 strangers": (
        "distill.temperature=0.02",
        "distill.partner=1",
        "distill.strangers=1024",
    ),
    "temperature 0.03": ("distill.temperature=0.03",),
    "temperature 0.2": ("distill.temperature=0.2",),
    "no squared differences": ("distill.relation=0",),
    "squared differences alone": ("distill.direct=0", "distill.contrast=0"),
    "own cosine of no weight": ("distill.direct=0",),
    "no isometry": ("distill.isometry=0",),
    "no views": ("views.each=0",),
    "two views of each image": ("views.each=2",),
    "twelve views of each image": ("views.each=12",),
    "views of one person each": ("views.blended=0", "views.each=2"),
    "two views of each image, none in parts": ("views.parts=0", "views.each=2"),
    "two views of each image, none turned": ("views.turned=0", "views.each=2"),
    "two views of each image, without cameras' defects": ("views.camera=0", "views.each=2"),
    "learning rate 5e-4": ("distill.lr=5e-4",),
    "learning rate 5e-3": ("distill.lr=5e-3",),
    "weights averaged": ("run.ema=0.99",),
    "float32": ("run.amp=false",),
    "grey": (),
    "of 56×56 pixels": (),
    "from scratch": SCRATCH,
    "from scratch, learning rate 1e-2": ("distill.lr=1e-2",),
    "from scratch, of 56×56 pixels in the first half": SCRATCH,
    "from scratch, weights standardised": (*SCRATCH, "net.norm=weight-standardised"),
    "from scratch, weights standardised, learning rate 1e-2": ("distill.lr=1e-2", "net.norm=weight-standardised"),
    "from scratch, each image normalised": (*SCRATCH, "net.norm=instance"),
    "from scratch, each pixel normalised": (*SCRATCH, "net.norm=pixel-channel"),
}


def coarse(crop: Image) -> Image:
    """A crop (S, S, 3) of half the resolution."""
    side = crop.shape[0]
    small = cv2.resize(crop, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def damaged(crop: Image) -> Image:
    """The ArcFace crop (112, 112, 3) of a crop (S, S, 3) with defects, drawn by its bytes: always the same ones."""
    middle = np.ascontiguousarray(central(crop))
    return views.through_camera(middle, DAMAGE, np.random.default_rng(zlib.crc32(middle.tobytes())))


class Sharpening(distill.Distill):
    """Stage `distill` on images of half the resolution in the first half of its steps, of the whole one then."""

    def shown(self, step: int) -> tuple[data.Crops, bool]:
        crops, are_views = super().shown(step)
        return (Seen(crops, coarse) if 2 * step <= self.steps else crops), are_views


def figures(name: str, seed: int, steps: int, root: Path, cache: Path, begin: Path) -> comparison.Figures:
    """EER, and FNMR at FMR 1e-2 and 1e-3, of a row's trunk; processor seconds of its training."""
    sets = [
        f"run.seed={seed}",
        f"run.every={steps}",
        f"distill.steps={steps}",
        f"distill.warmup={min(100, steps // 4)}",
    ]
    c = config.read(None, [*BASE, *sets, *ROWS[name]])
    torch.set_num_threads(1)
    faces = data.load(root, cache)
    shown = comparison.shown(c, faces, cache)
    probed = {"": faces, "damaged_": replace(faces, crops=Seen(faces.crops, damaged))}
    if through := {"grey": views.grey, "of 56×56 pixels": coarse}.get(name):
        faces = replace(faces, crops=Seen(faces.crops, through))
        probed = {prefix: replace(f, crops=Seen(f.crops, through)) for prefix, f in probed.items()}
        shown = replace(shown, crops=Seen(shown.crops, through)) if shown else None
    trunk = distill.Trunk(pipeline.spec_of(c), faces.dimension, seed)
    if not name.startswith("from scratch"):
        start.to_trunk(export.restore(begin)[0], trunk)
    mark, about = time.process_time(), About(trunk.spec, faces.backbone_sha256, "")
    with TemporaryDirectory() as out:  # where it ends, not where a check was best
        if c.distill.steps:
            stage = Sharpening if name.endswith("in the first half") else distill.Distill
            loop.train(stage(trunk, faces, c.distill, c.run, shown), faces, c.run, about, Path(out))
            last = checkpoint.read(Path(out) / "last.safetensors")
            trunk.load_state_dict({**last.module, **last.average})
    seconds = time.process_time() - mark
    index = faces.select("val")
    e = torch.from_numpy(faces.enrolled()[index[first_photos(faces, index)]])
    with torch.no_grad():
        heads = trunk.enrol(e).numpy()
    found: dict[str, float] = {}
    for prefix, asked in probed.items():
        of = rates(heads @ distill.look_all(trunk, asked, index).T, faces, index)
        found |= {prefix + k: v for k, v in of.items()}
    return {**found, "seconds": seconds}


def main() -> None:
    parser = comparison.parser("Controlled comparisons of the shared trunk.", 500, "of 256 images")
    parser.add_argument("--trunk", type=Path, default=SHIPPED, help="what rows start from")
    o = parser.parse_args()
    told = {"trunk": generator.load(o.trunk).sha256, "base": BASE}
    comparison.run(parser, o, ROWS, figures, (o.steps, o.faces, o.cache, o.trunk), told)


if __name__ == "__main__":
    main()
