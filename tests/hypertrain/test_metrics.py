"""Metrics against exhaustive search."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

from hyper_mcu.hypertrain import metrics


def test_equal_error_of_separable_scores_is_zero() -> None:
    e = metrics.equal_error(np.array([0.9, 0.8]), np.array([0.1, 0.2]))
    assert (e.eer, e.threshold) == (0.0, 0.8)


def test_equal_error_of_overlapping_scores() -> None:
    e = metrics.equal_error(np.array([1, 2, 3, 4]), np.array([0, 1, 2, 3]))
    assert e.threshold == 2
    assert (e.fmr, e.fnmr) == (0.5, 0.25)  # 2 and 3 of the impostors pass, 1 of the genuine does not
    assert metrics.rates(np.array([1, 2, 3, 4]), np.array([0, 1, 2, 3]), 2) == (e.fmr, e.fnmr)


@pytest.mark.parametrize("seed", range(20))
def test_best_threshold_equals_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, same = rng.integers(0, 8, 30).astype(float), rng.random(30) < 0.5
    got = np.mean((scores >= metrics.best_threshold(scores, same)) == same)
    best = max(np.mean((scores >= t) == same) for t in [*np.unique(scores), 99.0])
    assert got == best


def test_ten_folds_takes_each_threshold_from_the_other_folds() -> None:
    fold = np.repeat([1, 2], 4)
    same = np.tile([True, True, False, False], 2)
    scores = np.array([0.9, 0.8, 0.2, 0.1, 9.0, 8.0, 2.0, 1.0])  # fold 2 on another scale: its threshold ruins fold 1
    mean, sd = metrics.ten_folds(scores, same, fold)
    assert mean == 0.5
    assert sd == 0.0
