"""Automorphisms of graphs: as many as there are, and every one of them drawn, held against trying all permutations."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper_mcu.codegen.symmetry import Draws, Graph, isomorphism, symmetry


def graph(edges: list[tuple[int, int]], colours: list[int]) -> Graph:
    near: dict[int, set[int]] = {v: set() for v in range(len(colours))}
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    return Graph({v: tuple(sorted(w)) for v, w in near.items()}, dict(enumerate(colours)))


def joined(n: int, rule) -> Graph:
    """n vertices of one colour, two of them joined where the rule says so."""
    return graph([(a, b) for a, b in combinations(range(n), 2) if rule(a, b)], [0] * n)


def keeps(g: Graph, to: dict[int, int]) -> bool:
    same = all(g.colours[v] == g.colours[w] for v, w in to.items())
    return same and all({to[w] for w in near} == set(g.neighbours[to[v]]) for v, near in g.neighbours.items())


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    n = draw(st.integers(1, 6))
    pairs = list(combinations(range(n), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return graph(edges, draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))


@settings(max_examples=300, deadline=None)
@given(graphs(), st.binary(max_size=4))
def test_as_many_as_trying_all_permutations_finds(g: Graph, seed: bytes) -> None:
    n = len(g.colours)
    found = sum(keeps(g, dict(enumerate(p))) for p in permutations(range(n)))
    assert symmetry(g).order == found
    assert keeps(g, symmetry(g).sample(Draws(seed)))


@settings(max_examples=300, deadline=None)
@given(graphs(), graphs(), st.data())
def test_isomorphic_is_what_some_permutation_makes_equal(a: Graph, b: Graph, data: st.DataObject) -> None:
    n = len(a.colours)
    if data.draw(st.booleans()):
        to = data.draw(st.permutations(range(n)))
        near = {to[v]: tuple(sorted(to[w] for w in x)) for v, x in a.neighbours.items()}
        b = Graph(near, {to[v]: c for v, c in a.colours.items()})

    def fits(m: dict[int, int]) -> bool:
        same = all(a.colours[v] == b.colours[m[v]] for v in m)
        return same and all({m[w] for w in near} == set(b.neighbours[m[v]]) for v, near in a.neighbours.items())

    there_is_one = n == len(b.colours) and any(fits(dict(enumerate(p))) for p in permutations(range(n)))
    found = isomorphism(a, b)
    assert (found is not None) == there_is_one
    assert found is None or fits(found)


def apart(*words: int):
    """Whether two vertices, numbers of a grid of 4×4 that wraps, are one of these steps apart."""
    steps = {(w // 4 % 4, w % 4) for w in words} | {(-(w // 4) % 4, -(w % 4) % 4) for w in words}
    return lambda a, b: ((b // 4 - a // 4) % 4, (b - a) % 4) in steps


# Graphs whose refinement tells no vertex from another, with the orders that the books have.
KNOWN = {
    "cycle of six": (joined(6, lambda a, b: (b - a) % 6 in (1, 5)), 12),
    "two triangles": (joined(6, lambda a, b: a // 3 == b // 3), 72),
    "cube": (joined(8, lambda a, b: (a ^ b).bit_count() == 1), 48),
    "Petersen": (
        (lambda pairs: joined(10, lambda a, b: not set(pairs[a]) & set(pairs[b])))(list(combinations(range(5), 2))),
        120,
    ),
    "rook 4×4": (joined(16, lambda a, b: a // 4 == b // 4 or a % 4 == b % 4), 1152),
    "Shrikhande": (joined(16, apart(1, 4, 5)), 192),
    "nothing joined": (joined(30, lambda a, b: False), 265252859812191058636308480000000),
    "all joined": (joined(30, lambda a, b: True), 265252859812191058636308480000000),
}


@pytest.mark.parametrize("name", KNOWN)
def test_regular_graphs_have_the_known_orders(name: str) -> None:
    g, order = KNOWN[name]
    assert symmetry(g).order == order
    assert keeps(g, symmetry(g).sample(Draws(b"seed")))


def test_graphs_that_refinement_does_not_tell_apart_are_told_apart() -> None:
    assert isomorphism(KNOWN["rook 4×4"][0], KNOWN["Shrikhande"][0]) is None
    assert isomorphism(KNOWN["cycle of six"][0], KNOWN["two triangles"][0]) is None


@pytest.mark.parametrize("name", ["cycle of six", "two triangles", "cube"])
def test_every_automorphism_is_drawn_about_as_often(name: str) -> None:
    g, order = KNOWN[name]
    found, draws = symmetry(g), Draws(b"many")
    counts = Counter(tuple(sorted(found.sample(draws).items())) for _ in range(100 * order))
    assert len(counts) == order
    chi2 = sum((n - 100) ** 2 / 100 for n in counts.values())
    assert chi2 < order + 5 * (2 * order) ** 0.5


def test_draws_are_the_same_on_every_machine() -> None:
    stream = b"".join(hashlib.sha256(b"hyper-mcu" + i.to_bytes(8, "big")).digest() for i in range(2))
    words = [(1, 1), (2, 1), (255, 1), (256, 2), (257, 2), (10**9, 4), (2**200, 26), (7, 1)]
    expected, at = [], 0
    for n, size in words:
        expected.append(int.from_bytes(stream[at : at + size], "big") % n)
        at += size
    draws = Draws(b"hyper-mcu")
    assert [draws.below(n) for n, _ in words] == expected
    assert Draws(b"hyper-mcu").order(8) == [6, 1, 5, 3, 4, 0, 2, 7]


def test_draws_are_uniform_where_a_byte_is_no_multiple() -> None:
    draws = Draws(b"thirds")
    counts = Counter(draws.below(100) for _ in range(20_000))
    assert set(counts) == set(range(100))
    assert sum((n - 200) ** 2 / 200 for n in counts.values()) < 99 + 5 * 198**0.5
