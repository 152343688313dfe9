"""A device's key: who has none or another one, challenges answered and replayed, a key given and a number renewed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from devices import (
    ALICE,
    BOB,
    CROP,
    KEY,
    OTHER_KEY,
    PRODUCT,
    SMALL,
    Board,
    client,
    compiled,
    healthy,
    keep_key,
    needs_compiler,
    on,
    sealed,
)
from exchange import ask, check, name_of, refusal, saying, tagged

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.client import Device, answered
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import Request
from hyper_mcu.device.keys import Key

pytestmark = needs_compiler


def test_a_wrong_key_loads_deletes_and_verifies_nothing(tmp_path: Path) -> None:
    board = Board(compiled(tmp_path, ALICE, defines=PRODUCT), tmp_path, *SMALL)
    with board.start() as process:
        with client(process) as device:
            device.load(sealed(ALICE, 1))
            assert device.verify(CROP, "alice").name == "alice"
            with pytest.raises(DeviceError, match=saying(Code.NOT_HERE)):
                device.verify(CROP, "alice", layers=True)
        for key in (OTHER_KEY, Key(2, KEY.key)):
            with client(process, key) as device:
                for call in (
                    lambda d: d.load(sealed(BOB, 2)),
                    lambda d: d.delete("alice"),
                    lambda d: d.verify(CROP, "alice"),
                ):
                    with pytest.raises(DeviceError, match=saying(Code.NOT_ALLOWED)):
                        call(device)
                assert on(device) == [("alice", 1)]
        with client(process, None) as device, pytest.raises(UserError, match="needs the device's key"):
            device.delete("alice")
        assert healthy(process.kill())


def test_an_answered_challenge_serves_once(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    message = tagged(device, Request.DELETE, name_of("alice"))
    assert ask(device, Request.DELETE, message) == bytes([Code.OK])
    device.load(sealed(ALICE, 2))
    for _ in range(2):  # as it was, and while another challenge is open
        assert ask(device, Request.DELETE, message) == refusal(Code.NOT_ALLOWED)
        ask(device, Request.CHALLENGE)
    assert on(device) == [("alice", 2)]


def test_a_wrong_answer_spends_the_challenge(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    right = tagged(device, Request.DELETE, name_of("alice"))
    assert ask(device, Request.DELETE, right[:-1] + bytes([right[-1] ^ 1])) == refusal(Code.NOT_ALLOWED)
    assert ask(device, Request.DELETE, right) == refusal(Code.NOT_ALLOWED)


def test_a_tag_is_of_one_request_alone(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    challenge = ask(device, Request.CHALLENGE)[1:]
    other = answered(KEY, challenge, Request.VERIFY, name_of("alice"))
    assert ask(device, Request.DELETE, other) == refusal(Code.NOT_ALLOWED)


def test_the_key_is_set_once_and_lasts(program: Path, tmp_path: Path) -> None:
    board = Board(program, tmp_path, *SMALL, key=None)
    with board.start() as process, client(process) as device:
        assert device.info().key == 0
        with pytest.raises(DeviceError, match=saying(Code.NO_KEY)):
            device.load(sealed(ALICE, 1))
        with pytest.raises(UserError, match="number"):
            device.set_key(Key(0, KEY.key))
        for none in (struct.pack("<I", 0) + KEY.key, struct.pack("<I", 1) + bytes(32)):
            assert device.talk.ask(Request.SET_KEY, none)[0] == Code.WRONG_VALUE
        device.set_key(KEY)
        with pytest.raises(DeviceError, match=saying(Code.HAS_KEY)):
            device.set_key(Key(2, OTHER_KEY.key))
        device.key = KEY
        device.load(sealed(ALICE, 1))
    with board.start() as process, client(process) as device:
        assert device.info().key == KEY.number
        with pytest.raises(DeviceError, match=saying(Code.HAS_KEY)):
            device.set_key(Key(2, OTHER_KEY.key))
        check(device, ALICE)


def test_a_new_key_number_revokes_who_was_sealed_before(board: Board) -> None:
    new = Key(2, bytes(range(7, 39)))
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    keep_key(board.key_file, new)
    with board.start() as process, client(process, new) as device:
        with pytest.raises(DeviceError, match=saying(Code.WRONG_KEY)):
            device.verify(CROP, "alice")
        with pytest.raises(DeviceError, match=saying(Code.NO_PERSON)):
            device.verify(CROP)
        device.load(sealed(BOB, 2, new))
        assert device.verify(CROP).name == "bob"
