"""h_gen: from a face embedding to all weights of f.

Linear layers with LayerNorm and GELU (the paper's four: three hidden ones and the heads), one head for each tensor of
θ. The residual form θ = θ0 + Δ(e) starts from a shared trunk θ0: Δ is a change of every channel (scale and shift) and
of the whole kernel (low rank or full), zero at first, and the head of f starts linear in e. The plain form is the
paper's: the heads write θ, and are initialised so that what they write has He's variance (Chang et al., "Principled
weight initialization for hypernetworks", ICLR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.hypertrain.net import Statistics, fold, split
from hyper_mcu.hypertrain.qat import Quantiser
from hyper_mcu.hypertrain.settings import at_least

GELU_SQUARE = 0.425  # mean of GELU(z)² over normal z: what LayerNorm and GELU leave of each hidden number
NOTES = 64  # numbers by which a refining step sees what the steps before it have written


@dataclass(frozen=True)
class Shape:
    """Size and variant of h_gen. Raises UserError for what is no h_gen.

    dimension: of e, all of it; width: of the hidden layers, depth: their number; rank: of the kernel heads (0: channel
    changes only, −1: full heads); first: the first stage that is personal, the ones before it keep θ0; residual: θ0 + Δ
    or, false, θ from the heads alone; layers: sizes of what further layers of the backbone put behind the embedding;
    tokens: e is so many tokens, the first one the embedding; refine: steps in which θ is written.

    The paper's 118.6 M parameters of enrolment less the 65.2 M of its backbone are 53.4 M: for paper@1
    Shape(512, 1936, −1, residual=False).
    """

    dimension: int = 512
    width: int = 512
    rank: int = 16
    first: int = 0
    depth: int = 3
    residual: bool = True
    tokens: int = 0
    refine: int = 1
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        at_least("hgen", self, dimension=1, width=1, rank=-1, first=0, depth=1, tokens=0, refine=1)
        if not self.residual and self.rank == 0:
            raise UserError("hgen.rank", "changes of channels alone need θ0", "-1, 1 or more without residual", 0)
        if self.layers and (self.tokens or min(self.layers) < 1 or sum(self.layers) >= self.dimension):
            room = f"positive sizes that leave room for the embedding in {self.dimension}, and no tokens"
            raise UserError("hgen.layers", "sizes of further layers", room, self.layers)
        if self.tokens and self.dimension % self.tokens:
            raise UserError("hgen.tokens", "tokens of one size", f"a divisor of {self.dimension}", self.tokens)

    @property
    def embedding(self) -> int:
        """Leading numbers of e that are the unit face embedding."""
        return self.dimension // self.tokens if self.tokens else self.dimension - sum(self.layers)


class Reader(nn.Module):
    """What the hidden layers read of e (N, dimension): (N, embedding + sum(layers)).

    Further layers are normalised each to a vector of about unit length, as the embedding is one. Tokens (N, T, d) are
    normalised, transposed and halved in number by 1-D convolutions of kernel 3 and stride 2 until one is left: the
    paper's way from a transformer's B×T×512 to B×512. The last of them starts at zero, and its result is added to the
    first token.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, d = shape, shape.embedding
        halvings = max(shape.tokens - 1, 0).bit_length()
        norms = [nn.LayerNorm(size) for size in shape.layers or (d,) * min(halvings, 1)]
        convs = [nn.Conv1d(d, d, 3, 2, 1) for _ in range(halvings)]
        if shape.layers:
            for norm in norms:
                nn.init.constant_(norm.weight, norm.weight.numel() ** -0.5)
        if convs:
            _zero(convs[-1])
        self.norms, self.convs = nn.ModuleList(norms), nn.ModuleList(convs)

    def forward(self, e: Tensor) -> Tensor:
        first = e[:, : self.shape.embedding]
        if self.shape.layers:
            rest = e[:, self.shape.embedding :].split(self.shape.layers, 1)
            return torch.cat([first, *(norm(part) for norm, part in zip(self.norms, rest, strict=True))], 1)
        if not self.convs:
            return first
        x = self.norms[0](e.unflatten(1, (self.shape.tokens, -1))).transpose(1, 2)
        for i, conv in enumerate(self.convs):
            x = conv(F.gelu(x) if i else x)
        return first + x[:, :, 0]


class HGen(nn.Module):
    """θ (N, params) from embeddings e (N, dimension); `forward` gives θ with the normalisation folded in.

    `quantiser`: set by quantisation-aware training; its scales are then those of the generator.
    """

    quantiser: Quantiser | None
    projection: Tensor

    def __init__(self, spec: NetSpec, shape: Shape) -> None:
        super().__init__()
        self.spec, self.shape, self.quantiser = spec, shape, None
        inputs = shape.embedding + sum(shape.layers)
        widths = [inputs] + [shape.width] * shape.depth
        self.reader = Reader(shape)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(w) for w in widths[1:])
        shared = sum(isinstance(s.layer, Conv) for s in spec.stages[: shape.first])
        self.theta0 = nn.Parameter(torch.zeros(spec.params if shape.residual else spec.tensors[2 * shared].offset))
        self.stats = Statistics(spec)
        self.linear = nn.Parameter(torch.zeros(spec.head_size, shape.embedding)) if shape.residual else None
        self.scale, self.shift = nn.ModuleDict(), nn.ModuleDict()
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for s in spec.stages[shape.first :]:
            if isinstance(s.layer, Conv):
                self._add_heads(str(s.index), s.layer)
        self.head = self._full(spec.head_size, spec.head_size)
        if spec.head.kind == "dot":
            self.shift["head"] = _zero(nn.Linear(shape.width, 1))
        if shape.refine > 1:
            g = torch.Generator().manual_seed(0)
            signs = torch.randint(0, 2, (NOTES, spec.params), generator=g, device="cpu") * 2 - 1
            self.register_buffer("projection", signs * NOTES**-0.5)  # ±1/8: exact in half precision
            self.note = nn.Linear(NOTES, shape.width, bias=False)
            self.step = nn.Parameter(torch.zeros(shape.refine, shape.width))

    def _add_heads(self, key: str, c: Conv) -> None:
        """The heads of one Conv stage."""
        shape, size = self.shape, c.cout * c.taps
        if shape.residual:
            self.scale[key] = _zero(nn.Linear(shape.width, c.cout))
        self.shift[key] = _zero(nn.Linear(shape.width, c.cout))
        if shape.rank > 0:
            down, up = (nn.Linear(a, b, bias=False) for a, b in ((shape.width, shape.rank), (shape.rank, size)))
            if not shape.residual:
                _normal(down, self._unit())
            self.down[key] = down
            self.up[key] = _zero(up) if shape.residual else _normal(up, (2 / c.taps / shape.rank) ** 0.5)
        elif shape.rank < 0:
            self.up[key] = self._full(size, c.taps, bias=not shape.residual)

    def _full(self, size: int, fan_in: int, bias: bool = True) -> nn.Linear:
        """A head for `size` weights: zero, or in the plain form so that they have the variance 2 / fan-in."""
        head = nn.Linear(self.shape.width, size, bias)
        return _zero(head) if self.shape.residual else _normal(head, (2 / fan_in) ** 0.5 * self._unit())

    def _unit(self) -> float:
        """Standard deviation of a head's weights by which what it writes has the variance 1."""
        return (self.shape.width * GELU_SQUARE) ** -0.5 / self.shape.refine

    def base(self) -> Tensor:
        """What the heads' writing is added to, (params,): θ0, and zeros where the plain form has none."""
        return F.pad(self.theta0, (0, self.spec.params - len(self.theta0)))

    def raw(self, e: Tensor) -> Tensor:
        """θ (N, params) before folding.

        In `refine` steps: θ_1 = base + heads(h(e)), θ_r+1 = θ_r + heads(h(e, θ_r)) with the heads' own bias counted
        once. A step sees θ_r − base through a fixed random projection, shrunk to a length below 1.
        """
        x = self.reader(e)
        total = self._hidden(x, 0, None)
        for step in range(1, self.shape.refine):
            total = total + self._hidden(x, step, self._write(total, e) - self.base())
        return self._write(total, e)

    def _hidden(self, x: Tensor, step: int, written: Tensor | None) -> Tensor:
        """Last hidden numbers (N, width) of a step that finds θ − base = written (N, params)."""
        for i, (linear, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            x = linear(x)
            if i == 0 and self.shape.refine > 1:
                x = x + self.step[step]
                if written is not None:
                    seen = F.linear(written, self.projection)
                    x = x + self.note(seen / (1 + seen.square().sum(1, keepdim=True)).sqrt())
            x = F.gelu(norm(x))
        return x

    def _write(self, h: Tensor, e: Tensor) -> Tensor:
        """θ (N, params) before folding, of hidden numbers h (N, width)."""
        base, parts = split(self.spec, self.base()), []
        for t in self.spec.tensors:
            where, what = t.name.split(".")
            key, v = where.removeprefix("stage"), base[t.name].expand(len(h), *t.shape)
            if what == "bias" and key in self.shift:
                v = v + self.shift[key](h)
            elif key == "head" and what == "weight":
                v = v + self.head(h)
                if self.linear is not None:
                    v = v + e[:, : self.shape.embedding] @ self.linear.T
            elif what == "weight":
                if key in self.scale:
                    v = v * (1 + self.scale[key](h))[:, :, None, None, None]
                if key in self.up:
                    inner = self.down[key](h) if key in self.down else h
                    v = v + self.up[key](inner).unflatten(1, t.shape)
            parts.append(v.flatten(1))
        return torch.cat(parts, 1)

    def fold(self, theta: Tensor) -> Tensor:
        """θ with the normalisation folded in."""
        return fold(self.spec, theta, self.stats)

    def forward(self, e: Tensor) -> Tensor:
        """θ (N, params), folded, of embeddings e (N, dimension)."""
        return self.fold(self.raw(e))


Layer = TypeVar("Layer", nn.Linear, nn.Conv1d)


def _zero(layer: Layer) -> Layer:
    """The layer with zeros in it."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _normal(layer: nn.Linear, std: float) -> nn.Linear:
    """The layer with normal weights and no bias."""
    nn.init.normal_(_zero(layer).weight, std=std)
    return layer
