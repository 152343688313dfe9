"""People in flash: what the store keeps, what it refuses, and what it leaves no byte of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS
from flash_machine import DEVICE, MODULES, SLOT_HEAD, Blob, Machine, blob, noise, people, state
from objects import compiled

from hyper_mcu.device.codes import Code

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("options", [C11, CXX14], ids=["C11", "C++14"])
@pytest.mark.parametrize("module", MODULES)
def test_every_compiler_takes_each_module_without_a_word(
    tmp_path: Path, module: str, compiler: str, options: tuple[str, ...]
) -> None:
    assert compiled(DEVICE / module, tmp_path, compiler, *options, "-O2") == (0, "")


def test_people_are_kept_over_a_reset(mounted: Machine) -> None:
    anna, berta, *_ = people(mounted.geometry)
    assert mounted.load(anna) == (Code.OK, 0)
    assert mounted.load(berta, part=7) == (Code.OK, 0)
    assert mounted.list() == mounted.start() == state(11, anna, berta)
    assert mounted.one("find anna") == f"0 {len(anna.sealed)}"
    assert mounted.one("find ann") == mounted.one("find annab") == f"{Code.NO_PERSON} 0"
    assert mounted.one("count") == "2"


def test_replaced_person_leaves_no_byte(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    for b in (anna, berta):
        mounted.load(b)
    assert mounted.load(newer) == (Code.NAME_TAKEN, 0)
    assert mounted.load(newer, replace=True) == (Code.OK, 0)
    assert mounted.list() == mounted.start() == state(12, newer, berta)
    assert mounted.holds(newer.marks)
    assert not mounted.holds(anna.marks)


def test_deleted_person_leaves_no_byte_and_the_counter(mounted: Machine) -> None:
    anna, berta, newer, carl = people(mounted.geometry)
    for b, replace in ((anna, False), (berta, False), (newer, True)):
        mounted.load(b, replace=replace)
    assert mounted.code("delete anna") == Code.OK
    assert mounted.list() == mounted.start() == state(12, berta)
    assert not mounted.holds(anna.marks + newer.marks)
    assert mounted.code("delete anna") == Code.NO_PERSON
    assert mounted.code("delete berta") == Code.OK
    assert mounted.start() == "12"
    for old in (anna, berta, newer):
        assert mounted.load(old)[0] == Code.OLD
        mounted.one("abandon")
    assert mounted.load(carl) == (Code.OK, 0)
    assert mounted.start() == state(13, carl)


def test_full_partition_refuses_a_third_and_takes_one_after_a_delete(mounted: Machine) -> None:
    anna, berta, _, carl = people(mounted.geometry)
    for b in (anna, berta):
        mounted.load(b)
    assert mounted.load(carl) == (Code.FULL, 0)
    assert mounted.list() == state(11, anna, berta)
    mounted.one("delete berta")
    assert mounted.load(carl) == (Code.OK, 0)
    assert mounted.start() == state(13, anna, carl)


def test_two_people_of_one_name_are_refused_whatever_was_announced(mounted: Machine) -> None:
    anna, berta, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    assert mounted.load(newer, name="someone") == (Code.NAME_TAKEN, 0)  # seen when it is whole
    mounted.load(berta)
    assert mounted.load(newer, name="berta", replace=True) == (Code.NAME_TAKEN, 0)
    mounted.one("abandon")
    assert mounted.start() == state(11, anna, berta)
    assert not mounted.holds(newer.marks)


def test_sizes_out_of_bounds_are_refused(mounted: Machine) -> None:
    most = mounted.geometry.slot - SLOT_HEAD
    digest = "00" * 32
    assert mounted.code(f"begin anna 0 {most + 4} {digest}") == Code.TOO_LARGE
    assert mounted.code(f"begin anna 0 4294967292 {digest}") == Code.TOO_LARGE
    assert mounted.code(f"begin anna 0 160 {digest}") == Code.NOT_SEALED
    assert mounted.code(f"begin anna 0 0 {digest}") == Code.NOT_SEALED
    assert mounted.code(f"begin anna 0 164 {digest}") == Code.OK
    assert mounted.code("put " + "01" * 165) == Code.TOO_LARGE
    assert mounted.load(blob("anna", 1, most)) == (Code.OK, 0)
    assert mounted.start() == state(1, blob("anna", 1, most))


def test_partition_without_room_for_one_person_is_said_to_be_full(mounted: Machine) -> None:
    g = mounted.geometry
    for largest in (g.unit * g.units // 2 - SLOT_HEAD + 1, 0, 2**32 - 1):
        assert mounted.code(f"mount {largest}") == Code.FULL
    assert mounted.one(f"mount {g.unit * g.units // 2 - SLOT_HEAD}") == "0 1"


def test_wrong_bytes_are_refused_and_the_older_person_stays(mounted: Machine) -> None:
    anna, _, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    n = len(newer.sealed)
    assert mounted.one(f"begin anna 1 {n} {hashlib.sha256(newer.sealed).hexdigest()}") == "0 0"
    assert mounted.code(f"put {newer.sealed[: n - 1].hex()}") == Code.OK
    assert mounted.code("written") == Code.WRONG_ORDER
    assert mounted.code("commit 12") == Code.WRONG_ORDER
    assert mounted.code("put 00") == Code.OK
    assert mounted.code("commit 12") == Code.WRONG_ORDER
    assert mounted.code("written") == Code.WRONG_DIGEST
    assert mounted.code("written") == Code.WRONG_ORDER
    assert mounted.list() == mounted.start() == state(10, anna)
    assert not mounted.holds(newer.marks)


def test_what_is_no_sealed_person_is_refused(mounted: Machine) -> None:
    wrong = Blob("anna", 5, noise(5, 400))
    assert mounted.load(wrong) == (Code.NOT_SEALED, 0)
    mounted.one("abandon")
    assert mounted.start() == "0"
    assert not mounted.holds(wrong.marks)


def test_commit_of_another_counter_is_refused(mounted: Machine) -> None:
    anna = blob("anna", 7, 400)
    mounted.one(f"begin anna 0 400 {hashlib.sha256(anna.sealed).hexdigest()}")
    said = mounted.ask(f"put {anna.sealed.hex()}", "written", "commit 8", "commit 6", "commit 7", "commit 7")
    assert [int(code) for code in said] == [Code.OK, Code.OK, Code.OLD, Code.OLD, Code.OK, Code.WRONG_ORDER]


def test_delete_ends_an_upload_for_the_same_person(mounted: Machine) -> None:
    anna, _, newer, _ = people(mounted.geometry)
    mounted.load(anna)
    mounted.load(newer, replace=True, stop=200)
    assert mounted.code("delete anna") == Code.OK
    assert [mounted.code(c) for c in ("put 00", "written", "commit 12")] == [Code.WRONG_ORDER] * 3
    assert mounted.start() == "10"
    assert not mounted.holds(newer.marks)
