"""The training loop that every stage runs through: step, log, check, save, go on where it was stopped.

A stage says which images a step sees, makes the gradients and checks itself on held-out people. Every random draw is a
function of the seed and the step, so a run that goes on from a checkpoint makes the same weights as one that never
stopped. Under torchrun each process works on its share and the gradients are averaged.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import augment, checkpoint, processes, schedule
from hyper_mcu.hypertrain.average import Average
from hyper_mcu.hypertrain.checkpoint import About
from hyper_mcu.hypertrain.data import Crops, Faces
from hyper_mcu.hypertrain.journal import Journal, Watch, unwatched
from hyper_mcu.hypertrain.settings import at_least, one_of, share


@dataclass(frozen=True)
class Run:
    """How it runs. every: steps between checks on the held-out people, each of which saves; log: steps between rows of
    the log; ema: decay of the average of the weights that is checked and kept instead of the last ones, 0 for none;
    device: cpu, cuda, mps or auto; amp: bfloat16 where it pays; threads: of torch, 0 leaves them."""

    seed: int = 0
    every: int = 250
    log: int = 25
    ema: float = 0.0
    device: str = "auto"
    amp: bool = True
    threads: int = 0

    def __post_init__(self) -> None:
        at_least("run", self, seed=0, every=1, log=1, threads=0)
        share("run", self, "ema")
        if self.ema == 1:
            raise UserError("run.ema", "an average that stays where it began", "below 1", self.ema)
        one_of("run", self, device=("auto", "cpu", "cuda", "mps"))

    def on(self) -> torch.device:
        """The device; raises UserError where this machine has none of that kind."""
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        name = next(k for k, v in there.items() if v) if self.device == "auto" else self.device
        if not there[name]:
            have = ", ".join(k for k, v in there.items() if v)
            raise UserError("run.device", "no such device here", have, name)
        return torch.device(name, processes.local_rank()) if name == "cuda" else torch.device(name)


@dataclass(frozen=True)
class Outcome:
    """What a stage came to: its steps, the seconds that they and the checks took, the step of the best check (0: where
    it began) and the EER of that check, 0…1, which is of other pairs than a generator's."""

    stage: str
    steps: int
    seconds: float
    best_step: int
    check_eer: float


class StoppedError(UserError):
    """A signal ended the run, which was saved before; who catches it says how it goes on."""


class Stage(Protocol):
    """One stage of training. module: all that is trained and its buffers, which is what a checkpoint keeps."""

    @property
    def name(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def module(self) -> torch.nn.Module: ...

    @property
    def unit(self) -> str:
        """What `backward` counts: pairs, or images."""

    def optimiser(self) -> torch.optim.Optimizer:
        """A new optimiser over the module's parameters."""

    def rate(self, step: int) -> float:
        """Learning rate of step 1…steps."""

    def shown(self, step: int) -> tuple[Crops, bool]:
        """What the rows of a step are of, and whether it is views already; of a set's own images they are made then."""

    def rows(self, step: int) -> NDArray[np.int64]:
        """The images of a step."""

    def part(self, count: int) -> slice:
        """Those of so many images that this process looks at."""

    def backward(self, step: int, rows: NDArray[np.int64], x: Tensor) -> tuple[dict[str, Tensor], int]:
        """Puts the gradients of a step into the module, averaged over processes; the parts of the loss, and how
        many units it took. x: the augmented input (M, 3, H, W) of this process's part of `rows`."""

    def check(self) -> dict[str, float]:
        """Figures on the held-out people, `val_eer` among them."""


def train(
    stage: Stage, faces: Faces, run: Run, about: About, out: Path, resume: bool = False, watch: Watch = unwatched
) -> Outcome:
    """Runs a stage to its end; its module is then the state that was best on the held-out people. The seconds of what
    comes back are the first process's.

    Writes out/last.safetensors (to go on from), out/best.safetensors, out/log.jsonl and out/tensorboard/. resume: goes
    on from out/last.safetensors where there is one. Raises StoppedError when a signal came; the step is finished and
    saved before.
    """
    last, best = out / "last.safetensors", out / "best.safetensors"
    optimiser, start, least = stage.optimiser(), 0, 1.0
    if resume and last.exists():
        c = checkpoint.read(last)
        checkpoint.fill(c, stage.module, about.spec, about.backbone_sha256)
        checkpoint.fill_optimiser(c, optimiser)
        start = c.about.step
    average = Average(stage.module, run.ema)
    if start:
        average.fill(c)
    first = processes.rank() == 0
    journal = Journal(out, stage.name, stage.steps, _header(about), watch, start, stage.unit) if first else None

    def save(path: Path, step: int, with_optimiser: bool) -> None:
        _finite({name: p.abs().max() for name, p in stage.module.named_parameters() if p.numel()})
        if first:
            now = replace(about, stage=stage.name, step=step, best=least)
            goes_on = (optimiser, average.state()) if with_optimiser else (None, None)
            checkpoint.save(path, stage.module, now, *goes_on)

    device, kind = run.on(), torch.bfloat16 if run.amp else torch.float32
    with _signals() as stopped:
        if start == 0:
            least, top = _check(stage)["val_eer"], 0
            if journal:
                journal.row(0, val_eer=least)
            save(best, 0, False)
            kept = _copy(stage.module)
        else:
            c = checkpoint.read(best)  # later than `last` where the run was killed between the two
            kept, least, top = c.module, c.about.best, c.about.step
        steps, mark = range(start + 1, stage.steps + 1), time.monotonic()
        batches = augment.batches(stage.shown, stage.rows, steps, run.seed, about.spec.height, stage.part)
        for step, rows, x in batches:
            schedule.set_lr(optimiser, stage.rate(step))
            optimiser.zero_grad(set_to_none=True)
            parts, pairs = stage.backward(step, rows, x.to(device, kind, non_blocking=True))
            optimiser.step()
            average.follow(step)
            if journal:
                journal.count(pairs, time.monotonic() - mark)
            numbers: dict[str, float] = {}
            if step % run.log == 0 or step == stage.steps:
                numbers |= _finite(parts)
            if checked := step % run.every == 0 or step == stage.steps:
                with average.shown():
                    found = _check(stage)
                    if found["val_eer"] < least:
                        least, top = found["val_eer"], step
                        save(best, step, False)
                        kept = _copy(stage.module)
                numbers |= found
            if journal and numbers:
                journal.row(step, **numbers)
            halt = processes.highest(max(stopped, default=0))
            if checked or halt:
                save(last, step, True)
            if halt:
                raise StoppedError(stage.name, f"stopped by {signal.Signals(halt).name} after step {step:,}, saved")
            mark = time.monotonic()
    if journal:
        journal.close(top, least)
    stage.module.load_state_dict(kept)
    return Outcome(stage.name, stage.steps, round(journal.seconds, 1) if journal else 0.0, top, least)


def _check(stage: Stage) -> dict[str, float]:
    """What the first process's check found, in all processes: they are to keep the same step."""
    found = stage.check()
    return dict(zip(found, processes.agreed(np.array(list(found.values()))).tolist(), strict=True))


def _copy(module: torch.nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in module.state_dict().items()}


def _header(about: About) -> dict[str, object]:
    return {"spec": about.spec.id, "spec_sha256": about.spec.sha256, "config": json.loads(about.config)}


def _finite(parts: dict[str, Tensor]) -> dict[str, float]:
    """The numbers, means over processes; raises UserError, in all of them, where one is none."""
    numbers = processes.mean({k: float(v.detach()) for k, v in parts.items()})
    bad = [k for k, v in numbers.items() if not np.isfinite(v)]
    if bad:
        raise UserError("training", bad[0], "finite numbers; a lower learning rate", numbers[bad[0]])
    return numbers


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and the first SIGINT instead of dying of them; a second SIGINT interrupts at once."""
    got: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number in got and number == signal.SIGINT:
            raise KeyboardInterrupt
        got.append(number)

    try:
        before: dict[int, Any] = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield got
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
