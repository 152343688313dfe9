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
from hyper_mcu.hypertrain.net import Statistics, fold, pad_same, shuffle, split
from hyper_mcu.hypertrain.settings import at_least


@dataclass(frozen=True)
class Shape:
    """Size of h_gen. dimension: of e; width: of the hidden layers; rank: of the kernel heads (0: channel changes only,
    −1: full heads); first: the first stage that is personal, the ones before it keep θ0. Raises UserError.

    The paper's size, 115 MB in half precision for paper@1, is Shape(512, 2048, −1).
    """

    dimension: int = 512
    width: int = 512
    rank: int = 16
    first: int = 0

    def __post_init__(self) -> None:
        at_least("shape", self, dimension=1, width=1, rank=-1, first=0)


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
                if shape.rank > 0:
                    self.down[str(s.index)] = nn.Linear(shape.width, shape.rank, bias=False)
                if shape.rank:
                    inner = shape.rank if shape.rank > 0 else shape.width
                    self.up[str(s.index)] = _zero(nn.Linear(inner, c.cout * c.taps, bias=False))
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
                if key in self.up:
                    inner = self.down[key](h) if key in self.down else h
                    v = v + self.up[key](inner).unflatten(1, t.shape)
            elif key in self.scale:
                v = v + self.shift[key](h)
            parts.append(v.flatten(1))
        return torch.cat(parts, 1)

    def fold(self, theta: Tensor) -> Tensor:
        """θ with the channel statistics folded in."""
        return fold(self.spec, theta, self.stats)

    def forward(self, e: Tensor) -> Tensor:
        """θ (N, params), folded, of unit embeddings e (N, d)."""
        return self.fold(self.raw(e))


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def tail(spec: NetSpec, theta: Tensor, x: Tensor, first: int) -> Tensor:
    """What the heads of N nets read of M images, (N, M, n), through the stages from `first` on.

    theta (N, params) folded; x (M, C, H, W): the input of stage `first`, shared by all nets. Maps are (N, C, M, H, W):
    a dense 1×1 stage is then N matrix products (one with N·cout rows while the input is still shared), any other stage
    one grouped convolution of N·groups groups. An Add must not reach back before `first`.
    """
    n, named, maps = len(theta), split(spec, theta), dict[int, Tensor]()
    u = x.transpose(0, 1)[None]  # (1, C, M, H, W)
    for s in spec.stages[first:]:
        if isinstance(c := s.layer, Conv):
            w, b = named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
            if (c.k, c.stride, c.groups) == (1, 1, 1):
                u = (w[:, :, 0, 0] @ u.flatten(2)).unflatten(2, u.shape[2:]) + b[:, :, None, None, None]
            else:
                kernels = w.permute(0, 1, 4, 2, 3).flatten(0, 1)
                stacked = pad_same(u.expand(n, -1, -1, -1, -1).flatten(0, 1).transpose(0, 1), s)  # (M, N·C, H, W)
                y = F.conv2d(stacked, kernels, b.flatten(), c.stride, 0, 1, n * c.groups)
                u = y.transpose(0, 1).unflatten(0, (n, -1))
            u = F.relu(u) if c.relu else u
        else:
            u = u + maps[c.of]
        u = shuffle(u, s.shuffle)
        maps[s.index] = u
    return u.sum((3, 4)).transpose(1, 2) if spec.head.pool else u.permute(0, 2, 3, 4, 1).flatten(2)
