"""Uploads into the store that were cut off: they go on where they were, or leave no byte."""

from __future__ import annotations

import pytest
from c_programs import HOST
from flash_machine import SLOT_HEAD, Machine, people, state

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


@pytest.mark.parametrize("part", [1, 3, 32, 1000])
def test_upload_goes_on_at_the_next_byte_where_the_line_was_cut(mounted: Machine, part: int) -> None:
    anna = people(mounted.geometry)[0]
    assert mounted.load(anna, part=part, stop=333) == (Code.OK, 0)
    assert mounted.load(anna, part=part) == (Code.OK, 333)
    assert mounted.start() == state(10, anna)


def test_upload_goes_on_in_the_unit_where_the_power_was_cut(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    there = mounted.geometry.unit - SLOT_HEAD  # bytes of it in the first unit
    two_units = len(anna.sealed) > there
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.start() == "0"
    assert mounted.load(anna) == (Code.OK, there if two_units else 0)
    assert mounted.list() == mounted.start() == state(10, anna)


def test_upload_that_was_all_but_whole_begins_again_after_a_reset(mounted: Machine) -> None:
    """Its commit may have been torn, and read as erased."""
    anna = people(mounted.geometry)[0]
    mounted.load(anna, stop=len(anna.sealed) - 1)
    assert mounted.start() == "0"
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (Code.OK, 0)


def test_another_upload_ends_the_one_before(mounted: Machine) -> None:
    anna, berta, *_ = people(mounted.geometry)
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.start() == "0"
    assert mounted.load(berta, stop=200) == (Code.OK, 0)
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (Code.OK, 0)
    assert not mounted.holds(berta.marks)
    assert mounted.start() == state(10, anna)


def test_abandoned_upload_leaves_no_byte(mounted: Machine) -> None:
    anna = people(mounted.geometry)[0]
    mounted.load(anna, stop=len(anna.sealed) - 100)
    assert mounted.holds(anna.marks)
    mounted.one("abandon")
    assert not mounted.holds(anna.marks)
    assert mounted.load(anna) == (Code.OK, 0)
