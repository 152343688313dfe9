"""What the nets of one step are taught: a row for each net, a column for each image it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyper_mcu.hypertrain import pairs


@dataclass(frozen=True)
class Work:
    """What the nets of a step are taught, row by row. enrolled (N, D); same, own, counted, teacher (N, M) or (N, K):
    equation 3, whether the image is the net's enrolment photo, whether the pair has a BCE term, the teacher's cosine;
    share (N,): see loss.shares; columns, weight (N, K): the chosen pairs, None for all."""

    enrolled: Tensor
    same: Tensor
    own: Tensor
    counted: Tensor
    teacher: Tensor
    share: Tensor
    columns: Tensor | None
    weight: Tensor | None

    def only(self, subset: pairs.Subset) -> Work:
        """The chosen pairs of each net."""
        columns = torch.from_numpy(subset.columns)
        picked = {k: getattr(self, k).gather(1, columns) for k in ("same", "own", "counted", "teacher")}
        return replace(self, **picked, columns=columns, weight=torch.from_numpy(subset.weights))

    def rows(self, index: Tensor) -> Work:
        """Some of the nets."""
        return self._each(lambda v: v[index])

    def to(self, device: torch.device) -> Work:
        """The same on a device."""
        return self._each(lambda v: v.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Work:
        return replace(self, **{k: change(v) for k, v in vars(self).items() if v is not None})
