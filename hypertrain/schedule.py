"""What changes over a run, as pure functions of the step: learning rate, batch, α_norm, start of KCS; the optimisers.

Steps count from 1 to `steps`. Nothing here has a state, so a run that goes on has nothing to restore but the
optimiser's moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.settings import at_least, warmup_within

SHAPES = ("linear", "cosine")
OPTIMISERS = ("adamw", "sgd")


def lr(step: int, peak: float, warmup: int, steps: int) -> float:
    """Learning rate: linear to `peak` at step `warmup`, then a cosine that reaches zero after the last step."""
    if step <= warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - 1 - warmup) / max(steps - warmup, 1))))


def people(step: int, first: int, double_at: Sequence[float], steps: int) -> int:
    """People B of a step: `first`, doubled at each of the given shares of the run."""
    return first * 2 ** sum(step > math.floor(s * steps) for s in double_at)


def alpha_norm(step: int, low: float, high: float, until: float, shape: str, steps: int) -> float:
    """α_norm: rises from `low` at step 1 to `high`, reached after the share `until` of the run.

    shape: `linear`, or `cosine`: low + (high − low)·(1 − cos πx)/2, which leaves and arrives slowly.
    """
    x = min(1.0, (step - 1) / (until * steps)) if until * steps > 0 else 1.0
    return low + (high - low) * (x if shape == "linear" else (1 - math.cos(math.pi * x)) / 2)


@dataclass(frozen=True)
class Moment:
    """What holds at a step."""

    step: int
    people: int
    lr: float
    alpha_norm: float
    clustered: bool  # batches come from K-means clusters


@dataclass(frozen=True)
class Schedule:
    """The schedules of hypernetwork training. Defaults are the paper's where it gives a number: SGD's peak rate with a
    CNN backbone, 3000 steps of warm-up, three doublings, KCS after 100k steps. Raises UserError for what cannot be.

    people: of the first batches; double_at: shares of the run after which the batch doubles; alpha_from, alpha_to,
    alpha_until, alpha_shape: see `alpha_norm`; cluster_start: steps before KCS.
    """

    steps: int
    lr: float = 1e-3
    warmup: int = 3000
    people: int = 16
    double_at: tuple[float, ...] = (0.05, 0.1, 0.15)
    alpha_from: float = 1e-6
    alpha_to: float = 1e-5
    alpha_until: float = 0.5
    alpha_shape: str = "linear"
    cluster_start: int = 100_000

    def __post_init__(self) -> None:
        at_least("hyper", self, steps=0, lr=0, warmup=0, people=1, alpha_from=0, alpha_until=0, cluster_start=0)
        at_least("hyper", self, alpha_to=self.alpha_from)
        if self.alpha_until > 1:
            raise UserError("hyper.alpha_until", "out of range", "a share of 0…1", self.alpha_until)
        if any(not 0 < s < 1 for s in self.double_at) or sorted(set(self.double_at)) != list(self.double_at):
            raise UserError("hyper.double_at", "not shares of the run", "rising numbers in 0…1", self.double_at)
        if self.alpha_shape not in SHAPES:
            raise UserError("hyper.alpha_shape", "unknown", " or ".join(SHAPES), self.alpha_shape)
        warmup_within("hyper", self)

    @property
    def most_people(self) -> int:
        """People of the last and largest batches."""
        return self.people * 2 ** len(self.double_at)

    def at(self, step: int) -> Moment:
        """What holds at step 1…steps."""
        return Moment(
            step,
            people(step, self.people, self.double_at, self.steps),
            lr(step, self.lr, self.warmup, self.steps),
            alpha_norm(step, self.alpha_from, self.alpha_to, self.alpha_until, self.alpha_shape, self.steps),
            step > self.cluster_start,
        )


def changes(schedule: Schedule) -> list[Moment]:
    """The first and the last step, and those where something begins or has arrived."""
    s = schedule
    steps = {1, s.warmup, math.floor(s.alpha_until * s.steps) + 1, s.cluster_start + 1, s.steps}
    steps |= {math.floor(share * s.steps) + 1 for share in s.double_at}
    return [s.at(step) for step in sorted(steps) if 1 <= step <= s.steps]


def table(schedule: Schedule, photos: int) -> str:
    """`changes` as lines for the log; photos: of each person in a batch."""
    lines = ["    step  people  images        lr    α_norm  sampling"]
    for m in changes(schedule):
        kind = "KCS" if m.clustered else "uniform"
        lines.append(f"{m.step:8d}  {m.people:6d}  {m.people * photos:6d}  {m.lr:8.2e}  {m.alpha_norm:8.2e}  {kind}")
    return "\n".join(lines)


def build_optimiser(groups: Sequence[dict[str, Any]], kind: str, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum 0.9 as in the paper, over parameter groups; its rate is zero until `set_lr`.

    A group may have its own `weight_decay`, and a `factor` of the learning rate. Raises UserError for another kind.
    """
    if kind == "adamw":
        return torch.optim.AdamW(list(groups), lr=0.0, weight_decay=weight_decay)
    if kind == "sgd":
        return torch.optim.SGD(list(groups), lr=0.0, momentum=0.9, weight_decay=weight_decay)
    raise UserError("optimiser", "unknown", " or ".join(OPTIMISERS), kind)


def set_lr(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, times each group's `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
