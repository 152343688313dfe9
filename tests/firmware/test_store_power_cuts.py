"""The store and power that fails in any operation: what was, or what was to be, and never anything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from c_programs import HOST
from flash_machine import NAMES, OFF, RESIDUES, STORES, Geometry, Machine, people, settled

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


@dataclass(frozen=True)
class Scenario:
    """A step that is interrupted, after steps that are not.

    live: the step goes on with what RAM knows, so there is no reset before it. gone: who leaves no byte behind.
    """

    before: tuple[Callable[[Machine], object], ...]
    step: Callable[[Machine], object]
    live: bool = False
    gone: tuple[int, ...] = ()


def add(i: int, *, replace: bool = False, missing: int = 0) -> Callable[[Machine], object]:
    """Uploads person i; all but `missing` bytes."""

    def step(m: Machine) -> object:
        b = people(m.geometry)[i]
        return m.load(b, replace=replace, stop=len(b.sealed) - missing if missing else 1 << 30)

    return step


def ask(command: str) -> Callable[[Machine], object]:
    return lambda m: m.one(command)


SCENARIOS = {
    "add": Scenario((add(0),), add(1)),
    "replace": Scenario((add(0), add(1)), add(2, replace=True), gone=(0,)),
    "delete": Scenario((add(0), add(1)), ask("delete anna"), gone=(0,)),
    "delete one who was replaced": Scenario(
        (add(0), add(1), add(2, replace=True)), ask("delete anna"), gone=(0, 2)
    ),
    "delete during an upload": Scenario(
        (add(0), add(1), add(2, replace=True, missing=100)), ask("delete anna"), live=True, gone=(0, 2)
    ),
    "add where one was deleted": Scenario((add(0), add(1), ask("delete anna")), add(3), gone=(0,)),
    "go on with an upload": Scenario((add(0), add(1, missing=200)), add(1)),
    "go on with a replacement": Scenario((add(0), add(1), add(2, replace=True, missing=60)), add(2, replace=True)),
    "another upload instead": Scenario((add(0), add(3, missing=200)), add(1), gone=(3,)),
    "abandon": Scenario((add(0), add(1, missing=200)), ask("abandon"), live=True),
}  # fmt: skip


def prepare(m: Machine, geometry: Geometry, scenario: Scenario) -> None:
    """All but the step. The flash lies in save 0, unless the step goes on with what RAM knows."""
    m.new(geometry)
    m.start()
    for step in scenario.before:
        step(m)
    if not scenario.live:
        m.ask("save 0")
        m.start()


def interrupt(m: Machine, geometry: Geometry, scenario: Scenario, k: int, residue: int, seed: int) -> None:
    """The power fails in operation k of the step."""
    if scenario.live:
        prepare(m, geometry, scenario)
    else:
        m.ask("restore 0")
        m.start()
    m.ask(f"cut {k} {residue} {seed}")
    scenario.step(m)
    assert m.one("list") == OFF, (k, residue)


@dataclass
class Found:
    """What was found after cuts: stores that were neither as before nor as after, or are not as they should be in the
    end; all the lists that there were; how many cuts there were in the mount that came then."""

    allowed: set[str]
    wrong: list[tuple[object, ...]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    recovered: int = 0

    def note(self, lists: set[str], what: tuple[object, ...]) -> None:
        """The lists that the mounts after one cut gave."""
        if len(lists) != 1 or not lists <= self.allowed:
            self.wrong.append((*what, lists))


def after_cuts(m: Machine, geometry: Geometry, name: str, cuts: Callable[[int], list[int]], recovery: int) -> Found:
    """Every residue of every cut that is asked for; every recovery-th also with cuts in the mount that comes then.

    In the end the step is made again, and whoever is to be gone is.
    """
    scenario = SCENARIOS[name]
    prepare(m, geometry, scenario)
    before, first = m.list(), m.done()
    scenario.step(m)
    after, operations = m.list(), m.done() - first
    found, turn = Found({before, after}), 0
    for k in cuts(operations):
        for residue in RESIDUES:
            what = (k, operations, NAMES[residue])
            interrupt(m, geometry, scenario, k, residue, 31 * k + residue)
            turn += 1
            if turn % recovery == 0:
                m.ask("save 1")
                m.start(seed=turn)
                for j in cuts(m.done()):
                    m.ask("restore 1")
                    if m.start(j, (residue + turn) % len(RESIDUES), turn) == OFF:
                        found.note(settled(m, k + j), (*what, j))
                        found.recovered += 1
                m.ask("restore 1")
            lists = settled(m, k + 1)
            found.note(lists, what)
            found.seen |= lists
            if lists != {after}:
                scenario.step(m)
            if m.list() != after or m.start() != after:
                found.wrong.append((*what, "in the end", m.list()))
            if m.holds(mark for i in scenario.gone for mark in people(geometry)[i].marks):
                found.wrong.append((*what, "a byte of who is gone"))
    return found


def sample(operations: int) -> list[int]:
    """Both ends, where the records are, and some of what lies between."""
    ends = [*range(1, 7), *range(max(7, operations - 22), operations + 1)]
    return sorted({k for k in [*ends, *range(1, operations + 1, max(1, operations // 7))] if 1 <= k <= operations})


def every(operations: int) -> list[int]:
    return list(range(1, operations + 1))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("geometry", STORES, ids=str)
def test_power_cut_leaves_what_was_or_what_was_to_be(fast: Machine, geometry: Geometry, name: str) -> None:
    found = after_cuts(fast, geometry, name, sample, recovery=7)
    assert found.wrong == []
    assert found.seen == found.allowed
    assert found.recovered > 0 or name == "abandon"


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("geometry", STORES, ids=str)
def test_power_cut_in_every_operation(fast: Machine, geometry: Geometry, name: str) -> None:
    found = after_cuts(fast, geometry, name, every, recovery=1)
    assert found.wrong == []
    assert found.seen == found.allowed
    assert found.recovered > 0 or name == "abandon"
