"""Automorphisms of a coloured graph: how many there are, exactly, and one of them, each as likely as any other.

Colours are refined until equal ones have equal neighbourhoods (Weisfeiler and Leman, 1968). Edges between two colours
that are all there, or all missing, hold nothing then: without them the graph falls apart. Parts that are isomorphic may
change places; where nothing falls apart, one vertex is given a colour of its own, and the vertices to which it could
have gone are its orbit (orbit-stabiliser theorem).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod

Map = dict[int, int]


@dataclass(frozen=True)
class Graph:
    """Vertices with their neighbours, and with their colours: numbers, which automorphisms keep. Edges go both ways,
    and no vertex is its own neighbour."""

    neighbours: dict[int, tuple[int, ...]]
    colours: dict[int, int]


class Draws:
    """Random numbers from a seed, the same on every machine: SHA-256(seed ‖ 0), SHA-256(seed ‖ 1), …"""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._count, self._left = seed, 0, b""

    def below(self, n: int) -> int:
        """A number of 0…n−1, each as likely as any other."""
        size = (n.bit_length() + 7) // 8
        limit = 256**size // n * n
        while (value := int.from_bytes(self._bytes(size), "big")) >= limit:
            pass
        return value % n

    def order(self, n: int) -> list[int]:
        """0…n−1 in one of their n! orders (Fisher and Yates)."""
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order

    def _bytes(self, n: int) -> bytes:
        while len(self._left) < n:
            self._left += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        taken, self._left = self._left[:n], self._left[n:]
        return taken


@dataclass(frozen=True)
class Still:
    """A vertex alone, which stays."""

    vertex: int
    order: int = 1

    def sample(self, draws: Draws) -> Map:
        """Where it goes."""
        return {self.vertex: self.vertex}


@dataclass(frozen=True)
class Copies:
    """Isomorphic parts that may change places. to: from the first to each, itself included; inner: of the first."""

    to: tuple[Map, ...]
    inner: Symmetry

    @property
    def order(self) -> int:
        """How many automorphisms they have."""
        return factorial(len(self.to)) * prod(self.inner.order for _ in self.to)

    def sample(self, draws: Draws) -> Map:
        """One of them, each as likely as any other: where every vertex goes."""
        out: Map = {}
        for here, there in zip(self.to, draws.order(len(self.to)), strict=True):
            inner = self.inner.sample(draws)
            out |= {here[v]: self.to[there][inner[v]] for v in here}
        return out


@dataclass(frozen=True)
class Parts:
    """Parts that have nothing to do with one another."""

    parts: tuple[Copies, ...]

    @property
    def order(self) -> int:
        """How many automorphisms they have."""
        return prod(part.order for part in self.parts)

    def sample(self, draws: Draws) -> Map:
        """One of them, each as likely as any other: where every vertex goes."""
        out: Map = {}
        for part in self.parts:
            out |= part.sample(draws)
        return out


@dataclass(frozen=True)
class Held:
    """Those that hold one vertex (inner), each followed by one that brings it somewhere else (orbit)."""

    orbit: tuple[Map, ...]
    inner: Symmetry

    @property
    def order(self) -> int:
        """How many there are."""
        return len(self.orbit) * self.inner.order

    def sample(self, draws: Draws) -> Map:
        """One of them, each as likely as any other: where every vertex goes."""
        last = self.orbit[draws.below(len(self.orbit))]
        return {v: last[w] for v, w in self.inner.sample(draws).items()}


Symmetry = Still | Parts | Held


def symmetry(graph: Graph) -> Symmetry:
    """The automorphisms of a graph that keep its colours."""
    if len(graph.colours) == 1:
        return Still(next(iter(graph.colours)))
    (refined,) = _refined([graph])
    parts = _parts(refined)
    if len(parts) == 1:
        cell = _smallest_cell(refined)
        held = _held(refined, cell[0])
        to = (isomorphism(held, _held(refined, v)) for v in cell)
        return Held(tuple(m for m in to if m is not None), symmetry(held))
    copies = []
    for alike in _by_histogram(parts).values():
        while alike:
            first, *others = alike
            to_each = [(other, isomorphism(first, other)) for other in others]
            same = [m for _, m in to_each if m is not None]
            copies.append(Copies(({v: v for v in first.colours}, *same), symmetry(first)))
            alike = [other for other, m in to_each if m is None]
    return Parts(tuple(copies))


def isomorphism(a: Graph, b: Graph) -> Map | None:
    """Where each vertex of `a` goes in `b`, by colours and edges; None where there is no such map."""
    if len(a.colours) == 1 == len(b.colours):
        (v, of_v), (w, of_w) = next(iter(a.colours.items())), next(iter(b.colours.items()))
        return {v: w} if of_v == of_w else None
    a, b = _refined([a, b])
    if _histogram(a) != _histogram(b):
        return None
    ours, theirs = _parts(a), _parts(b)
    if len(ours) == 1 == len(theirs):
        held = _held(a, v := _smallest_cell(a)[0])
        to = (isomorphism(held, _held(b, w)) for w in b.colours if b.colours[w] == a.colours[v])
        return next((m for m in to if m is not None), None)
    return _matched(ours, _by_histogram(theirs))


def _matched(ours: list[Graph], theirs: dict[Histogram, list[Graph]]) -> Map | None:
    """Each part of ours to one of theirs; taking the first that fits is right, for what fits one fits all alike."""
    out: Map = {}
    for part in ours:
        candidates = theirs.get(_histogram(part), [])
        for i, candidate in enumerate(candidates):
            if (m := isomorphism(part, candidate)) is not None:
                out |= m
                del candidates[i]
                break
        else:
            return None
    return out


Histogram = tuple[tuple[int, int], ...]


def _histogram(graph: Graph) -> Histogram:
    return tuple(sorted(Counter(graph.colours.values()).items()))


def _by_histogram(parts: list[Graph]) -> dict[Histogram, list[Graph]]:
    out = defaultdict[Histogram, list[Graph]](list)
    for part in parts:
        out[_histogram(part)].append(part)
    return out


def _refined(graphs: Sequence[Graph]) -> list[Graph]:
    """Colours refined until vertices of one colour have neighbours of the same colours; in all graphs alike."""
    colours, count = [g.colours for g in graphs], 0
    while True:
        told = [
            {v: (mine[v], tuple(sorted(mine[w] for w in near))) for v, near in g.neighbours.items()}
            for g, mine in zip(graphs, colours, strict=True)
        ]
        names = {what: i for i, what in enumerate(sorted({what for each in told for what in each.values()}))}
        colours = [{v: names[what] for v, what in each.items()} for each in told]
        if len(names) == count:
            return [Graph(g.neighbours, mine) for g, mine in zip(graphs, colours, strict=True)]
        count = len(names)


def _parts(graph: Graph) -> list[Graph]:
    """What a refined graph falls into without the edges that hold nothing."""
    sizes = Counter(graph.colours.values())
    edges = Counter[tuple[int, int]]()
    for v, near in graph.neighbours.items():
        edges.update((graph.colours[v], graph.colours[w]) for w in near)

    def holds(v: int, w: int) -> bool:
        a, b = graph.colours[v], graph.colours[w]
        return edges[a, b] < sizes[a] * (sizes[b] - (a == b))

    left = {v: tuple(w for w in near if holds(v, w)) for v, near in graph.neighbours.items()}
    parts, seen = [], set[int]()
    for start in left:
        if start in seen:
            continue
        part, ahead = {start: 0}, [start]
        while ahead:
            for w in left[ahead.pop()]:
                if w not in part:
                    part[w] = 0
                    ahead.append(w)
        seen |= part.keys()
        parts.append(Graph({v: left[v] for v in part}, {v: graph.colours[v] for v in part}))
    return parts


def _smallest_cell(graph: Graph) -> list[int]:
    """The vertices of the rarest colour that more than one has; the first of them in the order of colours."""
    cells = defaultdict[int, list[int]](list)
    for v, colour in graph.colours.items():
        cells[colour].append(v)
    _, colour = min((len(cell), colour) for colour, cell in cells.items() if len(cell) > 1)
    return cells[colour]


def _held(graph: Graph, vertex: int) -> Graph:
    """With a colour of its own for one vertex: lower than all others."""
    return Graph(graph.neighbours, graph.colours | {vertex: -1})
