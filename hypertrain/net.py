"""f in torch: the float network that a θ describes, laid out by a NetSpec.

Every stage is ReLU(norm(conv(x, w)) + b). The norm has no parameters (`NetSpec.norm`): "train-statistics" and
"weight-standardised" fold into w and b (`fold`), "instance" and "pixel-channel" are computed where f runs
(`normalise`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812 (the name everyone knows)
from torch import Tensor

from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Add, Conv, NetSpec, Stage

EPS = 1e-5  # added to every variance, as in batch normalisation
# By which standardised weights are multiplied: ReLU leaves a unit normal with a variance of (1 − 1/π)/2, and weights
# without a mean pass on nothing but variance (Brock et al., "Characterizing signal propagation to close the
# performance gap in unnormalized ResNets", ICLR 2021).
GAIN = math.sqrt(2 / (1 - 1 / math.pi))
MOMENTUM = 0.02  # share of a batch in the running statistics

Moments = Mapping[int, tuple[Tensor, Tensor]]  # mean and variance (cout,) of a stage's convolution, by its index


def he_init(spec: NetSpec, generator: torch.Generator) -> Tensor:
    """θ (params,) with He-normal convolution weights, zero biases and a unit-variance head."""
    parts = []
    for t in spec.tensors:
        fan_in = t.size // t.shape[0] if len(t.shape) == 4 else t.size
        std = 0.0 if t.name.endswith("bias") else (2.0 / fan_in) ** 0.5
        parts.append(std * torch.randn(t.size, generator=generator))
    return torch.cat(parts)


def split(spec: NetSpec, theta: Tensor) -> dict[str, Tensor]:
    """θ (..., params) as named views: weights (..., cout, k, k, cin/groups), biases, head."""
    return {t.name: theta[..., t.offset : t.offset + t.size].unflatten(-1, t.shape) for t in spec.tensors}


def pad_same(x: Tensor, stage: Stage) -> Tensor:
    """x (M, C, H, W) with the padding of a stage as TFLite defines it; nothing is added for VALID or 1×1."""
    (top, left), (bottom, right) = stage.pad_before, stage.pad_after
    return F.pad(x, (left, right, top, bottom)) if bottom or right or top or left else x


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle of x (M, C, …): (groups, C/groups) → (C/groups, groups)."""
    return x if groups == 1 else x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def normalise(spec: NetSpec, y: Tensor) -> Tensor:
    """y (..., C, H, W) with the normalisation that is computed where f runs, each sample by itself: "instance" each
    channel over its pixels, "pixel-channel" each pixel over its channels; else as it is."""
    if spec.norm not in RUN_TIME_NORMS:
        return y
    over = (-2, -1) if spec.norm == "instance" else (-3,)
    var, mean = torch.var_mean(y, over, correction=0, keepdim=True)
    return (y - mean) * (var + EPS).rsqrt()


def standardise(weight: Tensor) -> Tensor:
    """Weights (..., cout, k, k, cin/groups) of no mean and of variance GAIN²/fan-in for every output channel; one
    weight alone, which has no spread, as it is."""
    over, fan_in = (-3, -2, -1), math.prod(weight.shape[-3:])
    if fan_in == 1:
        return weight
    var, mean = torch.var_mean(weight, over, correction=0, keepdim=True)
    return (weight - mean) * GAIN * (var * fan_in + EPS).rsqrt()


class Statistics(torch.nn.Module):
    """Channel means and variances of every Conv stage, shared by all people; running averages while training.

    Empty where the normalisation is another one than "train-statistics".
    """

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        for s in spec.stages if spec.norm == "train-statistics" else ():
            if isinstance(s.layer, Conv):
                self.register_buffer(f"mean{s.index}", torch.zeros(s.layer.cout))
                self.register_buffer(f"var{s.index}", torch.ones(s.layer.cout))

    def of(self, index: int) -> tuple[Tensor, Tensor]:
        """(mean, variance) of a stage, each (cout,)."""
        return self.get_buffer(f"mean{index}"), self.get_buffer(f"var{index}")

    @torch.no_grad()
    def update(self, moments: Moments, share: float = MOMENTUM) -> None:
        """Moves towards what was observed, by that share of the way."""
        for index, observed in moments.items():
            for running, seen in zip(self.of(index), observed, strict=True):
                running.lerp_(seen.to(running), share)

    @torch.no_grad()
    def calibrate(self, spec: NetSpec, theta: Tensor, x: Tensor) -> None:
        """Sets them, stage after stage, to what one net θ (params,), not folded, shows on images x (M, 3, H, W)."""
        features(spec, theta, self, x, training=True, momentum=1.0)


def features(
    spec: NetSpec,
    theta: Tensor,
    stats: Statistics,
    x: Tensor,
    *,
    training: bool,
    stop: int | None = None,
    momentum: float = MOMENTUM,
    synchronise: bool = False,
) -> Tensor:
    """The last map of one shared net θ (params,), not folded, on images x (M, C, H, W): (M, C', H', W').

    `training`: normalise by the batch and update `stats`; else by `stats`. `synchronise`: the batch is that of all
    processes of the default group, which then call this together. `stop`: run only the stages before it.
    """
    by_batch = training and spec.norm == "train-statistics"
    named, maps = split(spec, theta if by_batch else fold(spec, theta, stats)), dict[int, Tensor]()
    for s in spec.stages[:stop]:
        if isinstance(s.layer, Add):
            x = x + maps[s.layer.of]
        else:
            c, w, b = s.layer, named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
            behind = by_batch or spec.norm in RUN_TIME_NORMS  # where the bias is added
            symmetric = c.stride == 1 and c.pad == "same"
            x = x if symmetric or c.pad == "valid" else pad_same(x, s)
            pad = c.k // 2 if symmetric else 0
            x = F.conv2d(x, w.permute(0, 3, 1, 2), None if behind else b, c.stride, pad, 1, c.groups)
            if by_batch and synchronise:
                x = _synchronised(x, *stats.of(s.index), b, momentum)
            elif by_batch:
                x = F.batch_norm(x, *stats.of(s.index), None, b, True, momentum, EPS)
            elif behind:
                x = normalise(spec, x) + b[:, None, None]
            x = F.relu(x) if c.relu else x
        x = shuffle(x, s.shuffle)
        maps[s.index] = x
    return x


def _synchronised(x: Tensor, mean: Tensor, var: Tensor, bias: Tensor, momentum: float) -> Tensor:
    """`F.batch_norm` in training, x (M, C, H, W) being this process's part of the batch."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    count = summed(wide.new_tensor(float(wide.numel() // wide.shape[1])))
    centre = summed(wide.sum((0, 2, 3))) / count
    centred = wide - centre[:, None, None]
    spread = summed(centred.square().sum((0, 2, 3))) / count
    with torch.no_grad():  # the running variance is the unbiased one, as in batch_norm
        mean.lerp_(centre.to(mean), momentum)
        var.lerp_((spread * (count / (count - 1))).to(var), momentum)
    return (centred * (spread + EPS).rsqrt()[:, None, None] + bias[:, None, None]).to(x.dtype)


def summed(x: Tensor) -> Tensor:
    """Sum of x over all processes, differentiable: the gradient is that of the sum of all their losses."""
    total: Tensor = _Summed.apply(x)
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


def flatten(spec: NetSpec, maps: Tensor) -> Tensor:
    """What the head reads, (M, n) float32: the map (M, C, H, W) in HWC order, or its channel sums."""
    m = maps.float()
    return m.sum((2, 3)) if spec.head.pool else m.permute(0, 2, 3, 1).flatten(1)


def fold(spec: NetSpec, theta: Tensor, stats: Statistics) -> Tensor:
    """θ (..., params) with what folds of the normalisation folded in: plain convolutions then compute the same.

    train-statistics: w/σ and b − μ/σ; weight-standardised: `standardise`; else unchanged.
    """
    if spec.norm not in ("train-statistics", "weight-standardised"):
        return theta
    parts, named = [], split(spec, theta)
    for t in spec.tensors:
        v = named[t.name]
        if t.name.startswith("stage") and spec.norm == "train-statistics":
            mean, var = stats.of(int(t.name[5:].split(".")[0]))
            inv = (var + EPS).rsqrt()
            v = v * inv[:, None, None, None] if t.name.endswith("weight") else v - mean * inv
        elif len(t.shape) == 4:
            v = standardise(v)
        parts.append(v.flatten(-len(t.shape)))
    return torch.cat(parts, -1)
