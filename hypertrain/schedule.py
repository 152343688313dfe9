"""What changes over a run, as pure functions of the step: learning rate, batch, α_norm; the optimisers.

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
from hyper_mcu.hypertrain.settings import at_least, one_of, share, warmup_within

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

    people: int
    lr: float
    alpha_norm: float


@dataclass(frozen=True)
class Schedule:
    """The schedules of stage `hyper`, of its settings. Raises UserError for what cannot be.

    people: of the first batches; double_at: shares of the run after which the batch doubles; alpha_from, alpha_to,
    alpha_until, alpha_shape: see `alpha_norm`.
    """

    steps: int
    lr: float
    warmup: int
    people: int
    double_at: tuple[float, ...]
    alpha_from: float
    alpha_to: float
    alpha_until: float
    alpha_shape: str

    def __post_init__(self) -> None:
        at_least("hyper", self, steps=0, lr=0, warmup=0, people=2, alpha_from=0)
        at_least("hyper", self, alpha_to=self.alpha_from)
        share("hyper", self, "alpha_until")
        one_of("hyper", self, alpha_shape=SHAPES)
        if any(not 0 < s < 1 for s in self.double_at) or sorted(set(self.double_at)) != list(self.double_at):
            raise UserError("hyper.double_at", "not shares of the run", "rising numbers in 0…1", self.double_at)
        warmup_within("hyper", self)

    @property
    def most_people(self) -> int:
        """People of the last and largest batches."""
        return self.people * 2 ** len(self.double_at)

    def at(self, step: int) -> Moment:
        """What holds at step 1…steps."""
        return Moment(
            people(step, self.people, self.double_at, self.steps),
            lr(step, self.lr, self.warmup, self.steps),
            alpha_norm(step, self.alpha_from, self.alpha_to, self.alpha_until, self.alpha_shape, self.steps),
        )


def build_optimiser(groups: Sequence[dict[str, Any]], kind: str, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum 0.9 as in the paper, over parameter groups; its rate is zero until `set_lr`.

    kind: one of OPTIMISERS. A group may have its own `weight_decay`.
    """
    if kind == "sgd":
        return torch.optim.SGD(list(groups), lr=0.0, momentum=0.9, weight_decay=weight_decay)
    return torch.optim.AdamW(list(groups), lr=0.0, weight_decay=weight_decay)


def set_lr(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
