"""Both stages of training on people who are a few numbers: settings that learn in seconds, and their runs."""

from __future__ import annotations

import json
from pathlib import Path

from synthetic_faces import DIMENSION, TOY

from hyper_mcu.hypertrain import distill, hyper, loop
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.personal import Personal

SHAPE = Shape(DIMENSION, 32, 4, first=4)
FIRST = distill.Settings(steps=8, batch=40, warmup=2, lr=1e-2)
SECOND = hyper.Settings(steps=50, people=12, photos=3, nets=12, mixtures=12, warmup=5, lr=3e-3, bce=0.03)
RUN = loop.Run(every=25, log=25, device="cpu")
ABOUT = About(TOY, "ab" * 32, "")


def distilled(people: Faces, out: Path, c: distill.Settings = FIRST) -> distill.Trunk:
    stage = distill.Distill(distill.Trunk(TOY, DIMENSION, 0), people, c, RUN)
    loop.train(stage, people, RUN, ABOUT, out)
    return stage.module


def personal(hgen: HGen, people: Faces, out: Path, c: hyper.Settings = SECOND, run: loop.Run = RUN) -> HGen:
    stage = hyper.Hyper(Personal(hgen), people, c, run)
    loop.train(stage, people, run, ABOUT, out)
    return stage.module.hgen


def log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
