"""Somebody who writes a device's flash by another way than its firmware, and has no key: what that brings, and what it
does not (STORE.md, "Who writes the flash")."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from devices import (
    ALICE,
    BOB,
    CROP,
    KEY,
    OTHER_KEY,
    PRODUCT,
    Board,
    client,
    healthy,
    keep_key,
    needs_compiler,
    on,
    sealed,
)

from hyper_mcu.codegen import oracle
from hyper_mcu.device.codes import DeviceError
from hyper_mcu.device.keys import Key

pytestmark = needs_compiler

DEFINES = PRODUCT  # of the device that conftest.py compiles


@pytest.mark.parametrize("key", [OTHER_KEY, Key(KEY.number + 1, KEY.key)], ids=["another key", "another number"])
def test_a_person_of_ones_own_is_listed_and_never_asked(board: Board, key: Key) -> None:
    """Slots that another device wrote, to the byte as this one would have."""
    keep_key(board.key_file, key)
    with board.start() as process, client(process, key) as device:
        device.load(sealed(ALICE, 1, key))
    keep_key(board.key_file, KEY)
    code = "WRONG_KEY" if key.number != KEY.number else "WRONG_SEAL"
    with board.start() as process, client(process) as device:
        assert [e.name for e in device.people()] == ["alice"]
        for call in (lambda: device.verify(CROP, "alice"), lambda: device.known_answer("alice")):
            with pytest.raises(DeviceError, match=code):
                call()
        with pytest.raises(DeviceError, match="NO_PERSON" if code == "WRONG_KEY" else code):
            device.verify(CROP)
        device.delete("alice")
        device.load(sealed(BOB, 2))
        assert device.verify(CROP).name == "bob"
        assert healthy(process.kill())


def test_an_older_copy_brings_back_who_was_deleted(board: Board, tmp_path: Path) -> None:
    """As the document says: the records have check sums, and no tag."""
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    shutil.copy(board.flash, tmp_path / "copy")
    with board.start() as process, client(process) as device:
        device.delete("alice")
        assert device.people() == ()
    shutil.copy(tmp_path / "copy", board.flash)
    with board.start() as process, client(process) as device:
        assert on(device) == [("alice", 1)]
        assert device.verify(CROP, "alice").logit == oracle.run(ALICE.qnet, CROP).logit
        assert healthy(process.kill())


def test_a_damaged_person_is_not_listed_and_gives_way(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
        device.load(sealed(BOB, 2))
    flash = bytearray(board.flash.read_bytes())
    flash[flash.index(sealed(ALICE, 1)[200:300])] ^= 1
    board.flash.write_bytes(flash)
    with board.start() as process, client(process) as device:
        assert on(device) == [("bob", 2)]
        assert device.info().people == 1
        with pytest.raises(DeviceError, match="NO_PERSON"):
            device.verify(CROP, "alice")
        device.load(sealed(ALICE, 3))
        assert [(e.place, e.name) for e in device.people()] == [(0, "alice"), (1, "bob")]
        assert healthy(process.kill())
