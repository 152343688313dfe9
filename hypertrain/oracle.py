"""The torch twin of the integer oracle (codegen/oracle.py): many nets on many images at once, the same integers.

Everything is computed in floating point and is exact: sums of products are integers below 2^24 (float32) or 2^53
(float64), the narrower type being taken where |bias| + 256·Σ|w| of every channel allows it. Leading stages whose
integers are the same for all nets are one ordinary convolution over the images; later ones are a product a net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.fixedpoint import INT32_MIN
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage, cosdot_bits
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.quantize import INPUT_SCALE, MAX_THETA, quantize, quantize_conv, quantize_head
from hyper_mcu.hypertrain.net import pad_same, shuffle

EXACT_SHIFT = 13  # the largest right shift that requantisation in float64 gets exactly right: see `requantise_relu`


@dataclass(frozen=True)
class Convs:
    """One Conv stage of N nets, or of all of them at once where N is 1 (see codegen.qnet.QConv).

    weight: int8 (N, cout, k, k, cin/groups); bias, multiplier, shift: int64 (N, cout).
    """

    weight: Tensor
    bias: Tensor
    multiplier: Tensor
    shift: Tensor

    @property
    def narrow(self) -> bool:
        """Whether every sum of every channel is exact in float32."""
        total = self.weight.abs().flatten(2).sum(2, dtype=torch.int64)  # int8 holds no −128
        return int((self.bias.abs() + 256 * total).max()) < 2**24

    def take(self, index: Tensor) -> Convs:
        """Those of the given nets; itself where all nets have the same."""
        if len(self.weight) == 1:
            return self
        return Convs(*(t[index] for t in (self.weight, self.bias, self.multiplier, self.shift)))

    def equals(self, other: Convs) -> bool:
        """Whether both hold the same integers."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)


@dataclass(frozen=True)
class Nets:
    """The integers of nets of one architecture. stages: None for an Add; head: int64 (N, n); head_bias: int64 (N,)."""

    spec: NetSpec
    stages: tuple[Convs | None, ...]
    head: Tensor
    head_bias: Tensor
    head_scale: Tensor  # float64 (N,): real value of one step of the head's weights

    def take(self, index: NDArray[np.int64]) -> Nets:
        """The nets of these numbers, int64 (P,)."""
        at = torch.from_numpy(index)
        stages = tuple(q and q.take(at) for q in self.stages)
        return replace(
            self,
            stages=stages,
            head=self.head[at],
            head_bias=self.head_bias[at],
            head_scale=self.head_scale[at],
        )

    @property
    def shared(self) -> int:
        """How many leading stages have the same integers in all nets and are read by none behind but the next."""
        personal = (i for i, q in enumerate(self.stages) if q is not None and len(q.weight) > 1)
        return before_adds(self.spec, next(personal, len(self.stages)))

    def scores(self, logits: NDArray[np.int64], scale: float) -> NDArray[np.float64]:
        """The real scores (N,) that logits stand for (QNet.score); scale: real value of one step of the last map."""
        if self.spec.head.kind == "dot":
            return logits * self.head_scale.numpy() * scale
        norm2 = self.head.square().sum(1).numpy() << cosdot_bits(self.spec.head_size)
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine: NDArray[np.float64] = np.sign(logits) * np.sqrt(np.abs(logits) / norm2)
        return np.where(norm2 > 0, cosine, np.copysign(0.0, logits))


@dataclass(frozen=True)
class Results:
    """logits int64 (P,); layers: one int8 (P, H, W, C) for each stage, in canonical order."""

    logits: NDArray[np.int64]
    layers: tuple[NDArray[np.int8], ...]


def stack(nets: Sequence[QNet]) -> Nets:
    """The nets of one architecture as arrays; a stage that all of them share is kept once."""

    def gather(stage: int, name: str) -> NDArray[np.generic]:
        return np.stack([getattr(net.stages[stage], name) for net in nets])

    names = ("weight", "bias", "multiplier", "shift")
    stages = []
    for s in nets[0].spec.stages:
        conv = isinstance(s.layer, Conv)
        stages.append(_convs([gather(s.index, name) for name in names]) if conv else None)
    heads = torch.from_numpy(np.stack([net.head.weight for net in nets])).long()
    bias = torch.tensor([net.head.bias for net in nets])
    scale = torch.tensor([float(net.head.weight_scale) for net in nets], dtype=torch.float64)
    return Nets(nets[0].spec, tuple(stages), heads, bias, scale)


def quantize_all(spec: NetSpec, theta: NDArray[np.float32], scales: NDArray[np.float32]) -> Nets:
    """`stack` of `codegen.quantize.quantize` of every θ (N, params), channels of all nets in one go.

    Raises what `quantize` raises.
    """
    bad = ~(np.abs(theta) <= MAX_THETA).all(1)
    quantize(spec, theta[int(np.argmax(bad))], scales)  # raises for the first bad one, or for spec and scales
    n = len(theta)
    named = {t.name: theta[:, t.offset : t.offset + t.size].reshape(n, *t.shape) for t in spec.tensors}
    stages: list[Convs | None] = []
    for s in spec.stages:
        if not isinstance(s.layer, Conv):
            stages.append(None)
            continue
        w, b = named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
        if (w == w[:1]).all() and (b == b[:1]).all():
            w, b = w[:1], b[:1]
        s_in = scales[s.index - 1] if s.index else INPUT_SCALE
        flat = w.reshape(-1, *w.shape[2:]).astype(np.float64)
        q = quantize_conv(flat, b.ravel().astype(np.float64), s_in, scales[s.index])
        stages.append(_convs([a.reshape(len(w), s.layer.cout, *a.shape[1:]) for a in
                              (q.weight, q.bias, q.multiplier, q.shift)]))  # fmt: skip
    bias = named["head.bias"][:, 0] if spec.head.kind == "dot" else np.zeros(n)
    heads = [
        quantize_head(spec, w, float(v), float(scales[-1]))
        for w, v in zip(named["head.weight"].astype(np.float64), bias, strict=True)
    ]
    return Nets(
        spec,
        tuple(stages),
        torch.from_numpy(np.stack([h.weight for h in heads])).long(),
        torch.tensor([h.bias for h in heads]),
        torch.tensor([float(h.weight_scale) for h in heads], dtype=torch.float64),
    )


def _convs(arrays: list[NDArray[np.generic]]) -> Convs:
    """Convs of arrays with a leading axis of nets, kept once where all nets have the same integers."""
    once = all((a == a[:1]).all() for a in arrays)
    weight, *others = (torch.from_numpy(a[:1] if once else a) for a in arrays)
    return Convs(weight, *(t.long() for t in others))


def before_adds(spec: NetSpec, count: int) -> int:
    """The largest number of leading stages, at most `count`, none of which a later Add reads."""
    while any(isinstance(s.layer, Add) and s.layer.of < count for s in spec.stages[count:]):
        count -= 1
    return count


def pixels(images: NDArray[np.uint8]) -> Tensor:
    """The first stage's input, float32 (P, C, H, W), of images uint8 (P, H, W, C): u = x − 128."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128


def run(
    nets: Sequence[QNet] | Nets, images: NDArray[np.uint8] | Tensor, first: int = 0, *, keep_layers: bool = False
) -> Results:
    """Net i of one architecture on image i: images uint8 (P, H, W, 3), or the input of stage `first` (see `maps`)."""
    nets = nets if isinstance(nets, Nets) else stack(nets)
    spec = nets.spec
    out = maps(nets, pixels(images) if isinstance(images, np.ndarray) else images, first, None, all_of_them=keep_layers)
    u = out[-1].sum((2, 3)) if spec.head.pool else out[-1].permute(0, 2, 3, 1).flatten(1)
    u = u.double()
    num = (nets.head * u).sum(1).long()
    layers = tuple(_bytes(s, m) for s, m in zip(spec.stages[first:], out, strict=True)) if keep_layers else ()
    if spec.head.kind == "dot":
        return Results((num + nets.head_bias).numpy(), layers)
    total = (u * u).sum(1).long()
    scaled = (num * num) << cosdot_bits(spec.head_size)
    logit = torch.sign(num) * torch.div(scaled, total.clamp(min=1), rounding_mode="floor")
    return Results(torch.where(total == 0, INT32_MIN, logit).numpy(), layers)


def maps(nets: Nets, x: Tensor, first: int, stop: int | None, *, all_of_them: bool = False) -> list[Tensor]:
    """The map of the last of the stages `first` … `stop` − 1, or of each, float32 (P, C, H, W) of whole numbers.

    x: the input of stage `first`. Where a stage's integers are shared, P images may be any number; else one a net.
    """
    out, kept = list[Tensor](), dict[int, Tensor]()
    wanted = {s.layer.of for s in nets.spec.stages if isinstance(s.layer, Add)}
    for stage, q in list(zip(nets.spec.stages, nets.stages, strict=True))[first:stop]:
        if isinstance(c := stage.layer, Add):
            x = (x + kept[c.of]).clamp_(max=255)
        else:
            assert q is not None
            acc = convolve(c, q, pad_same(x, stage))
            x = (requantise_relu if c.relu else requantise_linear)(acc, q)
        x = shuffle(x, stage.shuffle)
        if stage.index in wanted:
            kept[stage.index] = x
        if all_of_them:
            out.append(x)
    return out if all_of_them else [x]


def convolve(c: Conv, q: Convs, x: Tensor) -> Tensor:
    """Sums with bias, exact, float32 or float64 (P, cout, H, W), of padded maps x (P, C, H, W)."""
    kind = torch.float32 if q.narrow else torch.float64
    x, w, b = x.to(kind), q.weight.permute(0, 1, 4, 2, 3).to(kind), q.bias.to(kind)
    if len(w) == 1:
        return F.conv2d(x, w[0], b[0], c.stride, 0, 1, c.groups)
    n = len(w)
    if c.k == 1 and c.stride == 1:
        y = w.reshape(n * c.groups, c.cout_group, c.cin_group) @ x.reshape(n * c.groups, c.cin_group, -1)
        return y.view(n, c.cout, *x.shape[2:]).add_(b[:, :, None, None])
    y = F.conv2d(x.flatten(0, 1)[None], w.flatten(0, 1), b.flatten(), c.stride, 0, 1, n * c.groups)
    return y[0].unflatten(0, (n, -1))


def requantise_relu(acc: Tensor, q: Convs) -> Tensor:
    """Bytes + 128 of a ReLU stage, 0…255, float32 (P, cout, H, W), of its exact sums.

    r = (a·m + 2^30) >> 31, then (r + 2^(s−1)) >> s, reaches k exactly where a·m/2^(31+s) + ½ + 2^−(s+1) does (no last
    term at s = 0), so that one floor does for two roundings. In float64 that sum is off by less than 1.5·2^−45 below
    256, where it counts. Exact ones lie on multiples of 2^−(31+s): where s ≤ 13, none but a whole number is so near to
    one, and then a·m is a multiple of 2^30 below 2^(39+s), which float64 holds.
    """
    m, s = q.multiplier[:, :, None, None], q.shift[:, :, None, None]
    if int(s.max()) > EXACT_SHIFT:
        a = acc.long().clamp_(min=0).mul_(m).add_(2**30).bitwise_right_shift_(torch.tensor(31))
        return a.add_((1 << s) >> 1).bitwise_right_shift_(s).clamp_(max=255).float()
    unit = (1 << s).double().reciprocal()  # 2^−s, exactly
    half = 0.5 + torch.where(s > 0, unit / 2, 0.0)
    return acc.double().mul_(m * unit * 2.0**-31).add_(half).floor_().clamp_(0, 255).float()


def requantise_linear(acc: Tensor, q: Convs) -> Tensor:
    """Bytes of a linear stage, −128…127, float32: TFLite's MultiplyByQuantizedMultiplier with gemmlowp's roundings."""
    m, s = q.multiplier[:, :, None, None], q.shift[:, :, None, None]
    ab = acc.long() * m
    x = torch.div(ab + torch.where(ab >= 0, 2**30, 1 - 2**30), 2**31, rounding_mode="trunc")
    mask = (1 << s) - 1
    return ((x >> s) + ((x & mask) > (mask >> 1) + (x < 0).long()).long()).clamp_(-128, 127).float()


def _bytes(stage: Stage, m: Tensor) -> NDArray[np.int8]:
    zero = 128 if getattr(stage.layer, "relu", True) else 0
    return (m - zero).permute(0, 2, 3, 1).to(torch.int8).numpy()
