"""The gate: what matches, what counts as a failure, how long it stays shut, and power that fails in any operation."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import FLASH, LOCKED, NAMES, OFF, OK, RESIDUES, Geometry, Machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

GEOMETRIES = (Geometry(4096, 4, 2, 0), Geometry(16384, 32, 3, 0), Geometry(131072, 1, 2, 0), Geometry(2048, 8, 2, 0))
MATCH, NO_MATCH, ERROR = 0x5AC369A5, 0xA53C965A, 0x3C5AA5C3
DOOR = "3 10 60"  # failures, first and longest delay
HEAD = 64
YES = (0, 900, 900, MATCH, 1)  # status, logit, threshold, decision, match
NO = (0, 899, 900, NO_MATCH, 0)


@pytest.fixture(params=GEOMETRIES, ids=str)
def gate(fast: Machine, request: pytest.FixtureRequest) -> Machine:
    fast.new(request.param)
    assert mount(fast) == 0
    return fast


def stride(geometry: Geometry) -> int:
    return max(8, geometry.word)


def mount(m: Machine, policy: str = DOOR, now: int = 0) -> int:
    """The failures that the gate has after a mount that has to succeed."""
    code, failures = m.one(f"gmount {policy} {now}").split()
    assert code == "0"
    return int(failures)


def start(m: Machine, policy: str = DOOR, *, cut: int = 0, residue: int = 0, seed: int = 1) -> int | str:
    m.power(cut, residue, seed)
    answer = m.one(f"gmount {policy} 0")
    return OFF if answer == OFF else mounted(answer)


def mounted(answer: str) -> int:
    code, failures = answer.split()
    assert code == "0"
    return int(failures)


def attempt(m: Machine, now: int = 0) -> int | str:
    answer = m.one(f"gattempt {now}")
    return OFF if answer == OFF else int(answer.split()[0])


def judge(m: Machine, verdict: tuple[int, ...] = YES, now: int = 0) -> int | str:
    answer = m.one("gjudge " + " ".join(map(str, (*verdict, now))))
    return OFF if answer == OFF else int(answer.split()[0], 16)


def fail(m: Machine, times: int, policy: str = DOOR) -> None:
    """Failures one after another, from a mount that knows no delay."""
    mount(m, "1 0 0")
    for at in range(0, times, 1000):  # a pipe holds so many answers
        assert {a.split()[0] for a in m.ask(*["gattempt 0"] * min(1000, times - at))} == {"0"}
    mount(m, policy)


# What matches


@pytest.mark.parametrize("status", [0, 1, 2, 5, 6, 32, 80])
@pytest.mark.parametrize("decision", [MATCH, NO_MATCH, ERROR, 0, 0xFFFFFFFF])
def test_match_only_where_everything_says_so(machine: Machine, status: int, decision: int) -> None:
    machine.new(GEOMETRIES[0])
    mount(machine, "1 0 0")
    ends = (-(2**31), -1, 0, 1, 899, 900, 2**31 - 1)
    for logit in ends:
        for threshold in ends:
            for match in (0, 1, 2, 3, 128, 255):
                assert attempt(machine) == OK
                said = judge(machine, (status, logit, threshold, decision, match))
                told = (status, decision, match, logit >= threshold)
                wanted = MATCH if told == (0, MATCH, 1, True) else ERROR
                assert said == (NO_MATCH if told == (0, NO_MATCH, 0, False) else wanted)


def test_match_needs_an_attempt_each(gate: Machine) -> None:
    assert judge(gate) == ERROR
    assert attempt(gate) == OK
    assert judge(gate) == MATCH
    assert judge(gate) == ERROR
    assert start(gate) == 0


def test_error_stays_a_failure(gate: Machine) -> None:
    assert attempt(gate) == OK
    assert judge(gate, (7, 900, 900, MATCH, 1)) == ERROR
    assert start(gate) == 1


@pytest.mark.parametrize("verdict", [NO, (3, -(2**31), 2**31 - 1, NO_MATCH, 0), (0, -(2**31), 2**31 - 1, NO_MATCH, 0)])
def test_no_flipped_bit_of_a_verdict_makes_a_match(machine: Machine, verdict: tuple[int, ...]) -> None:
    machine.new(GEOMETRIES[0])
    mount(machine, "1 0 0")
    for i, value in enumerate(verdict):
        for bit in range(8 if i == 4 else 32):
            flipped = (value ^ 1 << bit) & (0xFF if i == 4 else 0xFFFFFFFF)
            flipped = flipped - 2**32 if i in (1, 2) and flipped >= 2**31 else flipped
            assert attempt(machine) == OK
            assert judge(machine, (*verdict[:i], flipped, *verdict[i + 1 :])) in (NO_MATCH, ERROR)


def test_no_flipped_bit_of_the_gate_makes_a_match(machine: Machine) -> None:
    machine.new(GEOMETRIES[0])
    policy, _, _, end = (int(n) for n in machine.one("gplaces").split())
    for bit in range(8 * policy, 8 * end):
        for verdict, tried in ((NO, True), (YES, False)):
            mount(machine, "1 0 0")
            if tried:
                assert attempt(machine) == OK
            machine.ask(f"gflip {bit}")
            assert judge(machine, verdict) in (NO_MATCH, ERROR), (bit, tried)


def test_no_flipped_bit_of_the_count_opens_a_shut_gate(machine: Machine) -> None:
    machine.new(GEOMETRIES[0])
    fail(machine, 3)
    _, failures, behind, _ = (int(n) for n in machine.one("gplaces").split())
    for bit in range(8 * failures, 8 * behind):
        assert mount(machine) == 3
        machine.ask(f"gflip {bit}")
        assert int(machine.one("gwait 0")) >= 10
        assert attempt(machine) == LOCKED
        assert machine.one("gwait 0") == "10"  # it was read again


# How long it stays shut


def test_gate_shuts_for_longer_and_longer_and_a_match_opens_it(gate: Machine) -> None:
    now = 2**32 - 15_000  # the clock wraps soon
    assert mount(gate, now=now) == 0
    for wait in (0, 0, 0, 10, 20, 40, 60, 60):
        assert gate.one(f"gwait {now}") == str(wait)
        if wait:
            now = (now + wait * 1000 - 1) % 2**32
            assert gate.one(f"gwait {now}") == "1"
            assert attempt(gate, now) == LOCKED
            now = (now + 1) % 2**32
        assert attempt(gate, now) == OK
        now = (now + 500) % 2**32
        assert judge(gate, NO, now) == NO_MATCH
    now = (now + 60_000) % 2**32
    assert attempt(gate, now) == OK
    assert judge(gate, YES, now) == MATCH
    assert gate.one(f"gwait {now}") == "0"
    assert start(gate) == 0


def test_delay_runs_from_the_failure_on(gate: Machine) -> None:
    fail(gate, 2)
    assert attempt(gate, 5_000) == OK
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


# The log


def test_log_goes_on_in_another_unit_with_its_count(gate: Machine) -> None:
    g = gate.geometry
    entries = (g.unit - HEAD) // stride(g)
    for _ in range(2 * g.units):
        before = int(gate.one("erasures"))
        fail(gate, entries - 1)
        mount(gate, "1 0 0")
        assert attempt(gate) == OK
        assert judge(gate) == MATCH
        assert int(gate.one("erasures")) > before or before == 0
    assert start(gate) == 0
    fail(gate, entries + 3)
    assert start(gate) == entries + 3


def test_attempts_of_an_erasure_are_as_documented(fast: Machine) -> None:
    """STORE.md, "Gate log": the wear."""
    for g, matches in zip(GEOMETRIES, (252, 255, 8188, 124), strict=True):
        fast.new(g)
        mount(fast, "1 0 0")
        for verdict, per_erasure in ((YES, matches), (NO, (g.unit - HEAD) // stride(g) - 1)):
            while True:  # to the beginning of a unit
                before = int(fast.one("erasures"))
                assert attempt(fast) == OK
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
    for bit in range(8 * (HEAD + 8 * stride(g))):
        gate.ask(f"flip {bit}")
        assert mount(gate) >= 3, bit
        gate.ask(f"flip {bit}")
    assert mount(gate) == 3


def test_unreadable_log_counts_as_many_failures(gate: Machine) -> None:
    fail(gate, 1)
    gate.ask(f"fill 0 {HEAD} 5")
    assert start(gate) == 35
    assert gate.one("gwait 0") == "60"
    gate.ask(f"fill 0 {gate.geometry.unit * gate.geometry.units} 6")
    assert start(gate) == 35
    assert start(gate) >= 35  # the units that are none of the log count too
    assert gate.one("gwait 60000") == "0"
    assert attempt(gate, 60_000) == OK
    assert judge(gate, YES, 60_000) == MATCH
    assert start(gate) == 0


def test_flash_that_takes_nothing_lets_nobody_try(gate: Machine) -> None:
    g = gate.geometry
    gate.ask("worn 0")
    mount(gate, "1 0 0")
    if g.units == 2:  # the log goes on in the other unit, and ends with that
        n = (g.unit - HEAD) // stride(g)
        for _ in range(n - 1):
            assert attempt(gate) == OK
        assert attempt(gate) == FLASH
        assert judge(gate) == ERROR
    gate.new(g)
    gate.ask("worn 0")
    assert gate.one(f"gmount {DOOR} 0").split()[0] == str(FLASH)
    assert attempt(gate) == FLASH
    assert judge(gate) == ERROR


def test_partition_of_one_unit_is_refused(machine: Machine) -> None:
    machine.new(Geometry(4096, 4, 1, 0))
    assert machine.one(f"gmount {DOOR} 0").split()[0] == str(FLASH)
    assert attempt(machine) == FLASH


# Power that fails


@pytest.mark.parametrize("match", [False, True])
@pytest.mark.parametrize("full", [False, True], ids=["in a unit", "at its end"])
def test_power_cut_in_an_attempt_takes_no_failure_back(gate: Machine, full: bool, match: bool) -> None:
    """Every operation of an attempt and of its judgement, and of going on in another unit, with every residue."""
    g = gate.geometry
    failures = (g.unit - HEAD) // stride(g) - 1 if full else 5
    fail(gate, failures)
    gate.ask("save 0")
    assert start(gate, "1 0 0") == failures
    before = gate.done()
    assert attempt(gate) == OK
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
            assert said == ((OFF, OFF) if k <= counted else (OK, OFF)), what
            least = failures if k <= counted else failures + 1
            for seed in range(3):
                found = start(gate, seed=seed + k)
                assert found in (least, least + 1, failures + 2) or (k > counted and found == 0), what
            mount(gate, "1 0 0")
            assert attempt(gate) == OK, what
            assert judge(gate) == MATCH, what
            assert start(gate) == 0, what


def test_power_cut_in_the_first_mount_leaves_a_gate_that_works(fast: Machine) -> None:
    for g in GEOMETRIES:
        fast.new(g)
        mount(fast)
        operations = fast.done()
        for k in range(1, operations + 1):
            for residue in RESIDUES:
                fast.new(g)
                assert start(fast, cut=k, residue=residue, seed=k) == OFF
                assert start(fast, seed=k) == 0
                assert attempt(fast) == OK
                assert judge(fast) == MATCH


def test_power_cut_while_an_unreadable_log_begins_anew_counts_as_unreadable(machine: Machine) -> None:
    g = Geometry(2048, 8, 2, 0)
    machine.new(g)
    machine.ask(f"fill 0 {HEAD + 16} 9", "save 0")
    assert start(machine) == 35
    for k in range(1, machine.done() + 1):
        for residue in RESIDUES:
            machine.ask("restore 0")
            assert start(machine, cut=k, residue=residue, seed=k) == OFF
            found = start(machine, seed=k)
            assert isinstance(found, int)
            assert found >= 35, (k, residue)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["yes", "no", "error", "reset", "unjudged"]),
        st.one_of(st.just(0), st.integers(1, 12), st.integers(1, 60)),  # the operation in which the power fails
        st.sampled_from(RESIDUES),
    ),
    min_size=1,
    max_size=60,
)


def play(m: Machine, geometry: Geometry, steps: list[tuple[str, int, int]]) -> None:
    """Failures are never fewer than they were, but for a match; a power cut may add two (entry and unit)."""
    m.new(geometry)
    assert start(m, "1 0 0") == 0
    least, most = 0, 0
    for i, (kind, cut, residue) in enumerate(steps):
        m.ask(f"cut {cut} {residue} {i + 1}")
        answer: int | str = OFF
        if kind == "reset":
            answer = start(m, "1 0 0")
        else:
            answer = attempt(m)
            if answer == OK:
                least, most = least + 1, most + 1
                if kind != "unjudged":
                    verdict = {"yes": YES, "no": NO, "error": (4, *NO[1:])}[kind]
                    answer = judge(m, verdict)
                    wanted = {"yes": MATCH, "no": NO_MATCH, "error": ERROR}[kind]
                    assert answer in (wanted, OFF), steps
                    if answer == MATCH:
                        least, most = 0, most if cut else 0
                    elif answer == OFF:
                        least = 0  # the success may be whole
            else:
                assert answer == OFF, steps
        m.ask("cut 0 0 1")
        if answer == OFF:
            most += 2
            found = start(m, "1 0 0", seed=i)
            assert isinstance(found, int)
            assert least <= found <= most, steps
    found = start(m, "1 0 0")
    assert isinstance(found, int)
    assert least <= found <= most, steps


SMALL = (Geometry(256, 4, 2, 0), Geometry(512, 32, 3, 0), Geometry(256, 1, 2, 0), Geometry(256, 8, 3, 0))


@pytest.mark.parametrize("geometry", SMALL, ids=lambda g: f"{g.unit}-{g.word}")
def test_any_attempts_and_cuts_count_no_failure_less(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(STEPS)
    def run(steps: list[tuple[str, int, int]]) -> None:
        play(machine, geometry, steps)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("geometry", SMALL, ids=lambda g: f"{g.unit}-{g.word}")
def test_many_attempts_and_cuts_count_no_failure_less(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def run(steps: list[tuple[str, int, int]]) -> None:
        play(machine, geometry, steps)

    run()
