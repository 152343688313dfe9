"""A damaged store: flipped bits, strange bytes and worn units lose nobody else, and what is damaged gives way."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import SLOT_HEAD, Machine, blob, people, state

from hyper_mcu.device.codes import Code

NAME = 64  # where it is in a sealed person
pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


def test_no_flipped_bit_of_the_records_loses_a_person(mounted: Machine) -> None:
    anna = blob("anna", 7, 400)
    mounted.load(anna)
    for bit in range(8 * SLOT_HEAD):
        mounted.ask(f"flip {bit}")
        assert mounted.list() == state(7, anna), bit
        mounted.ask(f"flip {bit}")


def test_damaged_person_is_not_listed_and_gives_way(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    mounted.load(berta)
    mounted.ask(f"flip {8 * (SLOT_HEAD + 200)}")
    assert mounted.start() == state(11, berta)
    assert mounted.code("find anna") == Code.NO_PERSON
    assert mounted.load(newer) == (Code.OK, 0)
    assert mounted.start() == state(12, newer, berta)
    assert not mounted.holds(anna.marks[1:])


def test_damaged_person_is_deleted_by_name(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    mounted.load(anna)
    mounted.ask(f"flip {8 * (SLOT_HEAD + 200)}")
    assert mounted.code("delete anna") == Code.OK
    assert mounted.start() == "10"
    assert not mounted.holds(anna.marks[1:])


def test_damaged_name_that_is_anothers_now_hides_nobody(mounted: Machine) -> None:
    anna, anne = blob("anna", 7, 400), blob("anne", 8, 400)
    mounted.load(anna)
    mounted.load(anne)
    assert ord("a") ^ ord("e") == 4
    mounted.ask(f"flip {8 * (SLOT_HEAD + NAME + 3) + 2}")
    assert mounted.start() == state(8, anne)
    assert mounted.code("delete anne") == Code.OK
    assert mounted.start() == "8"
    assert not mounted.holds(anne.marks[1:])
    assert mounted.code("delete anne") == Code.OK  # what is left of anna
    assert not mounted.holds(anna.marks[1:])


def test_strange_partition_becomes_an_empty_store(mounted: Machine) -> None:
    size = mounted.geometry.unit * mounted.geometry.units
    mounted.ask(f"fill 0 {size} 77")
    assert mounted.start() == "0"
    anna = people(mounted.geometry)[0]
    assert mounted.load(anna) == (Code.OK, 0)
    assert mounted.start() == state(10, anna)


def test_worn_unit_is_said_and_loses_nobody(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    slot = mounted.geometry.slot
    mounted.ask(f"worn {slot}")  # the first unit of anna's other slot
    assert mounted.load(newer, replace=True)[0] == Code.FLASH
    assert mounted.code("delete anna") == Code.FLASH
    assert mounted.start() == state(10, anna)
    assert mounted.load(berta) == (Code.OK, 0)
    mounted.ask(f"worn {2 * slot + slot}")
    mounted.ask("worn 0")  # and now the one that anna is in
    assert mounted.code("delete anna") == Code.FLASH
    assert mounted.list() == state(11, berta)
    mounted.power()
    assert mounted.one(f"mount {mounted.geometry.largest}") == f"{Code.FLASH} 2"
    assert mounted.list() == state(11, berta)
    mounted.ask("worn 1")
    assert mounted.start() == state(11, berta)
    assert not mounted.holds(anna.marks)
