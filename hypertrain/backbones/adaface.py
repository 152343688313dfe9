"""IR-101 of AdaFace (Kim, Jain and Liu, CVPR 2022), its parameters named as in the checkpoints of mk-minchul/AdaFace.

112×112 BGR in −1…1 → 3×3 convolution to 64 maps → 49 residual blocks in four stages, each halved in its first block →
25,088 numbers → 512, batch-normalised without affine parameters. The module returns them as they are, not yet unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

DIMENSION = 512
STAGES = ((64, 3), (128, 13), (256, 30), (512, 3))  # maps, blocks
PREFIX = "model."  # of its keys in the official checkpoint, beside those of the head, which are left alone


class Block(nn.Module):
    """x + norm(conv(PReLU(norm(conv(norm(x)))))), x subsampled, and projected where the number of maps changes."""

    def __init__(self, maps: int, wider: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if maps != wider:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(maps, wider, 1, stride, bias=False), nn.BatchNorm2d(wider))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(maps),
            nn.Conv2d(maps, wider, 3, 1, 1, bias=False),
            nn.BatchNorm2d(wider),
            nn.PReLU(wider),
            nn.Conv2d(wider, wider, 3, stride, 1, bias=False),
            nn.BatchNorm2d(wider),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, maps, H, W) → (N, wider, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return self.shortcut_layer(x) + self.res_layer(x)


class AdaFace(nn.Module):
    """The net for `stages` of (maps, blocks); those of IR-101 unless told otherwise."""

    def __init__(self, stages: Sequence[tuple[int, int]] = STAGES) -> None:
        super().__init__()
        maps = stages[0][0]
        self.input_layer = nn.Sequential(nn.Conv2d(3, maps, 3, 1, 1, bias=False), nn.BatchNorm2d(maps), nn.PReLU(maps))
        blocks = []
        for wider, count in stages:
            blocks += [Block(maps, wider, 2), *(Block(wider, wider, 1) for _ in range(count - 1))]
            maps = wider
        self.body = nn.Sequential(*blocks)
        side = 112 >> len(stages)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(maps),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(maps * side * side, DIMENSION),
            nn.BatchNorm1d(DIMENSION, affine=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 112, 112) → (N, 512)."""
        return self.output_layer(self.body(self.input_layer(x)))


def build(state: dict[str, torch.Tensor]) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """IR-101 without values, and what of a checkpoint belongs to it: the keys under PREFIX, or all where none is."""
    own = {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    with torch.device("meta"):
        return AdaFace(), own or state
