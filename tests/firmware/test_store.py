"""People in flash: what the store refuses, what it keeps, and power that fails in any operation."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS
from flash_machine import (
    DEVICE,
    FLASH,
    FULL,
    MODULES,
    NAME_TAKEN,
    NAMES,
    NO_PERSON,
    NOT_SEALED,
    OFF,
    OK,
    OLD,
    RESIDUES,
    TOO_LARGE,
    WRONG_DIGEST,
    WRONG_ORDER,
    Blob,
    Geometry,
    Machine,
    blob,
    noise,
    state,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

# Slots of three units, two, one and three; two places each.
GEOMETRIES = (
    Geometry(4096, 4, 12, 9000),
    Geometry(16384, 32, 8, 20000),
    Geometry(131072, 1, 4, 1500),
    Geometry(2048, 8, 12, 5000),
)
HEAD = 160


def body(geometry: Geometry) -> int:
    """Bytes of a person that reaches into the second unit of its slot, where there is one."""
    return min(geometry.unit + 300, geometry.largest - 40) // 4 * 4


@cache
def people(geometry: Geometry) -> list[Blob]:
    n = body(geometry)
    return [blob("anna", 10, n), blob("berta", 11, n - 100), blob("anna", 12, n - 4), blob("carl", 13, n)]


@pytest.fixture(params=GEOMETRIES, ids=str)
def mounted(machine: Machine, request: pytest.FixtureRequest) -> Machine:
    machine.new(request.param)
    assert machine.start() == "0"
    return machine


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("options", [C11, CXX14], ids=["C11", "C++14"])
@pytest.mark.parametrize("module", MODULES)
def test_every_compiler_takes_each_module_without_a_word(
    tmp_path: Path, module: str, compiler: str, options: tuple[str, ...]
) -> None:
    if options is CXX14 and compiler == "gcc" and not shutil.which("g++"):
        pytest.skip("no g++ on PATH (Debian: g++)")
    (tmp_path / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    command = [compiler, *options, "-O2", f"-I{tmp_path}", "-c", DEVICE / module, "-o", tmp_path / "module.o"]
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# What is kept and what is refused


def test_people_are_kept_over_a_reset(mounted: Machine) -> None:
    anna, berta, *_ = people(mounted.geometry)
    assert mounted.load(anna) == (OK, 0)
    assert mounted.load(berta, part=7) == (OK, 0)
    assert mounted.list() == mounted.start() == state(11, anna, berta)
    assert mounted.one("find anna") == f"0 {len(anna.sealed)}"
    assert mounted.one("find ann") == mounted.one("find annab") == f"{NO_PERSON} 0"
    assert mounted.one("count") == "2"


def test_replaced_person_leaves_no_byte(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    for b in (anna, berta):
        mounted.load(b)
    assert mounted.load(newer) == (NAME_TAKEN, 0)
    assert mounted.load(newer, replace=True) == (OK, 0)
    assert mounted.list() == mounted.start() == state(12, newer, berta)
    assert mounted.holds(newer.marks)
    assert not mounted.holds(anna.marks)


def test_deleted_person_leaves_no_byte_and_the_counter(mounted: Machine) -> None:
    anna, berta, newer, carl = people(mounted.geometry)
    for b, replace in ((anna, False), (berta, False), (newer, True)):
        mounted.load(b, replace=replace)
    assert mounted.code("delete anna") == OK
    assert mounted.list() == mounted.start() == state(12, berta)
    assert not mounted.holds(anna.marks + newer.marks)
    assert mounted.code("delete anna") == NO_PERSON
    assert mounted.code("delete berta") == OK
    assert mounted.start() == "12"
    for old in (anna, berta, newer):
        assert mounted.load(old)[0] == OLD
        mounted.one("abandon")
    assert mounted.load(carl) == (OK, 0)
    assert mounted.start() == state(13, carl)


def test_full_partition_refuses_a_third_and_takes_one_after_a_delete(mounted: Machine) -> None:
    anna, berta, _, carl = people(mounted.geometry)
    for b in (anna, berta):
        mounted.load(b)
    assert mounted.load(carl) == (FULL, 0)
    assert mounted.list() == state(11, anna, berta)
    mounted.one("delete berta")
    assert mounted.load(carl) == (OK, 0)
    assert mounted.start() == state(13, anna, carl)


def test_two_people_of_one_name_are_refused_whatever_was_announced(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    assert mounted.load(newer, name="someone") == (NAME_TAKEN, 0)  # seen when it is whole
    mounted.load(berta)
    assert mounted.load(newer, name="berta", replace=True) == (NAME_TAKEN, 0)
    mounted.one("abandon")
    assert mounted.start() == state(11, anna, berta)
    assert not mounted.holds(newer.marks)


def test_sizes_out_of_bounds_are_refused(mounted: Machine) -> None:
    slot = -(-(HEAD + mounted.geometry.largest) // mounted.geometry.unit) * mounted.geometry.unit
    digest = "00" * 32
    assert mounted.code(f"begin anna 0 {slot - HEAD + 4} {digest}") == TOO_LARGE
    assert mounted.code(f"begin anna 0 4294967292 {digest}") == TOO_LARGE
    assert mounted.code(f"begin anna 0 160 {digest}") == NOT_SEALED
    assert mounted.code(f"begin anna 0 0 {digest}") == NOT_SEALED
    assert mounted.code(f"begin anna 0 164 {digest}") == OK
    assert mounted.code("put " + "01" * 165) == TOO_LARGE
    assert mounted.load(blob("anna", 1, slot - HEAD)) == (OK, 0)
    assert mounted.start() == state(1, blob("anna", 1, slot - HEAD))


def test_partition_without_room_for_one_person_is_said_to_be_full(mounted: Machine) -> None:
    g = mounted.geometry
    for largest in (g.unit * g.units // 2 - HEAD + 1, 0, 2**32 - 1):
        assert mounted.one(f"mount {largest}").split()[0] == str(FULL)
    assert mounted.one(f"mount {g.unit * g.units // 2 - HEAD}") == "0 1"


def test_wrong_bytes_are_refused_and_the_older_person_stays(mounted: Machine) -> None:
    anna, _, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    n = len(newer.sealed)
    assert mounted.one(f"begin anna 1 {n} {hashlib.sha256(newer.sealed).hexdigest()}") == "0 0"
    assert mounted.code(f"put {newer.sealed[: n - 1].hex()}") == OK
    assert mounted.code("written") == WRONG_ORDER
    assert mounted.code("commit 12") == WRONG_ORDER
    assert mounted.code("put 00") == OK
    assert mounted.code("commit 12") == WRONG_ORDER
    assert mounted.code("written") == WRONG_DIGEST
    assert mounted.code("written") == WRONG_ORDER
    assert mounted.list() == mounted.start() == state(10, anna)
    assert not mounted.holds(newer.marks)


def test_what_is_no_sealed_person_is_refused(mounted: Machine) -> None:
    wrong = Blob("anna", 5, noise(5, 400))
    assert mounted.load(wrong) == (NOT_SEALED, 0)
    mounted.one("abandon")
    assert mounted.start() == "0"
    assert not mounted.holds(wrong.marks)


def test_commit_of_another_counter_is_refused(mounted: Machine) -> None:
    anna = blob("anna", 7, 400)
    mounted.one(f"begin anna 0 400 {hashlib.sha256(anna.sealed).hexdigest()}")
    assert mounted.ask(f"put {anna.sealed.hex()}", "written", "commit 8", "commit 6", "commit 7", "commit 7") == [
        *"00",
        str(OLD),
        str(OLD),
        "0",
        str(WRONG_ORDER),
    ]


def test_delete_ends_an_upload_for_the_same_person(mounted: Machine) -> None:
    anna, _, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    mounted.load(newer, replace=True, stop=200)
    assert mounted.code("delete anna") == OK
    assert mounted.ask("put 00", "written", "commit 12") == [str(WRONG_ORDER)] * 3
    assert mounted.start() == "10"
    assert not mounted.holds(newer.marks)


# Uploads that go on


@pytest.mark.parametrize("part", [1, 3, 32, 1000])
def test_upload_goes_on_at_the_next_byte_where_the_line_was_cut(mounted: Machine, part: int) -> None:
    anna = people(mounted.geometry)[0]
    assert mounted.load(anna, part=part, stop=333) == (OK, 0)
    assert mounted.load(anna, part=part) == (OK, 333)
    assert mounted.start() == state(10, anna)


def test_upload_goes_on_in_the_unit_where_the_power_was_cut(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    there = mounted.geometry.unit - HEAD  # bytes of it in the first unit
    two_units = len(anna.sealed) > there
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.start() == "0"
    assert mounted.load(anna) == (OK, there if two_units else 0)
    assert mounted.list() == mounted.start() == state(10, anna)


def test_upload_that_was_all_but_whole_begins_again_after_a_reset(mounted: Machine) -> None:
    """Its commit may have been torn, and read as erased."""
    anna = people(mounted.geometry)[0]
    mounted.load(anna, stop=len(anna.sealed) - 1)
    assert mounted.start() == "0"
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (OK, 0)


def test_another_upload_ends_the_one_before(mounted: Machine) -> None:
    anna, berta, *_ = people(mounted.geometry)
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.start() == "0"
    assert mounted.load(berta, stop=200) == (OK, 0)
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (OK, 0)
    assert not mounted.holds(berta.marks)
    assert mounted.start() == state(10, anna)


def test_abandoned_upload_leaves_no_byte(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.holds(anna.marks)
    mounted.one("abandon")
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (OK, 0)


# Damage


def test_no_flipped_bit_of_the_records_loses_a_person(mounted: Machine) -> None:
    anna = blob("anna", 7, 400)
    mounted.load(anna)
    for bit in range(8 * HEAD):
        mounted.ask(f"flip {bit}")
        assert mounted.list() == state(7, anna), bit
        mounted.ask(f"flip {bit}")


def test_damaged_person_is_not_listed_and_gives_way(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    mounted.load(berta)
    mounted.ask(f"flip {8 * (HEAD + 200)}")
    assert mounted.start() == state(11, berta)
    assert mounted.code("find anna") == NO_PERSON
    assert mounted.load(newer) == (OK, 0)
    assert mounted.start() == state(12, newer, berta)
    assert not mounted.holds(anna.marks[1:])


def test_damaged_person_is_deleted_by_name(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    mounted.load(anna)
    mounted.ask(f"flip {8 * (HEAD + 200)}")
    assert mounted.code("delete anna") == OK
    assert mounted.start() == "10"
    assert not mounted.holds(anna.marks[1:])


def test_strange_partition_becomes_an_empty_store(mounted: Machine) -> None:
    size = mounted.geometry.unit * mounted.geometry.units
    mounted.ask(f"fill 0 {size} 77")
    assert mounted.start() == "0"
    anna = people(mounted.geometry)[0]
    assert mounted.load(anna) == (OK, 0)
    assert mounted.start() == state(10, anna)


def test_worn_unit_is_said_and_loses_nobody(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    slot = -(-(HEAD + mounted.geometry.largest) // mounted.geometry.unit) * mounted.geometry.unit
    mounted.ask(f"worn {slot}")  # the first unit of anna's other slot
    assert mounted.load(newer, replace=True)[0] == FLASH
    assert mounted.code("delete anna") == FLASH
    assert mounted.start() == state(10, anna)
    assert mounted.load(berta) == (OK, 0)
    mounted.ask(f"worn {2 * slot + slot}")
    mounted.ask("worn 0")  # and now the one that anna is in
    assert mounted.code("delete anna") == FLASH
    assert mounted.list() == state(11, berta)
    mounted.power()
    assert mounted.one(f"mount {mounted.geometry.largest}") == f"{FLASH} 2"
    assert mounted.list() == state(11, berta)
    mounted.ask("worn 1")
    assert mounted.start() == state(11, berta)
    assert not mounted.holds(anna.marks)


# Power that fails


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


def settled(m: Machine, allowed: tuple[str, str], seed: int, what: object) -> str:
    """After a mount the store is as before or as after, and stays so whatever torn cells do next; returns which."""
    listed = m.start(seed=seed)
    assert listed in allowed, what
    for again in range(2):
        assert m.start(seed=seed + 17 * again + 1) == listed, what
    return listed


def check(m: Machine, geometry: Geometry, name: str, cuts: Callable[[int], list[int]], recovery: int) -> None:
    """Every residue of every cut that is asked for; every recovery-th also with cuts in the mount that comes then.

    In the end the step is made again, and whoever is to be gone is.
    """
    scenario = SCENARIOS[name]
    prepare(m, geometry, scenario)
    before, first = m.list(), m.done()
    scenario.step(m)
    allowed, operations = (before, m.list()), m.done() - first
    seen, turn, recovered = set(), 0, 0
    for k in cuts(operations):
        for residue in RESIDUES:
            what = (name, str(geometry), k, operations, NAMES[residue])
            interrupt(m, geometry, scenario, k, residue, 31 * k + residue)
            turn += 1
            if turn % recovery == 0:
                m.ask("save 1")
                m.start(seed=turn)
                for j in cuts(m.done()):
                    m.ask("restore 1")
                    if m.start(j, (residue + turn) % len(RESIDUES), turn) == OFF:
                        settled(m, allowed, k + j, (*what, j))
                        recovered += 1
                m.ask("restore 1")
            listed = settled(m, allowed, k + 1, what)
            seen.add(listed)
            if listed != allowed[1]:
                scenario.step(m)
                assert m.list() == allowed[1], what
            assert m.start() == allowed[1], what
            assert not m.holds(mark for i in scenario.gone for mark in people(geometry)[i].marks), what
    assert seen == set(allowed)
    assert recovered > 0 or name == "abandon"


def sample(operations: int) -> list[int]:
    """Both ends, where the records are, and some of what lies between."""
    ends = [*range(1, 7), *range(max(7, operations - 22), operations + 1)]
    return sorted({k for k in [*ends, *range(1, operations + 1, max(1, operations // 7))] if 1 <= k <= operations})


def every(operations: int) -> list[int]:
    return list(range(1, operations + 1))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_power_cut_leaves_what_was_or_what_was_to_be(fast: Machine, geometry: Geometry, name: str) -> None:
    check(fast, geometry, name, sample, recovery=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_power_cut_in_every_operation(fast: Machine, geometry: Geometry, name: str) -> None:
    check(fast, geometry, name, every, recovery=1)


# Any sequence of steps, against a dictionary

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["load", "load", "load", "part", "delete", "abandon", "reset"]),
        st.integers(0, 2),  # whose name
        st.booleans(),  # replace
        st.integers(0, 400),  # bytes of the payload
        st.one_of(st.just(0), st.integers(1, 40), st.integers(1, 400)),  # the operation in which the power fails
        st.sampled_from(RESIDUES),
    ),
    min_size=1,
    max_size=14,
)
SMALL = (Geometry(256, 4, 12, 600), Geometry(1024, 32, 8, 900), Geometry(4096, 1, 4, 700), Geometry(512, 8, 8, 900))


def play(m: Machine, geometry: Geometry, steps: list[tuple[str, int, bool, int, int, int]]) -> None:
    m.new(geometry)
    assert m.start() == "0"
    people: dict[str, Blob] = {}
    places, floor, next_counter = int(m.one(f"mount {geometry.largest}").split()[1]), 0, 1
    for i, (kind, who, replace, size, cut, residue) in enumerate(steps):
        name = ("anna", "berta", "carl")[who]
        b = blob(name, next_counter, 164 + size // 4 * 4, seed=1000 + i)
        after, told = (dict(people), floor), {OK}
        if kind == "load":
            if name in people and not replace:
                told = {NAME_TAKEN}
            elif name not in people and len(people) == places:
                told = {FULL}
            else:
                after = ({**people, name: b}, next_counter)
        elif kind == "delete":
            told = {OK if name in people else NO_PERSON}
            after[0].pop(name, None)
        m.ask(f"cut {cut} {residue} {i + 1}")
        if kind in ("load", "part"):
            done = m.load(b, replace=replace, part=37, stop=len(b.sealed) // 2 if kind == "part" else 1 << 30)
            answer = done if done == OFF else done[0]
        else:
            answer = m.start() if kind == "reset" else m.one(f"delete {name}" if kind == "delete" else "abandon")
            answer = answer if answer == OFF or kind == "reset" else int(answer)
        if answer == OFF:
            listed = settled(m, (state(floor, *people.values()), state(after[1], *after[0].values())), i, steps)
            if listed != state(floor, *people.values()):
                people, floor = after
        else:
            if kind in ("load", "delete"):
                assert answer in told
            people, floor = after
            m.ask("cut 0 0 1")
        next_counter = floor + 1 + i % 3
        assert m.list() == state(floor, *people.values()), steps
    if len(steps) > 5:
        assert m.start() == state(floor, *people.values())


@pytest.mark.parametrize("geometry", SMALL, ids=str)
def test_any_steps_are_those_of_a_dictionary(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(STEPS)
    def run(steps: list[tuple[str, int, bool, int, int, int]]) -> None:
        play(machine, geometry, steps)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("geometry", SMALL, ids=str)
def test_many_steps_are_those_of_a_dictionary(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def run(steps: list[tuple[str, int, bool, int, int, int]]) -> None:
        play(machine, geometry, steps)

    run()
