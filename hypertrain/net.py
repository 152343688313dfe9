"""f in torch: the float network that a θ describes, laid out by a NetSpec.

Every stage is ReLU(norm(conv(x, w)) + b). With norm "train-statistics" the normalisation is (x − μ)/σ with channel
statistics of the training set that all people share; it has no parameters and folds into w and b (`fold`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (the name everyone knows)
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage

EPS = 1e-5  # added to the variance, as in batch normalisation


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
    c = stage.layer
    assert isinstance(c, Conv)
    (top, left), (h, w, _), (oh, ow, _) = stage.pad_before, stage.in_shape, stage.out_shape
    bottom = max((oh - 1) * c.stride + c.k - h - top, 0)
    right = max((ow - 1) * c.stride + c.k - w - left, 0)
    return F.pad(x, (left, right, top, bottom)) if bottom or right or top or left else x


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle of x (M, C, …): (groups, C/groups) → (C/groups, groups)."""
    return x if groups == 1 else x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class Statistics(torch.nn.Module):
    """Channel means and variances of every Conv stage, shared by all people; running averages while training."""

    def __init__(self, spec: NetSpec) -> None:
        """Raises UserError for a NetSpec with another normalisation: this is the one that training has."""
        super().__init__()
        if spec.norm != "train-statistics":
            raise UserError(spec.id, "normalisation that training does not have", "train-statistics", spec.norm)
        for s in spec.stages:
            if isinstance(s.layer, Conv):
                self.register_buffer(f"mean{s.index}", torch.zeros(s.layer.cout))
                self.register_buffer(f"var{s.index}", torch.ones(s.layer.cout))

    def of(self, index: int) -> tuple[Tensor, Tensor]:
        """(mean, variance) of a stage, each (cout,)."""
        return self.get_buffer(f"mean{index}"), self.get_buffer(f"var{index}")


def features(
    spec: NetSpec,
    theta: Tensor,
    stats: Statistics,
    x: Tensor,
    *,
    training: bool,
    stop: int | None = None,
    start: int = 0,
) -> Tensor:
    """The last map of one shared net θ (params,) on images x (M, C, H, W): (M, C', H', W').

    `training`: normalise by the batch and update `stats`; else by `stats`. `start`, `stop`: run only those stages; x is
    then the input of stage `start` (a range that crosses an Add must hold its branch).
    """
    named, maps = split(spec, theta), dict[int, Tensor]()
    for s in spec.stages[start:stop]:
        if isinstance(s.layer, Add):
            x = x + maps[s.layer.of]
        else:
            c = s.layer
            w = named[f"stage{s.index}.weight"].permute(0, 3, 1, 2)
            same = c.stride == 1 and c.pad == "same"
            x = x if same or c.pad == "valid" else pad_same(x, s)
            x = F.conv2d(x, w, None, c.stride, c.k // 2 if same else 0, 1, c.groups)
            mean, var = stats.of(s.index)
            x = F.batch_norm(x, mean, var, None, named[f"stage{s.index}.bias"], training, 0.02, EPS)
            x = F.relu(x) if c.relu else x
        x = shuffle(x, s.shuffle)
        maps[s.index] = x
    return x


def flatten(spec: NetSpec, maps: Tensor) -> Tensor:
    """What the head reads, (M, n) float32: the map (M, C, H, W) in HWC order, or its channel sums."""
    m = maps.float()
    return m.sum((2, 3)) if spec.head.pool else m.permute(0, 2, 3, 1).flatten(1)


def fold(spec: NetSpec, theta: Tensor, stats: Statistics) -> Tensor:
    """θ (..., params) with the normalisation folded in, w/σ and b − μ/σ: plain convolutions then compute the same."""
    parts, named = [], split(spec, theta)
    for t in spec.tensors:
        v = named[t.name]
        if t.name.startswith("stage"):
            mean, var = stats.of(int(t.name[5:].split(".")[0]))
            inv = (var + EPS).rsqrt()
            v = v * inv[:, None, None, None] if t.name.endswith("weight") else v - mean * inv
        parts.append(v.flatten(-len(t.shape)))
    return torch.cat(parts, -1)
