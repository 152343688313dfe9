"""An exponential moving average of a module's weights (Polyak and Juditsky 1992): what is checked and kept, while the
weights themselves go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from hyper_mcu.hypertrain.checkpoint import Checkpoint


class Average:
    """The average of `module`'s parameters. decay: the share of it that stays at each step, 0 for no average; less in
    the first steps, min(decay, (1 + step)/(10 + step)), as it begins with the weights of the start."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay, self._weights = decay, list(module.named_parameters()) if decay else []
        self._mean = [w.detach().clone() for _, w in self._weights]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Takes in the weights behind a step, from 1 on."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for mean, (_, weight) in zip(self._mean, self._weights, strict=True):
            mean.lerp_(weight, share)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The module has the average for its weights meanwhile."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for mean, (_, weight) in zip(self._mean, self._weights, strict=True):
            own = weight.clone()
            weight.copy_(mean)
            mean.copy_(own)

    def state(self) -> dict[str, Tensor]:
        """The average by the parameters' names."""
        return {name: mean for mean, (name, _) in zip(self._mean, self._weights, strict=True)}

    def fill(self, c: Checkpoint) -> None:
        """Goes on from a checkpoint; from the module's own weights where that has no average."""
        for mean, (name, weight) in zip(self._mean, self._weights, strict=True):
            mean.copy_(c.average.get(name, weight.detach()))
