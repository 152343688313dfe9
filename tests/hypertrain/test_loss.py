"""The paper's objective against its formulas written out."""

import math

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch

from hyper_mcu.hypertrain import loss


def test_targets_mark_the_same_person() -> None:
    assert loss.targets(torch.tensor([1, 2]), torch.tensor([2, 1, 2])).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_weighted_bce_is_equation_six() -> None:
    ids = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])  # B = 4 people, n = 2: one pair in 4 is positive
    y = loss.targets(ids, ids)
    z = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    lam, want = 1 - 2 / 4, 0.0
    for j in range(8):
        for k in range(8):
            p = 1 / (1 + math.exp(-float(z[j, k])))
            want -= lam * float(y[j, k]) * math.log(p) + (1 - lam) * (1 - float(y[j, k])) * math.log(1 - p)
    assert float(loss.weighted_bce(z, y, beta=2)) == pytest.approx(want / 64, rel=1e-5)


def test_weighted_bce_stays_finite_at_extreme_logits() -> None:
    y = torch.tensor([[1.0, 0.0]])
    assert float(loss.weighted_bce(torch.tensor([[-1e4, 1e4]]), y, 1.0)) == pytest.approx(0.5e4)


def test_norm_penalty_is_the_mean_squared_norm() -> None:
    assert float(loss.norm_penalty(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))) == 13


def test_similarity_is_zero_for_the_teacher_itself() -> None:
    t = torch.rand(3, 4)
    assert float(loss.similarity(t, t)) == 0
    assert float(loss.similarity(t + 0.5, t)) == pytest.approx(0.25)
