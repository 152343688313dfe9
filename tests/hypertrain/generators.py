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


def trained_like(spec: NetSpec, shape: Shape, seed: int = 0) -> HGen:
    """An h_gen with no zeros left, as after training."""
    torch.manual_seed(seed)
    hgen = HGen(spec, shape)
    with torch.no_grad():
        for p in hgen.parameters():
            p.add_(0.05 * torch.randn_like(p))
        hgen.theta0.copy_(net.he_init(spec, torch.Generator().manual_seed(seed)))
        for s in spec.stages:
            if isinstance(s.layer, Conv):
                mean, var = hgen.stats.of(s.index)
                mean.copy_(torch.randn(s.layer.cout) * 0.1)
                var.copy_(torch.rand(s.layer.cout) + 0.5)
    return hgen


def unit(count: int, d: int, seed: int = 1) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, d, generator=torch.Generator().manual_seed(seed)), dim=1)
