"""h_gen: what its nets start as, and what each part of its shape does."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from generators import POINTWISE, unit

from hyper_mcu.hypertrain import net
from hyper_mcu.hypertrain.hgen import HGen, Shape


def test_residual_form_starts_as_the_trunk() -> None:
    hgen = HGen(POINTWISE, Shape(16, 24, 3))
    with torch.no_grad():
        hgen.theta0.copy_(net.he_init(POINTWISE, torch.Generator().manual_seed(3)))
        raw = hgen.raw(unit(4, 16))
    assert torch.equal(raw, hgen.theta0.detach().expand(4, -1))
