"""The store against a dictionary: any sequence of steps, and power that fails in any operation of them."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import OFF, RESIDUES, Blob, Geometry, Machine, blob, settled, state
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


Step = tuple[str, int, bool, int, int, int]
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


def mistake(m: Machine, geometry: Geometry, steps: list[Step]) -> tuple[object, ...] | None:
    """The first step after which the store is not as a dictionary would be, and what it then is."""
    m.new(geometry)
    if (listed := m.start()) != "0":
        return "new", listed
    people: dict[str, Blob] = {}
    places, floor, next_counter = int(m.one(f"mount {geometry.largest}").split()[1]), 0, 1
    for i, (kind, who, replace, size, cut, residue) in enumerate(steps):
        name = ("anna", "berta", "carl")[who]
        b = blob(name, next_counter, 164 + size // 4 * 4, seed=1000 + i)
        after, told = (dict(people), floor), Code.OK
        if kind == "load":
            if name in people and not replace:
                told = Code.NAME_TAKEN
            elif name not in people and len(people) == places:
                told = Code.FULL
            else:
                after = ({**people, name: b}, next_counter)
        elif kind == "delete":
            told = Code.OK if name in people else Code.NO_PERSON
            after[0].pop(name, None)
        m.ask(f"cut {cut} {residue} {i + 1}")
        if kind in ("load", "part"):
            done = m.load(b, replace=replace, part=37, stop=len(b.sealed) // 2 if kind == "part" else 1 << 30)
            answer = done if done == OFF else done[0]
        else:
            answer = m.start() if kind == "reset" else m.one(f"delete {name}" if kind == "delete" else "abandon")
            answer = answer if answer == OFF or kind == "reset" else int(answer)
        was, will_be = state(floor, *people.values()), state(after[1], *after[0].values())
        if answer == OFF:
            lists = settled(m, i)
            if lists not in ({was}, {will_be}):
                return i, kind, lists, was, will_be
            if lists != {was}:
                people, floor = after
        else:
            if kind in ("load", "delete") and answer != told:
                return i, kind, answer, told
            people, floor = after
            m.ask("cut 0 0 1")
        next_counter = floor + 1 + i % 3
        if (listed := m.list()) != state(floor, *people.values()):
            return i, kind, listed, state(floor, *people.values())
    if len(steps) > 5 and (listed := m.start()) != state(floor, *people.values()):
        return "in the end", listed, state(floor, *people.values())
    return None


@pytest.mark.parametrize("geometry", SMALL, ids=str)
def test_any_steps_are_those_of_a_dictionary(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(STEPS)
    def run(steps: list[Step]) -> None:
        assert mistake(machine, geometry, steps) is None

    run()


@pytest.mark.slow
@pytest.mark.parametrize("geometry", SMALL, ids=str)
def test_many_steps_are_those_of_a_dictionary(machine: Machine, geometry: Geometry) -> None:
    @settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def run(steps: list[Step]) -> None:
        assert mistake(machine, geometry, steps) is None

    run()
