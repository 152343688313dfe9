"""Chosen pairs: the right ones, and weights that make any sum over them unbiased."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import pairs


def batch(people: int, photos: int, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(people), photos)
    e = rng.standard_normal((len(label), 8))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    return label[:, None] == label[None], e @ e.T


def test_positives_and_hardest_negatives_are_always_there_with_weight_one() -> None:
    same, similarity = batch(10, 3)
    s = pairs.choose(same, similarity, 4, 5, np.random.default_rng(0))
    assert s.columns.shape == (30, 3 + 4 + 5)
    for j in range(30):
        certain = set(s.columns[j, s.weights[j] == 1])
        hardest = np.argsort(np.where(same[j], np.inf, -similarity[j]))[:4]
        assert certain == set(np.flatnonzero(same[j])) | set(hardest)
        assert len(set(s.columns[j])) == 12


def test_weights_of_a_row_add_up_to_all_its_images() -> None:
    same, similarity = batch(10, 3)
    s = pairs.choose(same, similarity, 4, 5, np.random.default_rng(0))
    assert s.weights.sum(1) == pytest.approx(np.full(30, 30.0))


def test_rows_with_fewer_positives_are_padded_with_weight_zero() -> None:
    label = np.array([0, 0, 0, 0, 1, 2, 2, 3, 3, 3])
    same = label[:, None] == label[None]
    s = pairs.choose(same, np.random.default_rng(1).random((10, 10)), 2, 2, np.random.default_rng(0))
    assert s.columns.shape == (10, 4 + 2 + 2)
    assert (s.weights > 0).sum(1).tolist() == [8] * 4 + [5] + [6] * 2 + [7] * 3
    assert s.weights.sum(1) == pytest.approx(np.full(10, 10.0))
    assert not np.take_along_axis(same, s.columns, 1)[s.weights == 0].any()


def test_asking_for_more_than_there_is_takes_every_pair_once() -> None:
    same, similarity = batch(3, 2)
    for hard, random in ((100, 100), (0, 100), (100, 1)):
        s = pairs.choose(same, similarity, hard, random, np.random.default_rng(0))
        assert np.array_equal(np.sort(s.columns, 1), np.tile(np.arange(6), (6, 1)))
        assert (s.weights == 1).all()


def test_net_of_nobody_has_no_positives() -> None:
    same, similarity = np.zeros((1, 9), bool), np.linspace(0, 1, 9)[None]
    s = pairs.choose(same, similarity, 2, 3, np.random.default_rng(0))
    assert s.columns[0, :2].tolist() == [7, 8]
    assert s.weights[0].tolist() == pytest.approx([1, 1, 7 / 3, 7 / 3, 7 / 3])


def test_mean_over_every_possible_draw_is_the_whole_sum() -> None:
    same = np.array([[True, False, False, False, False, False, False, True]])
    similarity = np.array([[0.9, 0.1, 0.2, 0.8, 0.3, 0.15, 0.25, 0.95]])  # column 3 is hard; 1, 2, 4, 5, 6 are the rest
    value = np.array([3.0, -1.0, 4.0, 1.5, -9.0, 2.5, 6.0, 5.0])
    seen: dict[tuple[int, ...], list[float]] = {}
    draws = 3000
    for seed in range(draws):
        s = pairs.choose(same, similarity, 1, 2, np.random.default_rng(seed))
        chosen = tuple(sorted(s.columns[0]))
        seen.setdefault(chosen, []).append(float((s.weights[0] * value[s.columns[0]]).sum()))
    assert len(seen) == comb(5, 2)
    assert all({0, 3, 7} < set(chosen) for chosen in seen)
    assert np.mean([sums[0] for sums in seen.values()]) == pytest.approx(value.sum())
    counts = np.array([len(sums) for sums in seen.values()])
    expected = draws / len(seen)
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # χ² of 9 degrees, p = 0.001


def test_sum_over_chosen_pairs_is_unbiased_for_a_loss_tied_to_the_similarity() -> None:
    same, similarity = batch(12, 2)
    value = np.exp(3 * similarity)
    rng = np.random.default_rng(0)
    sums = []
    for _ in range(2000):
        s = pairs.choose(same, similarity, 3, 4, rng)
        sums.append((s.weights * np.take_along_axis(value, s.columns, 1)).sum(1))
    error = (np.mean(sums, 0) - value.sum(1)) / (np.std(sums, 0) / len(sums) ** 0.5)
    assert np.abs(error).max() < 4.5
    assert np.std(error) == pytest.approx(1, abs=0.5)  # neither off nor without any spread


def test_hard_negatives_lower_the_spread_of_the_sum() -> None:
    same, similarity = batch(12, 2)
    value, rng = np.exp(6 * similarity), np.random.default_rng(0)

    def spread(hard: int, random: int) -> float:
        chosen = [pairs.choose(same, similarity, hard, random, rng) for _ in range(300)]
        return float(np.std([(s.weights * np.take_along_axis(value, s.columns, 1)).sum() for s in chosen]))

    assert spread(4, 4) < spread(0, 8) / 2


def test_draws_follow_the_generator() -> None:
    same, similarity = batch(10, 3)
    a, b, other = (pairs.choose(same, similarity, 2, 4, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(a.columns, b.columns)
    assert not np.array_equal(a.columns, other.columns)


def test_numbers_that_cannot_be_unbiased_are_refused() -> None:
    pairs.check("hyper", 0, 1)
    with pytest.raises(UserError, match=r"^hyper.random: .*expected at least 1"):
        pairs.check("hyper", 4, 0)
    with pytest.raises(UserError, match=r"^hyper.hard: "):
        pairs.check("hyper", -1, 4)
