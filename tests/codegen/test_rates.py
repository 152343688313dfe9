"""What a threshold stands for: bounds, points of a curve, and the scale of one person."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.rates import Curve, Rates, Strangers, clopper_pearson, from_json, needed

POINTS = ((-1.0, 500, 0), (0.0, 100, 3), (1.0, 10, 12), (2.0, 3, 20))
CURVE = Curve(40, 1000, POINTS)
STRANGERS = Strangers((0.5, 0.5), 0.1, 0.2, 0.05, 40.0, 60.0)


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [
        # Exact bounds: 0 of n is at most 1 − 0.025^(1/n), n of n at least 0.025^(1/n), 1 of 2 the roots of p² and of
        # 1 − (1 − p)².
        (0, 10, 0.0, 1 - 0.025**0.1),
        (10, 10, 0.025**0.1, 1.0),
        (1, 2, 1 - 0.975**0.5, 0.975**0.5),
        (0, 136530, 0.0, 1 - 0.025 ** (1 / 136530)),
    ],
)
def test_bounds_are_those_of_clopper_and_pearson(events: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(events, trials) == pytest.approx((low, high), rel=1e-9)


def test_a_rate_needs_three_over_it() -> None:
    assert [needed(r) for r in (0.5, 0.01, 1e-3, 1e-4)] == [6, 300, 3000, 30000]


def test_the_lowest_threshold_that_keeps_the_rate_is_taken() -> None:
    assert (CURVE.at(0.1).z, CURVE.at(0.0999).z, CURVE.at(0.01).z, CURVE.at(0.003).z) == (0.0, 1.0, 1.0, 2.0)
    assert (CURVE.at(0.1).fmr, CURVE.at(0.1).fnmr) == (0.1, 3 / 40)
    assert CURVE.at(0.01).fmr_high == clopper_pearson(10, 1000)[1]
    assert CURVE.at(None).z == 2.0  # a thousand comparisons show no 1e-3
    assert Curve(40, 3000, POINTS).at(None).z == 2.0


@pytest.mark.parametrize("rate", [0.0029, 0.0, -1.0, 1.0, float("nan")])
def test_a_rate_that_nobody_measured_is_refused(rate: float) -> None:
    with pytest.raises(UserError) as e:
        CURVE.at(rate)
    want = "0.003 or more, and less than 1: 1,000 comparisons show no less"
    assert str(e.value) == f"--fmr: false match rate; expected {want}, got {rate:g}"


@pytest.mark.parametrize("points", [(), POINTS[::-1]])
def test_a_curve_without_order_is_refused(points: tuple[tuple[float, int, int], ...]) -> None:
    with pytest.raises(UserError, match="rates: curve; expected thresholds that rise, and comparisons"):
        Curve(40, 1000, points)


def test_the_guess_gives_way_to_strangers_that_were_seen() -> None:
    e = np.array([1.0, 0.0, 9.0], np.float32)  # what stands behind the embedding is not looked at
    assert STRANGERS.moments(e) == pytest.approx((0.2, 0.05))
    seen = np.array([0.3, 0.5] * 20)
    mean, sd = STRANGERS.moments(e, seen)
    assert mean == pytest.approx(0.3)  # forty seen count for as much as the guess
    assert sd == pytest.approx(((40 * 0.01 + 60 * 0.0025) / 100) ** 0.5)
    many = STRANGERS.moments(e, np.tile(seen, 10_000))
    assert many == pytest.approx((0.4, 0.1), abs=1e-4)


def test_rates_come_back_from_json() -> None:
    rates = Rates(7, STRANGERS, CURVE, replace(CURVE, genuine=41), 3)
    assert from_json(json.loads(json.dumps(rates.to_json()))) == rates
    assert rates.at(0.1, cohort=True).fnmr == 3 / 41
    assert rates.on() == "40 genuine and 1000 impostor pairs of 7 held-out people"
    assert rates.on(cohort=True) == f"{rates.on()}, 3 strangers asked about before"
    assert [r["target"] for r in rates.told()["rates"]] == [0.1, 0.01]


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_rates_that_are_not_finite_are_refused(number: float) -> None:
    said = Rates(7, replace(STRANGERS, offset=number), CURVE, CURVE, 3).to_json()
    with pytest.raises(ValueError, match="numbers that are not finite"):
        from_json(said)
