"""The torch twin of the integer oracle (codegen/oracle.py): many nets on many images at once, the same integers.

Convolutions run in floating point and are exact: products and partial sums are integers below 2^24 (float32) or 2^53
(float64); the narrower type is taken where 256·Σ|w| of every channel allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.netspec import Conv, cosdot_bits
from hyper_mcu.codegen.qnet import QConv, QNet
from hyper_mcu.hypertrain.net import pad_same, shuffle

INT32_MIN = -(2**31)


@dataclass(frozen=True)
class Results:
    """logits int64 (P,); layers: one int8 (P, H, W, C) for each stage, in canonical order."""

    logits: NDArray[np.int64]
    layers: tuple[NDArray[np.int8], ...]


def requantise_relu(acc: Tensor, m: Tensor, s: Tensor) -> Tensor:
    """`requantise` of ReLU'd sums, 0…255: each rounding is then an addition and a shift. Overwrites acc."""
    half = (1 << s) >> 1
    acc = acc.clamp_(min=0).mul_(m).add_(2**30).bitwise_right_shift_(torch.tensor(31))
    return acc.add_(half).bitwise_right_shift_(s).clamp_(max=255)


def requantise(acc: Tensor, m: Tensor, s: Tensor) -> Tensor:
    """TFLite's MultiplyByQuantizedMultiplier with gemmlowp's two roundings; int64 tensors, s a right shift 0…30."""
    ab = acc * m
    nudged = ab + torch.where(ab >= 0, 2**30, 1 - 2**30)
    x = torch.div(nudged, 2**31, rounding_mode="trunc")
    mask = (1 << s) - 1
    return (x >> s) + ((x & mask) > (mask >> 1) + (x < 0).long()).long()


def run(nets: Sequence[QNet], images: NDArray[np.uint8], *, keep_layers: bool = False) -> Results:
    """Net i of one architecture on image i: images uint8 (P, H, W, 3)."""
    spec, n = nets[0].spec, len(nets)
    x = torch.from_numpy(images.astype(np.int16)).permute(0, 3, 1, 2).sub(128).long()  # (P, C, H, W), u of the image
    maps, layers = dict[int, Tensor](), []
    for stage in spec.stages:
        if isinstance(c := stage.layer, Conv):
            x = _conv([q for net in nets if (q := net.stages[stage.index]) is not None], c, pad_same(x, stage))
        else:
            x = (x + maps[stage.layer.of]).clamp(0, 255)  # type: ignore[union-attr]
        x = shuffle(x, stage.shuffle)
        maps[stage.index] = x
        if keep_layers:
            zero = 128 if getattr(c, "relu", True) else 0
            layers.append((x - zero).permute(0, 2, 3, 1).to(torch.int8).numpy())
    u = x.sum((2, 3)) if spec.head.pool else x.permute(0, 2, 3, 1).reshape(n, -1)
    w = torch.from_numpy(np.stack([net.head.weight for net in nets]).astype(np.int64))
    num = (w * u).sum(1)
    if spec.head.kind == "dot":
        return Results((num + torch.tensor([net.head.bias for net in nets])).numpy(), tuple(layers))
    total = (u * u).sum(1)
    logit = torch.sign(num) * torch.div(
        (num * num) << cosdot_bits(spec.head_size), total.clamp(min=1), rounding_mode="floor"
    )
    return Results(torch.where(total == 0, INT32_MIN, logit).numpy(), tuple(layers))


def _conv(qs: list[QConv], c: Conv, padded: Tensor) -> Tensor:
    """Outputs (P, cout, H, W) of one stage of P nets, each on its own padded map."""
    n = len(qs)
    weight = np.concatenate([q.weight for q in qs])
    bound = 256 * int(np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1).max())
    dtype = torch.float32 if bound < 2**24 else torch.float64
    w = torch.from_numpy(weight).permute(0, 3, 1, 2).to(dtype)
    xs = padded.to(dtype).flatten(0, 1)[None]  # (1, P·C, H, W): P nets are P·groups groups
    acc = F.conv2d(xs, w, None, c.stride, 0, 1, n * c.groups)[0].unflatten(0, (n, -1)).long()

    def channel(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(q, name) for q in qs]).astype(np.int64))[:, :, None, None]

    acc, m, s = acc.add_(channel("bias")), channel("multiplier"), channel("shift")
    return requantise_relu(acc, m, s) if c.relu else requantise(acc, m, s).clamp(-128, 127)
