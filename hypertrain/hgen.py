"""h_gen: from a face embedding to all weights of f.

Linear layers with LayerNorm and GELU (the paper's four: three hidden ones and the heads), one head for each tensor of
θ. Residual form θ = θ0 + Δ(e): θ0 is the distilled trunk, Δ starts at zero, and the head of f starts linear in e.
Each Conv stage gets a change of every channel (scale and shift), and a low-rank change of its whole kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.hypertrain.net import Statistics, fold, split


@dataclass(frozen=True)
class Shape:
    """Size of h_gen. dimension: of e; width: of the hidden layers; rank: of the kernel heads (0: channel changes only);
    first: the first stage that is personal, the ones before it keep θ0. The paper's size is width 2048, full heads."""

    dimension: int = 512
    width: int = 512
    rank: int = 16
    first: int = 0


class HGen(nn.Module):
    """θ (N, params) from unit embeddings e (N, d); `forward` gives θ with the channel statistics folded in."""

    def __init__(self, spec: NetSpec, shape: Shape) -> None:
        super().__init__()
        self.spec, self.shape = spec, shape
        widths = [shape.dimension, shape.width, shape.width, shape.width]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(w) for w in widths[1:])
        self.theta0 = nn.Parameter(torch.zeros(spec.params))
        self.stats = Statistics(spec)
        self.linear = nn.Parameter(torch.zeros(spec.head_size, shape.dimension))
        self.scale, self.shift = nn.ModuleDict(), nn.ModuleDict()
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for s in spec.stages[shape.first :]:
            if isinstance(c := s.layer, Conv):
                self.scale[str(s.index)] = _zero(nn.Linear(shape.width, c.cout))
                self.shift[str(s.index)] = _zero(nn.Linear(shape.width, c.cout))
                if shape.rank:
                    self.down[str(s.index)] = nn.Linear(shape.width, shape.rank, bias=False)
                    self.up[str(s.index)] = _zero(nn.Linear(shape.rank, c.cout * c.taps, bias=False))
        self.head = _zero(nn.Linear(shape.width, spec.head_size))

    def raw(self, e: Tensor) -> Tensor:
        """θ (N, params) before folding."""
        h = e
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            h = F.gelu(norm(linear(h)))
        base, parts = split(self.spec, self.theta0), []
        for t in self.spec.tensors:
            where, what = t.name.split(".")
            v = base[t.name].expand(len(e), *t.shape)
            key = where.removeprefix("stage")
            if where == "head":
                v = v + self.head(h) + e @ self.linear.T if what == "weight" else v
            elif key in self.scale and what == "weight":
                v = v * (1 + self.scale[key](h))[:, :, None, None, None]
                v = v + self.up[key](self.down[key](h)).unflatten(1, t.shape) if key in self.up else v
            elif key in self.scale:
                v = v + self.shift[key](h)
            parts.append(v.flatten(1))
        return torch.cat(parts, 1)

    def fold(self, theta: Tensor) -> Tensor:
        """θ with the channel statistics folded in."""
        return fold(self.spec, theta, self.stats)

    def forward(self, e: Tensor) -> Tensor:
        return self.fold(self.raw(e))


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def pointwise_tail(spec: NetSpec, first: int) -> bool:
    """Whether every stage from `first` on is a dense 1×1 convolution, so that `tail` can run it."""
    return all(isinstance(c := s.layer, Conv) and (c.k, c.stride, c.groups) == (1, 1, 1) for s in spec.stages[first:])


def tail(spec: NetSpec, theta: Tensor, x: Tensor, first: int) -> Tensor:
    """What the heads of N nets read of M images, (N, M, n), for a tail of dense 1×1 stages.

    theta (N, params) folded; x (M, C, H, W): the input of stage `first`, shared by all nets. The first stage is then
    one matrix product with N·cout rows, the others N products: maps are kept as (N, C, M·H·W).
    """
    n, (m, _, h, w) = len(theta), x.shape
    named = split(spec, theta)
    u = x.permute(1, 0, 2, 3).flatten(1)[None]  # (1, C, M·H·W)
    for s in spec.stages[first:]:
        c = s.layer
        assert isinstance(c, Conv)
        u = named[f"stage{s.index}.weight"][:, :, 0, 0] @ u + named[f"stage{s.index}.bias"][:, :, None]
        u = F.relu(u) if c.relu else u
    maps = u.unflatten(2, (m, h, w))  # (N, C, M, H, W)
    return maps.sum((3, 4)).transpose(1, 2) if spec.head.pool else maps.permute(0, 2, 3, 4, 1).reshape(n, m, -1)
