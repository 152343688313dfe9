"""benchmarks/leakage.py: an embedding comes back from the integers of a head, and what cannot be inverted is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from generators import POINTWISE, trained_like, unit

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.hgen import HGen, Shape

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
D = 16


@pytest.fixture
def leakage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import leakage

    with torch.no_grad():
        yield leakage


def cosines(found: torch.Tensor, e: torch.Tensor) -> np.ndarray:
    return (found * e).sum(1).numpy()


@pytest.mark.parametrize("length", [1.0, 0.01, 300.0])
def test_least_squares_recovers_the_embedding_whatever_the_length_of_the_head(
    leakage: ModuleType, length: float
) -> None:
    slope, offset, e = torch.randn(40, D), torch.randn(40), unit(5, D)
    found = leakage.invert(slope, offset, length * (e @ slope.T + offset))
    np.testing.assert_allclose(found.numpy(), e.numpy(), atol=1e-4)


def test_weak_directions_are_left_out(leakage: ModuleType) -> None:
    basis = torch.linalg.qr(torch.randn(40, D))[0]
    slope = basis * torch.tensor([1.0] * (D - 1) + [1e-3])  # the last direction is nearly lost in rounding
    found = leakage.invert(slope, torch.zeros(40), unit(5, D) @ slope.T, weak=0.05)
    assert (found[:, -1].abs() < 1e-6).all()
    assert (found[:, 0].abs() > 1e-6).all()


def test_linear_head_is_inverted_from_its_integers(leakage: ModuleType) -> None:
    hgen, e = HGen(POINTWISE, Shape(D, 24, 3)), unit(8, D)
    assert hgen.linear is not None
    hgen.linear.copy_(torch.randn(hgen.linear.shape))
    q = leakage.int8(hgen, leakage.head(hgen, e))
    assert q.abs().max() == 127
    assert cosines(leakage.invert(*leakage.linear_head(hgen, unit(64, D, 2)), q), e).min() > 0.999


@pytest.mark.parametrize("shape", [Shape(D, 24, 3), Shape(D, 24, -1, residual=False), Shape(D, 24, 3, refine=2)])
def test_head_alone_is_what_the_generator_writes(leakage: ModuleType, shape: Shape) -> None:
    hgen, e = trained_like(POINTWISE, shape), unit(3, D)
    (t,) = (t for t in POINTWISE.tensors if t.name == "head.weight")
    torch.testing.assert_close(leakage.head(hgen, e), hgen(e)[:, t.offset : t.offset + t.size])


def test_descent_comes_nearer_than_the_affine_map(leakage: ModuleType) -> None:
    hgen, e = trained_like(POINTWISE, Shape(D, 24, 3)), unit(8, D)
    q = leakage.int8(hgen, leakage.head(hgen, e))
    start = leakage.invert(*leakage.affine(hgen, unit(256, D, 2)), q)
    before, after = cosines(start, e), cosines(leakage.refine(hgen, q, start), e)
    assert after.mean() > before.mean()
    assert after.mean() > 0.99


def test_plain_generator_has_no_linear_head(leakage: ModuleType) -> None:
    with pytest.raises(UserError, match="no linear head"):
        leakage.linear_head(trained_like(POINTWISE, Shape(D, 24, -1, residual=False)), unit(64, D))


def test_noise_has_the_length_asked_for(leakage: ModuleType) -> None:
    e = unit(500, 512).numpy()
    assert (e * leakage.noised(e, 1.0)).sum(1).mean() == pytest.approx(0.5**0.5, abs=0.01)
    np.testing.assert_allclose(leakage.noised(e, 0.0), e, atol=1e-6)


def test_nets_of_one_person_are_linked(leakage: ModuleType) -> None:
    people = unit(6, 40).repeat_interleave(2, 0)
    told = leakage.linked(people + 0.01 * torch.randn(12, 40), np.repeat(np.arange(6), 2).astype(str))
    assert told["eer"] == 0
    assert told["same"] > 0.99 > told["different"]
