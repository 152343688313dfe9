"""The budgets of benchmarks/costs.py: what is above one is said, what was not measured, and how far a goal is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import costs

    monkeypatch.setattr(costs, "PROMISED", {"m4": {"instructions_per_mac": 1.4}, "m55": {"text_bytes": 10_240}})
    monkeypatch.setattr(costs, "KEPT", {"m4": {"instructions": 6_000}})
    monkeypatch.setattr(costs, "GOALS", {"m4": 1.15})
    module: ModuleType = costs
    return module


def told(per_mac: float | None, instructions: int, m55: dict[str, Any]) -> dict[str, Any]:
    return {"targets": {"m4": {"instructions_per_mac": per_mac, "instructions": instructions}, "m55": m55}}


def test_figures_up_to_their_budgets_are_kept(costs: ModuleType) -> None:
    assert costs.broken(told(1.4, 6_000, {"text_bytes": 10_240})) == []


def test_what_is_above_a_budget_or_not_measured_is_said(costs: ModuleType) -> None:
    assert costs.broken(told(1.4001, 6_001, {"not_run": "no emulator"})) == [
        "m4: instructions_per_mac: 1.4001; the budget is 1.4",
        "m55: text_bytes: not measured; the budget is 10,240",
        "m4: instructions: 6,001; the budget is 6,000",
    ]
    assert costs.broken(told(None, 1, {"text_bytes": 1})) == [
        "m4: instructions_per_mac: not measured; the budget is 1.4"
    ]


def test_goal_is_told_beside_what_is_promised_and_breaks_nothing(costs: ModuleType) -> None:
    for figure, said in ((1.15, ["reached"]), (1.38, ["missed by 20.0%"]), (None, [])):
        one = told(figure, 1, {"text_bytes": 1})
        lines = [f"m4: {figure:.2f} instructions a MAC: promised 1.40, goal 1.15: {word}" for word in said]
        assert list(costs.aims(one)) == lines
        assert bool(costs.broken(one)) is (figure is None)


def test_every_goal_is_below_what_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from costs import GOALS, PROMISED

    for target, goal in GOALS.items():
        assert goal < PROMISED[target]["instructions_per_mac"]


def test_check_is_exit_code_1_where_a_budget_is_broken(costs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "summary", lambda told: "")
    monkeypatch.setattr(costs, "remarks", lambda told: [])
    for figure, code in ((10_240, 0), (10_241, 1)):
        monkeypatch.setattr(costs, "measured", lambda figure=figure: told(1.0, 1, {"text_bytes": figure}))
        monkeypatch.setattr("sys.argv", ["costs.py", "--check"])
        assert costs.main() == code
        monkeypatch.setattr("sys.argv", ["costs.py"])
        assert costs.main() == 0
