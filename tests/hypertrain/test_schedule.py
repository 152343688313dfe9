"""Schedules are functions of the step; a run that goes on makes the same weights."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import schedule
from hyper_mcu.hypertrain.schedule import Schedule

RUN = Schedule(steps=1000, lr=0.1, warmup=100, people=4, double_at=(0.1, 0.2, 0.4), cluster_start=500)


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


def test_table_lists_every_change_once() -> None:
    rows = schedule.changes(RUN)
    assert [m.step for m in rows] == [1, 100, 101, 201, 401, 501, 1000]
    assert [m.people for m in rows] == [4, 4, 8, 16, 32, 32, 32]
    assert [m.clustered for m in rows] == [False] * 5 + [True] * 2
    assert [m.alpha_norm for m in rows][-2:] == [RUN.alpha_to] * 2
    lines = schedule.table(RUN, photos=3).splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[4].split() == ["201", "16", "48", f"{rows[3].lr:.2e}", f"{rows[3].alpha_norm:.2e}", "uniform"]
    assert lines[-1].split()[-1] == "KCS"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"warmup": 1000}, "hyper.warmup: longer than the run"),
        ({"double_at": (0.2, 0.1)}, "hyper.double_at"),
        ({"double_at": (0.5, 1.0)}, "hyper.double_at"),
        ({"alpha_shape": "step"}, "hyper.alpha_shape: unknown; expected linear or cosine, got step"),
        ({"alpha_from": 2e-5}, "hyper.alpha_to: out of range"),
        ({"alpha_until": 1.5}, "hyper.alpha_until"),
        ({"people": 0}, "hyper.people"),
        ({"lr": math.nan}, "hyper.lr"),
    ],
)
def test_impossible_schedule_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"^{named}"):
        Schedule(**{"steps": 1000, "warmup": 100, **change})


def trained(kind: str, steps: range, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """A layer after the given steps, from a start or from another's state."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 3)
    groups = [{"params": [layer.weight]}, {"params": [layer.bias], "weight_decay": 0.0, "factor": 0.1}]
    optimiser = schedule.build_optimiser(groups, kind, weight_decay=1e-4)
    if state is not None:
        layer.load_state_dict(state["layer"])
        optimiser.load_state_dict(state["optimiser"])
    for step in steps:
        schedule.set_lr(optimiser, schedule.lr(step, 0.1, 5, 20))
        optimiser.zero_grad()
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        layer(x).square().mean().backward()
        optimiser.step()
    return {"layer": layer.state_dict(), "optimiser": optimiser.state_dict()}


@pytest.mark.parametrize("kind", schedule.OPTIMISERS)
def test_run_that_goes_on_makes_the_weights_of_one_that_did_not_stop(kind: str) -> None:
    whole = trained(kind, range(1, 21))
    resumed = trained(kind, range(8, 21), trained(kind, range(1, 8)))
    start = trained(kind, range(0))
    for name, w in whole["layer"].items():
        assert torch.equal(resumed["layer"][name], w)
        assert not torch.equal(start["layer"][name], w)


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


def test_group_has_its_own_factor_of_the_rate() -> None:
    a, b = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimiser = schedule.build_optimiser([{"params": [a]}, {"params": [b], "factor": 0.1}], "adamw", 0.0)
    schedule.set_lr(optimiser, 0.5)
    assert [g["lr"] for g in optimiser.param_groups] == [0.5, pytest.approx(0.05)]


def test_unknown_optimiser_is_refused() -> None:
    with pytest.raises(UserError, match="expected adamw or sgd, got lion"):
        schedule.build_optimiser([{"params": [torch.nn.Parameter(torch.zeros(1))]}], "lion", 0.0)
