"""The gate's log: how it goes on from unit to unit, what damage of it counts, flash that takes nothing."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import Geometry, Machine
from gate_machine import (
    DOOR,
    ERROR,
    GATES,
    MATCH,
    NO,
    UNIT_HEAD,
    YES,
    attempt,
    entries,
    fail,
    judge,
    mount,
    start,
    stride,
)

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


def test_log_goes_on_in_another_unit_with_its_count(gate: Machine) -> None:
    g = gate.geometry
    n = entries(g)
    for _ in range(2 * g.units):
        before = int(gate.one("erasures"))
        fail(gate, n - 1)
        mount(gate, "1 0 0")
        assert attempt(gate) == Code.OK
        assert judge(gate) == MATCH
        assert int(gate.one("erasures")) > before or before == 0
    assert start(gate) == 0
    fail(gate, n + 3)
    assert start(gate) == n + 3


def test_attempts_of_an_erasure_are_as_documented(fast: Machine) -> None:
    """STORE.md, "Gate log": the wear."""
    for g, matches in zip(GATES, (252, 255, 8188, 124), strict=True):
        fast.new(g)
        mount(fast, "1 0 0")
        for verdict, per_erasure in ((YES, matches), (NO, entries(g) - 1)):
            while True:  # to the beginning of a unit
                before = int(fast.one("erasures"))
                assert attempt(fast) == Code.OK
                if int(fast.one("erasures")) > before:
                    break
            judge(fast, verdict)
            step = ("gattempt 0", "gjudge " + " ".join(map(str, (*verdict, 0))))
            for _ in range(per_erasure - 1):
                fast.ask(*step)
            assert int(fast.one("erasures")) == before + 1
            fast.ask(*step)
            assert int(fast.one("erasures")) == before + 2


def test_no_flipped_bit_of_the_log_takes_a_failure_back(gate: Machine) -> None:
    fail(gate, 2)
    mount(gate, "1 0 0")
    attempt(gate)
    assert judge(gate) == MATCH
    fail(gate, 3)
    g = gate.geometry
    for bit in range(8 * (UNIT_HEAD + 8 * stride(g))):
        gate.ask(f"flip {bit}")
        assert mount(gate) >= 3, bit
        gate.ask(f"flip {bit}")
    assert mount(gate) == 3


def test_unreadable_log_counts_as_many_failures(gate: Machine) -> None:
    fail(gate, 1)
    gate.ask(f"fill 0 {UNIT_HEAD} 5")
    assert start(gate) == 35
    assert gate.one("gwait 0") == "60"
    gate.ask(f"fill 0 {gate.geometry.unit * gate.geometry.units} 6")
    assert start(gate) == 35
    assert start(gate) >= 35  # the units that are none of the log count too
    assert gate.one("gwait 60000") == "0"
    assert attempt(gate, 60_000) == Code.OK
    assert judge(gate, YES, 60_000) == MATCH
    assert start(gate) == 0


def test_flash_that_takes_nothing_lets_nobody_try(gate: Machine) -> None:
    g = gate.geometry
    gate.ask("worn 0")
    mount(gate, "1 0 0")
    if g.units == 2:  # the log goes on in the other unit, and ends with that
        for _ in range(entries(g) - 1):
            assert attempt(gate) == Code.OK
        assert attempt(gate) == Code.FLASH
        assert judge(gate) == ERROR
    gate.new(g)
    gate.ask("worn 0")
    assert gate.code(f"gmount {DOOR} 0") == Code.FLASH
    assert attempt(gate) == Code.FLASH
    assert judge(gate) == ERROR


def test_partition_of_one_unit_is_refused(machine: Machine) -> None:
    machine.new(Geometry(4096, 4, 1, 0))
    assert machine.code(f"gmount {DOOR} 0") == Code.FLASH
    assert attempt(machine) == Code.FLASH
