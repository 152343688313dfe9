"""The gate and power that fails: in any operation of an attempt and of a mount, and in any sequence of attempts."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import NAMES, OFF, RESIDUES, Geometry, Machine
from gate_machine import (
    ERROR,
    GATES,
    MATCH,
    NO,
    NO_MATCH,
    UNIT_HEAD,
    YES,
    attempt,
    entries,
    fail,
    judge,
    mount,
    start,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


@pytest.mark.parametrize("match", [False, True])
@pytest.mark.parametrize("full", [False, True], ids=["in a unit", "at its end"])
def test_power_cut_in_an_attempt_takes_no_failure_back(gate: Machine, full: bool, match: bool) -> None:
    """Every operation of an attempt and of its judgement, and of going on in another unit, with every residue."""
    failures = entries(gate.geometry) - 1 if full else 5
    fail(gate, failures)
    gate.ask("save 0")
    assert start(gate, "1 0 0") == failures
    before = gate.done()
    assert attempt(gate) == Code.OK
    counted = gate.done() - before
    assert judge(gate, YES if match else NO) == (MATCH if match else NO_MATCH)
    operations = gate.done() - before
    assert operations > counted or not match
    for k in range(1, operations + 1):
        for residue in RESIDUES:
            what = (k, counted, operations, NAMES[residue])
            gate.ask("restore 0")
            start(gate, "1 0 0")
            gate.ask(f"cut {k} {residue} {k}")
            said = (attempt(gate), judge(gate, YES if match else NO))
            assert said == ((OFF, OFF) if k <= counted else (Code.OK, OFF)), what
            least = failures if k <= counted else failures + 1
            for seed in range(3):
                found = start(gate, seed=seed + k)
                assert found in (least, least + 1, failures + 2) or (k > counted and found == 0), what
            mount(gate, "1 0 0")
            assert attempt(gate) == Code.OK, what
            assert judge(gate) == MATCH, what
            assert start(gate) == 0, what


def test_power_cut_in_the_first_mount_leaves_a_gate_that_works(fast: Machine) -> None:
    for g in GATES:
        fast.new(g)
        mount(fast)
        operations = fast.done()
        for k in range(1, operations + 1):
            for residue in RESIDUES:
                fast.new(g)
                assert start(fast, cut=k, residue=residue, seed=k) == OFF
                assert start(fast, seed=k) == 0
                assert attempt(fast) == Code.OK
                assert judge(fast) == MATCH


def test_power_cut_while_an_unreadable_log_begins_anew_counts_as_unreadable(machine: Machine) -> None:
    g = Geometry(2048, 8, 2, 0)
    machine.new(g)
    machine.ask(f"fill 0 {UNIT_HEAD + 16} 9", "save 0")
    assert start(machine) == 35
    for k in range(1, machine.done() + 1):
        for residue in RESIDUES:
            machine.ask("restore 0")
            assert start(machine, cut=k, residue=residue, seed=k) == OFF
            found = start(machine, seed=k)
            assert isinstance(found, int)
            assert found >= 35, (k, residue)


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["yes", "no", "error", "reset", "unjudged"]),
        st.one_of(st.just(0), st.integers(1, 12), st.integers(1, 60)),  # the operation in which the power fails
        st.sampled_from(RESIDUES),
    ),
    min_size=1,
    max_size=60,
)
JUDGED = {"yes": (YES, MATCH), "no": (NO, NO_MATCH), "error": ((4, *NO[1:]), ERROR)}


def mistake(m: Machine, geometry: Geometry, steps: list[Step]) -> tuple[object, ...] | None:
    """The first step that the gate gets wrong, what it said and what was expected.

    Failures are never fewer than they were, but for a match; a power cut may add two (entry and unit).
    """
    m.new(geometry)
    if (found := start(m, "1 0 0")) != 0:
        return "new", found
    least, most = 0, 0
    for i, (kind, cut, residue) in enumerate(steps):
        m.ask(f"cut {cut} {residue} {i + 1}")
        answer: int | str = OFF
        if kind == "reset":
            answer = start(m, "1 0 0")
        else:
            answer = attempt(m)
            if answer == Code.OK:
                least, most = least + 1, most + 1
                if kind != "unjudged":
                    verdict, wanted = JUDGED[kind]
                    answer = judge(m, verdict)
                    if answer not in (wanted, OFF):
                        return i, kind, answer, wanted
                    if answer == MATCH:
                        least, most = 0, most if cut else 0
                    elif answer == OFF:
                        least = 0  # the success may be whole
            elif answer != OFF:
                return i, kind, answer, Code.OK
        m.ask("cut 0 0 1")
        if answer == OFF:
            most += 2
            found = start(m, "1 0 0", seed=i)
            if found not in range(least, most + 1):
                return i, kind, found, least, most
    found = start(m, "1 0 0")
    return None if found in range(least, most + 1) else ("in the end", found, least, most)


SMALL = (Geometry(256, 4, 2, 0), Geometry(512, 32, 3, 0), Geometry(256, 1, 2, 0), Geometry(256, 8, 3, 0))


@pytest.mark.parametrize("geometry", SMALL, ids=lambda g: f"{g.unit}-{g.word}")
def test_any_attempts_and_cuts_count_no_failure_less(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(STEPS)
    def run(steps: list[Step]) -> None:
        assert mistake(machine, geometry, steps) is None

    run()


@pytest.mark.slow
@pytest.mark.parametrize("geometry", SMALL, ids=lambda g: f"{g.unit}-{g.word}")
def test_many_attempts_and_cuts_count_no_failure_less(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def run(steps: list[Step]) -> None:
        assert mistake(machine, geometry, steps) is None

    run()
