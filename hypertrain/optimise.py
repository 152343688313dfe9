"""The optimiser and schedule of both stages: AdamW, linear warm-up, cosine to zero."""

from __future__ import annotations

import math
from typing import Any

import torch


def adamw(
    groups: list[dict[str, Any]], lr: float, weight_decay: float, warmup: int, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW over parameter groups and its schedule, stepped once a training step."""
    optimiser = torch.optim.AdamW(groups, lr, weight_decay=weight_decay)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min(1.0, (s + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * min(1.0, s / max(steps, 1)))),
    )
