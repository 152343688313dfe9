"""Permuted nets: the very same logit on every image, every order that a net allows, and none that it does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations, product
from math import factorial, log2, prod
from pathlib import Path

import numpy as np
import pytest
from c_programs import HOST, answers
from hypothesis import given, settings
from hypothesis import strategies as st
from people import OTHER, TINY, net, person
from quantised import EVERY_KIND, quantised
from strategies import images, net_specs, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.permute import apply, bits, drawn, permuted
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.qnet import QNet

# Sums of sums over shuffles, so that a map is joined to itself by another order: only orders that commute are allowed.
TANGLED = NetSpec(
    "tangled",
    (
        Conv(3, 1, "same", 3, 6, 3),
        Conv(1, 1, "same", 6, 6),
        Add(0),
        Shuffle(3),
        Conv(1, 1, "same", 6, 6, 2),
        Add(2),
        Shuffle(2),
        Conv(3, 2, "same", 6, 6, 3),
        Conv(1, 1, "same", 6, 6, 6),
        Add(5),
    ),
    Head("dot"),
    height=6,
    width=5,
)
FIXED = [TINY, OTHER, EVERY_KIND, TANGLED, preset("nano")]


def check(qnet: QNet, seed: bytes, image: np.ndarray) -> None:
    """The logit is the same, and every map but for the order of its channels; the integers are those, moved."""
    orders = drawn(qnet.spec, seed)
    other = permuted(qnet, seed)
    before, after = oracle.run(qnet, image), oracle.run(other, image)
    assert after.logit == before.logit
    for a, b, order in zip(before.layers, after.layers, orders, strict=True):
        np.testing.assert_array_equal(a[..., order], b)
    assert other.spec == qnet.spec
    for (_, a), (_, b) in zip(qnet.convs, other.convs, strict=True):
        assert Counter(a.weight.ravel().tolist()) == Counter(b.weight.ravel().tolist())
        whole = [
            Counter(zip(q.bias.tolist(), q.multiplier.tolist(), q.shift.tolist(), q.weight_scale.tolist(), strict=True))
            for q in (a, b)
        ]
        assert whole[0] == whole[1]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.binary(min_size=1, max_size=8))
def test_every_net_says_the_same_of_every_image(data: st.DataObject, seed: bytes) -> None:
    qnet = data.draw(qnets())
    check(qnet, seed, data.draw(images(qnet.spec)))


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(st.data(), st.binary(min_size=1, max_size=8))
def test_a_great_many_nets_say_the_same(data: st.DataObject, seed: bytes) -> None:
    qnet = data.draw(qnets(net_specs(max_channels=24, max_stages=8)))
    check(qnet, seed, data.draw(images(qnet.spec)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spec", FIXED, ids=lambda s: s.id)
def test_groups_shuffles_and_sums_are_kept(spec: NetSpec, seed: int) -> None:
    for image in (oracle.known_image(spec, 3), oracle.known_image(spec, 4)):
        check(net(spec, seed + 1), bytes([seed]), image)


def test_the_nets_above_have_all_that_a_permutation_must_keep() -> None:
    def kinds(spec: NetSpec) -> set[str]:
        found = {"cosdot" if spec.head.kind == "cosdot" else "dot", "pooled" if spec.head.pool else "flat"}
        for s in spec.stages:
            if isinstance(c := s.layer, Conv):
                grouped = "depthwise" if 1 < c.groups == c.cin else "grouped" if c.groups > 1 else "dense"
                found |= {grouped, "relu" if c.relu else "linear"} | (
                    {f"{grouped}, shuffled"} if s.shuffle > 1 else set()
                )
            else:
                found |= {"sum"} | ({"sum, shuffled"} if s.shuffle > 1 else set())
        return found

    assert set().union(*map(kinds, FIXED)) == {
        "cosdot", "dot", "pooled", "flat", "dense", "grouped", "depthwise", "relu", "linear", "sum", "sum, shuffled",
        "dense, shuffled", "grouped, shuffled",
    }  # fmt: skip


def allowed(spec: NetSpec, orders: tuple[tuple[int, ...], ...]) -> bool:
    """By the definition alone: each output's group of inputs is where it was, and sums add what they added."""
    before = tuple(range(spec.channels))
    for stage in spec.stages:
        order, c = orders[stage.index], stage.layer
        shuffle = oracle.shuffle_order(len(order), stage.shuffle).tolist()
        was = dict(zip(shuffle, (shuffle[o] for o in order), strict=True))  # of each channel before the shuffle
        if isinstance(c, Add):
            if any(was[i] != before[i] or was[i] != orders[c.of][i] for i in range(len(order))):
                return False
        else:
            for i in range(c.cout):
                group, old = i // c.cout_group, was[i] // c.cout_group
                now = {before[j] for j in range(group * c.cin_group, (group + 1) * c.cin_group)}
                if now != set(range(old * c.cin_group, (old + 1) * c.cin_group)):
                    return False
        before = order
    return True


def every(spec: NetSpec) -> list[tuple[tuple[int, ...], ...]]:
    """All orders that are allowed, by trying."""
    each = [list(permutations(range(s.out_shape[2]))) for s in spec.stages]
    return [orders for orders in product(*each) if allowed(spec, orders)]


def few(spec: NetSpec) -> bool:
    return prod(factorial(s.out_shape[2]) for s in spec.stages) <= 5000


@settings(max_examples=60, deadline=None)
@given(net_specs(max_channels=5, max_stages=4).filter(few))
def test_as_many_orders_as_trying_all_finds(spec: NetSpec) -> None:
    assert 2 ** bits(spec) == pytest.approx(len(every(spec)))


SMALL = [
    (Conv(1, 1, "same", 3, 4), Shuffle(2), Conv(1, 1, "same", 4, 4, 2)),
    (Conv(1, 1, "same", 3, 4), Conv(1, 1, "same", 4, 4, 2), Add(0), Shuffle(2), Conv(1, 1, "same", 4, 2, 2)),
    (Conv(1, 1, "same", 3, 3, 3), Conv(1, 1, "same", 3, 6, 3)),
]


@pytest.mark.parametrize("layers", SMALL)
def test_every_order_is_drawn_and_no_other(layers: tuple[Conv | Shuffle | Add, ...]) -> None:
    spec = NetSpec("small", layers, Head("dot"), height=2, width=2)
    possible = {tuple(map(tuple, orders)) for orders in every(spec)}
    times = 60 * len(possible)
    found = Counter(tuple(tuple(o.tolist()) for o in drawn(spec, i.to_bytes(4, "big"))) for i in range(times))
    assert found.keys() == possible
    assert sum((n - 60) ** 2 / 60 for n in found.values()) < len(possible) + 5 * (2 * len(possible)) ** 0.5


def test_the_order_of_the_papers_net_is_the_product_over_its_stages() -> None:
    f = factorial
    first = f(4) * f(4) ** 4 * f(8) ** 4  # 4 groups of 4 inputs and 8 outputs
    halves = 2 * f(4) ** 2 * f(4) ** 8 * f(8) ** 8  # two halves of 4 groups of 4 and 8
    halves *= (f(8) ** 2 * f(4) ** 32) ** 2  # in each half 8 groups of 4 and 4, twice
    assert bits(preset("paper")) == pytest.approx(log2(first * halves * f(96) * f(20)), rel=1e-12)
    assert bits(preset("paper")) == pytest.approx(1167.35, abs=0.01)


def test_a_seed_is_one_order_and_another_seed_another() -> None:
    qnet = quantised(EVERY_KIND)
    assert permuted(qnet, b"one").sha256() == permuted(qnet, b"one").sha256()
    assert len({permuted(qnet, seed).sha256() for seed in (b"one", b"two", b"three")} | {qnet.sha256()}) == 4


def test_orders_that_tear_a_group_apart_are_refused() -> None:
    spec = NetSpec("torn", (Conv(1, 1, "same", 3, 4), Conv(1, 1, "same", 4, 4, 2)), Head("dot"), height=2, width=2)
    still = np.arange(4)
    apply(net(spec), [np.array([1, 0, 2, 3]), still])
    with pytest.raises(UserError, match="orders of channels"):
        apply(net(spec), [np.array([2, 1, 0, 3]), still])


@pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
@pytest.mark.parametrize("spec", [TINY, TANGLED], ids=lambda s: s.id)
def test_c_says_the_same_of_a_permuted_person_and_knows_its_answer(tmp_path: Path, spec: NetSpec) -> None:
    p, image = person(net(spec)), oracle.known_image(spec, 5)
    other = replace(person(permuted(p.qnet, b"seed")), name="bob")
    assert other.known.logit == p.known.logit
    assert other.known.layers_sha256 != p.known.layers_sha256
    first, second = (answers(tmp_path, [who], [image], compiler=(HOST,))[0] for who in (p, other))
    assert (first.logit, first.known_answer) == (second.logit, second.known_answer)
    assert first.known_answer == 0
