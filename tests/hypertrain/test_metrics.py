"""Metrics against exhaustive search, and against what other people's libraries say."""

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs hyper-mcu[train]: scipy")

from scipy.stats import binomtest

from hyper_mcu.hypertrain import metrics

GENUINE, IMPOSTOR = np.array([1, 2, 3, 4]), np.array([0, 1, 2, 3])


def test_equal_error_of_separable_scores_is_zero() -> None:
    e = metrics.equal_error(np.array([0.9, 0.8]), np.array([0.1, 0.2]))
    assert (e.eer, e.threshold) == (0.0, 0.8)


def test_equal_error_of_overlapping_scores() -> None:
    e = metrics.equal_error(GENUINE, IMPOSTOR)
    assert e.threshold == 2
    assert (e.fmr, e.fnmr) == (0.5, 0.25)  # 2 and 3 of the impostors pass, 1 of the genuine does not
    assert metrics.rates(GENUINE, IMPOSTOR, 2) == (e.fmr, e.fnmr)


@pytest.mark.parametrize("seed", range(40))
def test_equal_error_lies_at_the_score_of_either_side_where_rates_are_closest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.integers(3, 30, rng.integers(1, 40)), rng.integers(0, 27, rng.integers(1, 40))
    e = metrics.equal_error(genuine, impostor)
    apart = [abs(np.subtract(*metrics.rates(genuine, impostor, t))) for t in (*genuine, *impostor)]
    assert metrics.rates(genuine, impostor, e.threshold) == pytest.approx((e.fmr, e.fnmr))
    assert abs(e.fmr - e.fnmr) == pytest.approx(min(apart))
    assert e.threshold in (*genuine, *impostor)


def test_equal_error_of_two_genuine_scores_is_not_that_between_them() -> None:
    e = metrics.equal_error(np.array([0, 10]), np.arange(1, 10))
    assert (e.threshold, e.fnmr, e.fmr) == (5, 1 / 2, pytest.approx(5 / 9))


def test_trade_off_is_the_rates_at_every_score() -> None:
    fmr, fnmr = metrics.trade_off(GENUINE, IMPOSTOR)
    assert list(zip(fmr, fnmr, strict=True)) == [metrics.rates(GENUINE, IMPOSTOR, t) for t in (0, 1, 2, 3, 4, math.inf)]


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_equals_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, same = rng.integers(0, 8, 30).astype(float), rng.random(30) < 0.5
    got = np.mean((scores >= metrics.best_threshold(scores, same)) == same)
    best = max(np.mean((scores >= t) == same) for t in [*np.unique(scores), 99.0])
    assert got == best


def test_threshold_that_accepts_nobody_lies_above_every_score_of_any_size() -> None:
    scores = np.array([1e20, 2e20])
    assert metrics.best_threshold(scores, np.array([False, False])) > 2e20


def test_ten_folds_takes_each_threshold_from_the_other_folds() -> None:
    fold = np.repeat([1, 2], 4)
    same = np.tile([True, True, False, False], 2)
    scores = np.array([0.9, 0.8, 0.2, 0.1, 9.0, 8.0, 2.0, 1.0])  # fold 2 on another scale: its threshold ruins fold 1
    mean, sd = metrics.ten_folds(scores, same, fold)
    assert mean == 0.5
    assert sd == 0.0


def test_comparisons_that_were_not_made_are_wrong_whichever_they_are() -> None:
    fold, same = np.repeat([1, 2], 4), np.tile([True, True, False, False], 2)
    scores, made = np.where(same, 0.9, 0.1), np.ones(8, bool)
    made[[0, 3]] = False  # one of each kind, both in fold 1
    scores[~made] = np.nan
    assert metrics.ten_folds(scores, same, fold, made) == (0.75, pytest.approx(0.5 / 2**0.5))
    f = metrics.figures(scores, same, fold, made)
    assert f.accuracy_mean == 0.75
    assert f.eer == 1 / 8  # FNMR 1/4, FMR 0
    genuine, impostor = metrics.sides(scores, same, made)
    assert (len(genuine), len(impostor), genuine.min()) == (4, 3, -np.inf)


@pytest.mark.parametrize(("events", "trials"), [(0, 10), (10, 10), (3, 3500), (1720, 3500), (1, 1)])
def test_bounds_are_clopper_and_pearsons(events: int, trials: int) -> None:
    want = binomtest(events, trials).proportion_ci(0.95, "exact")
    assert metrics.clopper_pearson(events, trials) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_accepted_are_those_above_as_few_impostors_as_allowed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.integers(40, 200, 300), rng.integers(0, 120, 400)
    found = metrics.tar_at_fmr(genuine, impostor, 1e-2)
    thresholds = [t for t in np.unique(np.concatenate([genuine, impostor])) if np.mean(impostor >= t) <= 1e-2]
    assert found.threshold == min(thresholds)
    assert found.tar == np.mean(genuine >= found.threshold)
    assert found.fmr == np.mean(impostor >= found.threshold)
    assert found.false_matches == (impostor >= found.threshold).sum()
    assert found.tar_low < found.tar < found.tar_high
    assert found.fmr_low < max(found.fmr, 1e-9) < found.fmr_high


def test_as_many_false_matches_as_the_target_allows_are_used() -> None:
    impostor = np.arange(3000.0)
    found = metrics.tar_at_fmr(np.array([2996.0, 2997.0, 5.0]), impostor, 1e-3)
    assert (found.false_matches, found.threshold, found.tar) == (3, 2997.0, 1 / 3)  # 1e-3·3000 is a little above 3


def test_nobody_is_accepted_where_an_impostor_has_the_highest_score() -> None:
    found = metrics.tar_at_fmr(np.zeros(10), np.ones(300), 1e-2)
    assert (found.tar, found.threshold, found.false_matches, found.fmr) == (0.0, None, 0, 0.0)


def test_rate_that_the_impostors_cannot_show_is_no_number() -> None:
    genuine, impostor = np.arange(10.0), np.arange(2999.0)
    found = metrics.tar_at_fmr(genuine, impostor, 1e-3)
    assert (found.supported, found.needs, found.tar, found.tar_high, found.threshold) == (False, 3000, None, None, None)
    assert metrics.tar_at_fmr(genuine, np.arange(3000.0), 1e-3).supported
    assert metrics.tar_at_fmr(genuine, impostor, 1e-4).needs == 30000


def test_rate_behind_which_fewer_than_thirty_false_matches_stand_is_rough() -> None:
    assert metrics.tar_at_fmr(np.arange(9.0), np.arange(2999.0), 1e-2).rough
    assert not metrics.tar_at_fmr(np.arange(9.0), np.arange(3000.0), 1e-2).rough


def test_figures_of_perfect_scores() -> None:
    same, fold = np.tile([True, False], 300), np.repeat(np.arange(10), 60)
    f = metrics.figures(np.where(same, 0.9, 0.1), same, fold)
    assert (f.accuracy_mean, f.accuracy_sd, f.eer, f.threshold) == (1.0, 0.0, 0.0, 0.9)
    assert {k: (t.supported, t.tar) for k, t in f.tar_at_fmr.items()} == {
        "1e-2": (True, 1.0), "1e-3": (False, None), "1e-4": (False, None)
    }  # fmt: skip
