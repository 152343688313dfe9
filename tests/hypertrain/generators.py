"""Generators as after training, for the smallest kind of net, and embeddings for them."""

from __future__ import annotations

import torch

from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.presets import same
from hyper_mcu.hypertrain import net
from hyper_mcu.hypertrain.hgen import HGen, Shape

POINTWISE = NetSpec(
    "pointwise@1",
    (same(3, 3, 8, stride=2), same(3, 8, 8, 2, stride=2), same(1, 8, 12), same(1, 12, 4, relu=False)),
    Head("cosdot"),
    height=16,
    width=16,
    norm="train-statistics",
)
VARIANTS = [
    Shape(16, 24, 3),
    Shape(16, 24, 0, first=2),
    Shape(16, 24, -1),
    Shape(16, 24, 3, depth=4),
    Shape(16, 24, -1, residual=False),
    Shape(16, 24, 3, first=2, residual=False),
    Shape(16 + 10 + 6, 24, 3, layers=(10, 6)),
    Shape(5 * 16, 24, 3, tokens=5),
    Shape(16, 24, 3, first=1, refine=3),
    Shape(4 * 16, 24, -1, depth=1, residual=False, tokens=4, refine=2),
]


def trained_like(spec: NetSpec, shape: Shape, seed: int = 0) -> HGen:
    """An h_gen with no zeros left, as after training."""
    torch.manual_seed(seed)
    hgen = HGen(spec, shape)
    with torch.no_grad():
        for p in hgen.parameters():
            p.add_(0.05 * torch.randn_like(p))
        hgen.theta0.copy_(net.he_init(spec, torch.Generator().manual_seed(seed))[: len(hgen.theta0)])
        for s in spec.stages:
            if isinstance(s.layer, Conv) and spec.norm == "train-statistics":
                mean, var = hgen.stats.of(s.index)
                mean.copy_(torch.randn(s.layer.cout) * 0.1)
                var.copy_(torch.rand(s.layer.cout) + 0.5)
    return hgen


def parameters_of(spec: NetSpec, shape: Shape) -> int:
    """Trainable parameters of an h_gen, nothing allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in HGen(spec, shape).parameters())


def unit(count: int, d: int, seed: int = 1) -> torch.Tensor:
    """Embeddings (count, d) of length 1."""
    return torch.nn.functional.normalize(torch.randn(count, d, generator=torch.Generator().manual_seed(seed)), dim=1)
