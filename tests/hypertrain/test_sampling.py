"""Batches of people and photos: which, how often, and again the same when a run goes on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="needs hyper-mcu[train]: scikit-learn")

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import sampling
from hyper_mcu.hypertrain.sampling import Album, Sampler


def album(counts: list[int]) -> Album:
    """People of so many photos each, their rows in random order after five images that are not for training."""
    identity = np.repeat([f"p{i:03d}" for i in range(len(counts))], counts)
    identity = np.concatenate([[""] * 5, np.random.default_rng(0).permutation(identity)])
    return sampling.album(identity, np.arange(5, len(identity)))


def person_of(a: Album) -> NDArray[np.int64]:
    """The person of each row."""
    person = np.full(int(a.rows.max()) + 1, -1)
    person[a.rows] = np.repeat(np.arange(len(a.counts)), a.counts)
    return person


def looks(sizes: list[int], seed: int = 0) -> NDArray[np.float32]:
    """Unit embeddings of people in groups of such sizes who look alike."""
    rng = np.random.default_rng(seed)
    e = np.repeat(rng.standard_normal((len(sizes), 32)), sizes, 0) + 0.5 * rng.standard_normal((sum(sizes), 32))
    return (e / np.linalg.norm(e, axis=1, keepdims=True)).astype(np.float32)


def test_album_holds_each_persons_images() -> None:
    identity = np.array(["b", "a", "", "b", "c", "b"])
    a = sampling.album(identity, np.array([0, 1, 3, 5]))
    assert a.names.tolist() == ["a", "b"]
    assert [a.of(0).tolist(), a.of(1).tolist()] == [[1], [0, 3, 5]]
    assert a.counts.tolist() == [1, 3]


def test_album_of_an_image_without_identity_is_refused() -> None:
    with pytest.raises(UserError, match="image without identity"):
        sampling.album(np.array(["a", ""]), np.array([0, 1]))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_mean_embeddings_are_those_of_each_person(chunk: int) -> None:
    a = album([1, 5, 2, 9, 3])
    e = np.random.default_rng(1).standard_normal((25, 2, 6)).astype(np.float16)
    got = sampling.mean_embeddings(a, e, 4, chunk)
    for i in range(5):
        want = e[a.of(i), :, :4].astype(np.float32).mean((0, 1))
        assert got[i] == pytest.approx(want / np.linalg.norm(want), abs=1e-3)


def test_step_has_distinct_people_with_distinct_photos_of_their_own() -> None:
    a = album([6] * 20)
    s = Sampler(a, photos=4, seed=0)
    for step in range(1, 30):
        rows = s.rows(step, 8)
        people = person_of(a)[rows].reshape(8, 4)
        assert (people == people[:, :1]).all()
        assert len(set(people[:, 0])) == 8
        assert len(set(rows)) == 32


def test_sets_of_different_sizes_are_drawn_as_often_as_asked() -> None:
    a = album([2] * 100)
    who = person_of(a)
    names = np.array([f"{'large' if i < 90 else 'small'}/p{i}/{row}.jpg" for row, i in enumerate(who)])
    small = np.arange(100) >= 90
    for power, share in ((0.0, 0.1), (0.5, 0.25), (1.0, 0.5)):
        weight = sampling.balanced(a, names, power)
        assert (weight.sum(), weight[small].sum()) == pytest.approx((1, share))
        s = Sampler(a, 1, 0, weight=weight)
        drawn = np.concatenate([who[s.rows(step, 2)] for step in range(1, 1001)])
        assert small[drawn].mean() == pytest.approx(share, abs=0.04)
    no_sets = np.array([f"p{i}/{row}.jpg" for row, i in enumerate(who)])
    assert sampling.balanced(a, no_sets, 1.0) == pytest.approx(np.full(100, 0.01))


def test_person_with_few_photos_repeats_them_evenly() -> None:
    a = album([3] * 4)
    rows = Sampler(a, photos=8, seed=0).rows(1, 4)
    counts = np.unique(rows, return_counts=True)[1]
    assert len(rows) == 32
    assert sorted(counts) == [2] * 4 + [3] * 8


def test_unbalanced_step_takes_what_people_have_and_keeps_its_size() -> None:
    a = album([1, 2, 3, 9] * 10)
    s = Sampler(a, photos=4, seed=0, unbalanced=True)
    for step in range(1, 50):
        rows = s.rows(step, 6)
        people, counts = np.unique(person_of(a)[rows], return_counts=True)
        assert len(set(rows)) == len(rows) == 24
        full = np.minimum(a.counts[people], 4)
        assert (counts <= full).all()
        assert (counts < full).sum() <= 1  # the last one, where the batch is full
        assert len(people) >= 6


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("unbalanced", [False, True])
def test_rows_depend_on_seed_and_step_alone(clustered: bool, unbalanced: bool) -> None:
    a = album([3, 5] * 15)
    clusters = sampling.cluster(looks([10] * 3), 3, 0) if clustered else None

    def draw(seed: int, steps: list[int]) -> dict[int, list[int]]:
        s = Sampler(a, 4, seed, unbalanced, clusters)
        return {step: s.rows(step, 5).tolist() for step in steps}

    whole, resumed = draw(1, list(range(1, 20))), draw(1, [19, 12])
    assert resumed == {19: whole[19], 12: whole[12]}
    assert len({tuple(r) for r in whole.values()}) == 19
    assert draw(2, [7])[7] != whole[7]


@pytest.mark.parametrize("unbalanced", [False, True])
def test_everybody_is_used_equally_often(unbalanced: bool) -> None:
    a = album([1, 4, 4, 9] * 10)
    s = Sampler(a, 4, 0, unbalanced)
    used = sum(np.bincount(np.unique(person_of(a)[s.rows(i, 8)]), minlength=40) for i in range(1, 1501))
    assert used / used.mean() == pytest.approx(np.ones(40), abs=0.25)  # SD of a mean of 300 draws: 0.05


def test_photos_of_a_person_are_used_equally_often() -> None:
    a = album([5] * 6)
    s = Sampler(a, 2, 0)
    used = np.bincount(np.concatenate([s.rows(i, 4) for i in range(1, 1001)]), minlength=35)[5:]
    assert used / used.mean() == pytest.approx(np.ones(30), abs=0.25)


def hardness(s: Sampler, means: NDArray[np.float32], steps: range, people: int) -> tuple[float, float]:
    """Mean cosine of different people of a batch, and the mean of each one's nearest other."""
    all_, nearest = [], []
    for step in steps:
        chosen = np.unique(person_of(s.album)[s.rows(step, people)])
        c = means[chosen] @ means[chosen].T
        others = c[~np.eye(len(c), dtype=bool)].reshape(len(c), -1)
        all_.append(others.mean())
        nearest.append(others.max(1).mean())
    return float(np.mean(all_)), float(np.mean(nearest))


def test_clustered_batches_hold_people_who_look_alike() -> None:
    means = looks([20] * 6)
    clusters = sampling.cluster(means, 6, seed=0)
    uniform, kcs = (
        hardness(Sampler(album([2] * 120), 2, 0, clusters=c), means, range(1, 41), 8) for c in (None, clusters)
    )
    assert kcs[0] > uniform[0] + 0.5
    assert kcs[1] > uniform[1] + 0.05


def test_clusters_begin_after_their_step() -> None:
    a, clusters = album([2] * 60), sampling.cluster(looks([20] * 3), 3, 0)
    late, never, always = Sampler(a, 2, 0, False, clusters, 10), Sampler(a, 2, 0), Sampler(a, 2, 0, False, clusters)
    assert all(np.array_equal(late.rows(i, 6), never.rows(i, 6)) for i in range(1, 11))
    assert all(np.array_equal(late.rows(i, 6), always.rows(i, 6)) for i in range(11, 20))
    assert not np.array_equal(never.rows(11, 6), always.rows(11, 6))


def test_cluster_is_drawn_in_proportion_to_its_size() -> None:
    a, clusters = album([1] * 60), sampling.cluster(looks([10, 20, 30]), 3, 0)
    sizes = np.bincount(clusters.label)
    assert sorted(sizes) == [10, 20, 30]
    s = Sampler(a, 1, 0, clusters=clusters)
    drawn = [set(clusters.label[person_of(a)[s.rows(i, 5)]]) for i in range(1, 1201)]
    assert all(len(d) == 1 for d in drawn)
    frequency = np.bincount([d.pop() for d in drawn], minlength=3) / len(drawn)
    assert frequency == pytest.approx(sizes / 60, abs=0.05)  # SD 0.014


@pytest.mark.parametrize("unbalanced", [False, True])
def test_people_of_small_clusters_are_used_as_often_as_others(unbalanced: bool) -> None:
    sizes = [8, 12, 16, 40, 40, 40]
    a = album([1, 2, 3, 4] * 39)
    clusters = sampling.from_labels(looks(sizes), np.repeat(np.arange(6), sizes), 6)
    s = Sampler(a, 3, 0, unbalanced, clusters)
    used = sum(np.bincount(np.unique(person_of(a)[s.rows(i, 12)]), minlength=156) for i in range(1, 2001))
    each = np.bincount(clusters.label, used) / clusters.sizes / used.mean()
    assert each == pytest.approx(np.ones(6), abs=0.15)  # drawn in proportion to size, the smallest had two thirds


def test_small_clusters_are_filled_from_the_nearest() -> None:
    angles = np.deg2rad([0] * 4 + [40] * 4 + [180] * 4 + [230] * 4)
    means = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    a = album([1] * 16)
    s = Sampler(a, 1, 0, clusters=sampling.from_labels(means, np.repeat(np.arange(4), 4), 4))
    for step in range(1, 40):
        groups = np.bincount(person_of(a)[s.rows(step, 7)] // 4, minlength=4)
        assert sorted(groups) == [0, 0, 3, 4]
        assert set(np.flatnonzero(groups)) in ({0, 1}, {2, 3})
    assert sorted(s.rows(1, 16)) == sorted(a.rows)  # all the people there are


def test_clusters_are_those_of_the_seed() -> None:
    means = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    a, again, other = (sampling.cluster(means, 12, seed) for seed in (0, 0, 1))
    assert np.array_equal(a.label, again.label)
    assert np.array_equal(a.near, again.near)
    assert not np.array_equal(a.label, other.label)
    assert np.array_equal(a.near[:, 0], np.arange(12))


def test_batch_that_the_album_cannot_fill_is_refused() -> None:
    a = album([1, 2, 5])
    Sampler(a, 4, 0).check(3)
    with pytest.raises(UserError, match=r"^hyper.people: .*at most the 3 there are, got 4"):
        Sampler(a, 4, 0).check(4)
    Sampler(a, 2, 0, unbalanced=True).check(2)
    with pytest.raises(UserError, match=r"at most the 7 images there are, got 3 people × 4 photos"):
        Sampler(a, 4, 0, unbalanced=True).check(3)


@pytest.mark.parametrize("batch", [4, 10, 23])
def test_epochs_are_without_replacement(batch: int) -> None:
    steps = 200 // batch
    drawn = np.concatenate([sampling.epoch_rows(10, batch, 3, step) for step in range(1, steps + 1)])
    assert len(drawn) == steps * batch
    epochs = drawn[: len(drawn) // 10 * 10].reshape(-1, 10)
    assert (np.sort(epochs, 1) == np.arange(10)).all()
    assert len({tuple(e) for e in epochs}) == len(epochs)  # another order each
    assert np.array_equal(sampling.epoch_rows(10, batch, 3, 5), drawn[4 * batch : 5 * batch])


def test_draws_for_different_purposes_differ() -> None:
    a, b, again = (sampling.rng(0, 1, p).random(4).tolist() for p in ("people", "pairs", "people"))
    assert a == again
    assert a != b
