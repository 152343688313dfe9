"""Rates by threshold from scores of held-out people, and what embeddings tell of strangers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

from synthetic_faces import faces

from hyper_mcu.hypertrain import operating
from hyper_mcu.hypertrain.protocols import val_pairs


def test_points_of_a_curve_are_counted() -> None:
    rng = np.random.default_rng(0)
    g, i = rng.normal(2, 1, 500), rng.normal(0, 1, 20_000)
    found = operating.curve(g, i)
    for z, matches, missed in found.points:
        assert matches == (i >= z).sum()
        assert missed == (g < z).sum()
    at = found.at(1e-3)
    assert (at.fmr, found.at(0.01).fmr, found.points[-1][1]) == (1e-3, 1e-2, 3)
    assert abs(at.z - np.sort(i)[-20]) < 0.05
    assert found.points[0][1] == pytest.approx(0.5012 * 20_000, abs=1)


def test_equal_scores_are_on_one_side() -> None:
    found = operating.curve(np.array([1.0, 2.0]), np.repeat([0.0, 1.0], 50))
    assert all(matches in (0, 50, 100) for _, matches, _ in found.points)
    assert found.at(0.4).fmr == 0
    assert found.at(0.5) == found.at(0.6)


def test_curves_of_two_people_have_a_point() -> None:
    assert operating.curve(np.array([0.9]), np.array([0.1, 0.2])).at(None).fmr <= 0.5


def test_a_cohort_takes_away_what_people_differ_by() -> None:
    """Scores that are 0.3 for the owner and 0 for strangers, but on a scale of each person's own."""
    people = faces({"train": 4, "val": 60}, photos=3, side=112)
    pairs, rng = val_pairs(people), np.random.default_rng(3)
    assert (~pairs.same).sum() == 60 * 59
    _, who = np.unique(people.identity[pairs.enrol], return_inverse=True)
    shift, scale = rng.normal(0, 0.2, 60), rng.uniform(0.5, 1.5, 60)
    plain = np.where(pairs.same, 0.3, 0.0) + rng.normal(0, 0.05, len(who))
    found = operating.rates(shift[who] + scale[who] * plain, pairs, people)
    assert (found.people, found.faces) == (60, 30)
    assert found.at(0.01, cohort=True).fnmr < 0.1 < 0.5 < found.at(0.01).fnmr
    assert found.strangers.mean_faces < 1 < 30 < operating.rates(plain, pairs, people).strangers.mean_faces


def test_what_an_embedding_tells_of_strangers_is_found() -> None:
    rng = np.random.default_rng(4)
    e = rng.normal(size=(200, 8))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    centre = np.full(8, 0.2, np.float32)
    scores = [0.1 + 0.5 * (x @ centre) + rng.normal(0, 0.07, 400) for x in e]
    found = operating.guess(scores, e.astype(np.float32), centre)
    assert (found.offset, found.slope, found.sd) == pytest.approx((0.1, 0.5, 0.07), abs=0.01)
    assert found.mean_faces > 400  # there is nothing else that people differ by
