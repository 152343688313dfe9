"""Schedules are functions of the step; impossible ones are refused; SGD is the paper's."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import schedule
from hyper_mcu.hypertrain.schedule import Moment, Schedule

RUN = Schedule(1000, 0.1, 100, 4, (0.1, 0.2, 0.4), 1e-6, 1e-5, 0.5, "linear")


def test_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [schedule.lr(s, 0.1, 100, 1000) for s in range(1, 1001)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[49] == pytest.approx(0.05)
    assert rates[99] == max(rates) == 0.1
    assert rates[550] == pytest.approx(0.05)  # half of the cosine
    assert 0 < rates[-1] < 1e-6
    assert all(a < b for a, b in itertools.pairwise(rates[:100]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_run_without_warm_up_starts_at_the_peak() -> None:
    assert schedule.lr(1, 0.1, 0, 10) == 0.1
    assert schedule.lr(1, 0.1, 0, 1) == 0.1


def test_batch_doubles_at_its_shares_to_eight_times() -> None:
    seen = [RUN.at(s).people for s in range(1, 1001)]
    assert [seen.count(n) for n in (4, 8, 16, 32)] == [100, 100, 200, 600]
    assert seen == sorted(seen)
    assert RUN.most_people == 32


@pytest.mark.parametrize(("shape", "quarter"), [("linear", 0.25), ("cosine", (1 - math.cos(math.pi / 4)) / 2)])
def test_alpha_norm_rises_in_its_shape_and_stays(shape: str, quarter: float) -> None:
    at = [schedule.alpha_norm(s, 1.0, 3.0, 0.4, shape, 1000) for s in range(1, 1001)]
    assert at[0] == 1.0
    assert at[100] == pytest.approx(1 + 2 * quarter)
    assert at[200] == pytest.approx(2.0)
    assert set(at[400:]) == {3.0}
    assert at == sorted(at)


def test_alpha_norm_without_a_rise_is_the_last_value() -> None:
    assert schedule.alpha_norm(1, 1.0, 3.0, 0.0, "linear", 1000) == 3.0


def test_what_holds_at_a_step_is_of_its_schedules() -> None:
    at = RUN.at(251)
    assert at == Moment(16, schedule.lr(251, 0.1, 100, 1000), pytest.approx(5.5e-6))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"warmup": 1000}, "hyper.warmup: longer than the run"),
        ({"double_at": (0.2, 0.1)}, "hyper.double_at"),
        ({"double_at": (0.5, 1.0)}, "hyper.double_at"),
        ({"alpha_shape": "step"}, "hyper.alpha_shape: unknown; expected linear, cosine, got step"),
        ({"alpha_from": 2e-5}, "hyper.alpha_to: out of range"),
        ({"alpha_until": 1.5}, "hyper.alpha_until"),
        ({"people": 1}, "hyper.people: out of range; expected at least 2, got 1"),
        ({"lr": math.nan}, "hyper.lr"),
    ],
)
def test_impossible_schedule_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"^{named}"):
        replace(RUN, **change)


def test_sgd_is_the_papers() -> None:
    w = torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = schedule.build_optimiser([{"params": [w]}], "sgd", weight_decay=1e-4)
    velocity, want = 0.0, 1.0
    for _ in range(3):
        schedule.set_lr(optimiser, 1e-3)
        w.grad = torch.tensor([2.0])
        optimiser.step()
        velocity = 0.9 * velocity + 2.0 + 1e-4 * want
        want -= 1e-3 * velocity
    assert float(w.detach()) == pytest.approx(want, rel=1e-6)
