"""The gate: what matches, what counts as a failure, how long it stays shut."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import Machine
from gate_machine import ERROR, GATES, MATCH, NO, NO_MATCH, YES, attempt, fail, judge, mount, start

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


# What matches


@pytest.mark.parametrize("status", [0, 1, 2, 5, 6, 32, 80])
@pytest.mark.parametrize("decision", [MATCH, NO_MATCH, ERROR, 0, 0xFFFFFFFF])
def test_match_only_where_everything_says_so(machine: Machine, status: int, decision: int) -> None:
    machine.new(GATES[0])
    mount(machine, "1 0 0")
    ends = (-(2**31), -1, 0, 1, 899, 900, 2**31 - 1)
    for logit in ends:
        for threshold in ends:
            for match in (0, 1, 2, 3, 128, 255):
                assert attempt(machine) == Code.OK
                said = judge(machine, (status, logit, threshold, decision, match))
                told = (status, decision, match, logit >= threshold)
                wanted = MATCH if told == (0, MATCH, 1, True) else ERROR
                assert said == (NO_MATCH if told == (0, NO_MATCH, 0, False) else wanted)


def test_match_needs_an_attempt_each(gate: Machine) -> None:
    assert judge(gate) == ERROR
    assert attempt(gate) == Code.OK
    assert judge(gate) == MATCH
    assert judge(gate) == ERROR
    assert start(gate) == 0


def test_error_stays_a_failure(gate: Machine) -> None:
    assert attempt(gate) == Code.OK
    assert judge(gate, (7, 900, 900, MATCH, 1)) == ERROR
    assert start(gate) == 1


@pytest.mark.parametrize("verdict", [NO, (3, -(2**31), 2**31 - 1, NO_MATCH, 0), (0, -(2**31), 2**31 - 1, NO_MATCH, 0)])
def test_no_flipped_bit_of_a_verdict_makes_a_match(machine: Machine, verdict: tuple[int, ...]) -> None:
    machine.new(GATES[0])
    mount(machine, "1 0 0")
    for i, value in enumerate(verdict):
        for bit in range(8 if i == 4 else 32):
            flipped = (value ^ 1 << bit) & (0xFF if i == 4 else 0xFFFFFFFF)
            flipped = flipped - 2**32 if i in (1, 2) and flipped >= 2**31 else flipped
            assert attempt(machine) == Code.OK
            assert judge(machine, (*verdict[:i], flipped, *verdict[i + 1 :])) in (NO_MATCH, ERROR)


def test_no_flipped_bit_of_the_gate_makes_a_match(machine: Machine) -> None:
    machine.new(GATES[0])
    policy, _, _, end = (int(n) for n in machine.one("gplaces").split())
    for bit in range(8 * policy, 8 * end):
        for verdict, tried in ((NO, True), (YES, False)):
            mount(machine, "1 0 0")
            if tried:
                assert attempt(machine) == Code.OK
            machine.ask(f"gflip {bit}")
            assert judge(machine, verdict) in (NO_MATCH, ERROR), (bit, tried)


def test_no_flipped_bit_of_the_count_opens_a_shut_gate(machine: Machine) -> None:
    machine.new(GATES[0])
    fail(machine, 3)
    _, failures, behind, _ = (int(n) for n in machine.one("gplaces").split())
    for bit in range(8 * failures, 8 * behind):
        assert mount(machine) == 3
        machine.ask(f"gflip {bit}")
        assert int(machine.one("gwait 0")) >= 10
        assert attempt(machine) == Code.LOCKED
        assert machine.one("gwait 0") == "10"  # it was read again


# How long it stays shut


# How long it stays shut


def test_gate_shuts_for_longer_and_longer_and_a_match_opens_it(gate: Machine) -> None:
    now = 2**32 - 15_000  # the clock wraps soon
    assert mount(gate, now=now) == 0
    for wait in (0, 0, 0, 10, 20, 40, 60, 60):
        assert gate.one(f"gwait {now}") == str(wait)
        if wait:
            now = (now + wait * 1000 - 1) % 2**32
            assert gate.one(f"gwait {now}") == "1"
            assert attempt(gate, now) == Code.LOCKED
            now = (now + 1) % 2**32
        assert attempt(gate, now) == Code.OK
        now = (now + 500) % 2**32
        assert judge(gate, NO, now) == NO_MATCH
    now = (now + 60_000) % 2**32
    assert attempt(gate, now) == Code.OK
    assert judge(gate, YES, now) == MATCH
    assert gate.one(f"gwait {now}") == "0"
    assert start(gate) == 0


def test_delay_runs_from_the_failure_on(gate: Machine) -> None:
    fail(gate, 2)
    assert attempt(gate, 5_000) == Code.OK
    assert judge(gate, NO, 25_000) == NO_MATCH
    assert gate.one("gwait 25000") == "10"


def test_whole_delay_runs_again_after_a_reset(gate: Machine) -> None:
    fail(gate, 4)
    assert gate.ask("gwait 0", "gwait 19000") == ["20", "1"]
    assert start(gate) == 4
    assert gate.ask("gwait 0", "gwait 19000", "gwait 19999", "gwait 20000") == ["20", "1", "1", "0"]


def test_clock_that_goes_back_counts_nothing(gate: Machine) -> None:
    fail(gate, 3)
    assert gate.ask("gwait 5000", "gwait 4000", "gwait 4000", "gwait 9000") == ["5", "5", "5", "0"]


def test_delay_that_is_over_stays_over_when_the_clock_wraps(gate: Machine) -> None:
    fail(gate, 3)
    assert gate.ask("gwait 10000", f"gwait {2**31}", f"gwait {2**32 - 1}", "gwait 1")[-1] == "0"


def test_delays_longer_than_the_clock_are_waited_for(gate: Machine) -> None:
    policy = f"1 {5_000_000} {2**32 - 1}"  # 57 days, the clock wraps after 49
    fail(gate, 1, policy)
    day = 86_400_000
    waits = [int(w) for w in gate.ask(*(f"gwait {n * day % 2**32}" for n in range(59)))]
    assert waits == [max(0, 5_000_000 - 86_400 * n) for n in range(59)]
    fail(gate, 40, policy)
    assert int(gate.one("gwait 0")) == 2**32 - 1
