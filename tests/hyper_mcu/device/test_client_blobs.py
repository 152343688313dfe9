"""Blobs that a device refuses, keeping who is there, and encrypted ones, which it decrypts."""

from __future__ import annotations

import struct
from importlib.util import find_spec

import pytest
from devices import (
    ALICE,
    ALICE_AGAIN,
    BOB,
    CROP,
    KEY,
    OTHER_KEY,
    STRANGER,
    Board,
    changed_blob,
    client,
    healthy,
    needs_compiler,
    on,
    resealed,
    sealed,
    wrapped,
    wrong_known_answer,
)
from exchange import ask, check, name_of, refusal, saying, tagged

from hyper_mcu.codegen.layout import ABI
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.client import Device
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import Request
from hyper_mcu.device.keys import Key
from hyper_mcu.device.seal import seal

pytestmark = needs_compiler

needs_cipher = pytest.mark.skipif(find_spec("cryptography") is None, reason="needs hyper-mcu[device]: cryptography")

WHOLE = pack(ALICE, for_device=True)
BAD = {
    "cut": (sealed(ALICE, 9)[:-4], Code.NOT_SEALED),
    "grown": (sealed(ALICE, 9) + bytes(4), Code.NOT_SEALED),
    "a person.bin without a seal": (WHOLE, Code.NOT_SEALED),
    "a flipped bit": (sealed(ALICE, 9)[:300] + b"\x55" + sealed(ALICE, 9)[301:], Code.WRONG_SEAL),
    "another device's": (sealed(ALICE, 9, OTHER_KEY), Code.WRONG_SEAL),
    "another key number": (sealed(ALICE, 9, Key(2, KEY.key)), Code.WRONG_KEY),
    "an old counter": (sealed(ALICE, 3), Code.OLD),
    "the same counter": (sealed(ALICE, 5), Code.OLD),
    "another format of the seal": (resealed(b"HMsp\2" + sealed(ALICE, 9)[5:]), Code.NOT_SEALED),
    "another architecture": (wrapped(pack(STRANGER, for_device=True), 9), Code.WRONG_ENGINE),
    "an older ABI": (wrapped(changed_blob(ALICE, 24, struct.pack("<I", ABI - 1)), 9), Code.WRONG_ENGINE),
    "an older format": (wrapped(changed_blob(ALICE, 4, struct.pack("<I", 0)), 9), Code.WRONG_FORMAT),
    "a cut blob": (wrapped(WHOLE[:-8], 9), Code.WRONG_SIZE),
    "a damaged blob": (wrapped(WHOLE[:200] + b"\x7f" + WHOLE[201:], 9), Code.CORRUPT_PERSON),
    "a weight out of bounds": (wrapped(changed_blob(ALICE, len(WHOLE) - 20, b"\x80" * 4), 9), Code.CORRUPT_PERSON),
    "no known answer": (sealed(wrong_known_answer(ALICE), 9), Code.WRONG_ANSWER),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_person_that_is_not_right_is_refused_and_the_old_one_kept(device: Device, bad: str) -> None:
    device.load(sealed(ALICE_AGAIN, 5))
    data, code = BAD[bad]
    with pytest.raises(DeviceError, match=saying(code)):
        device.load(data, name="alice", replace=True)
    assert on(device) == [("alice", 5)]
    check(device, ALICE_AGAIN)
    device.load(sealed(ALICE, 10), replace=True)  # nothing of the refused one is in the way
    check(device, ALICE)


@needs_cipher
def test_an_encrypted_person_is_decrypted_on_the_device_alone(board: Board) -> None:
    with board.start() as process, client(process) as device:
        assert device.info().cipher
        whole = seal(ALICE, KEY, 1, encrypt=True)
        device.load(whole)
        device.load(sealed(BOB, 2))
        check(device, ALICE)
        check(device, BOB)
        device.verify(CROP)
        assert device.known_answer("alice")[0] > 0
        assert healthy(process.kill())
    weights = pack(ALICE, for_device=True)[128:-4]
    assert whole[128:-32] in board.flash.read_bytes()
    assert weights not in board.flash.read_bytes()


@needs_cipher
def test_an_encrypted_person_of_another_nonce_is_refused(device: Device) -> None:
    whole = seal(ALICE, KEY, 1, encrypt=True)
    with pytest.raises(DeviceError, match=saying(Code.NOT_A_PERSON)):
        device.load(resealed(whole[:48] + bytes(16) + whole[64:]))
    assert on(device) == []


def test_an_oversized_person_is_refused_before_it_is_sent(device: Device) -> None:
    with pytest.raises(DeviceError, match=saying(Code.TOO_LARGE)):
        device.load(bytes(device.info().largest + 4), name="large")
    with pytest.raises(DeviceError, match=saying(Code.TOO_LARGE)):
        device.load(bytes(2**20), name="large")
    assert on(device) == []


def test_a_person_of_another_name_than_announced_is_refused(device: Device) -> None:
    with pytest.raises(DeviceError, match=saying(Code.WRONG_DIGEST)):
        device.load(sealed(ALICE, 1), name="bob")
    assert on(device) == []


def test_bytes_that_are_not_those_announced_are_refused(device: Device) -> None:
    whole = sealed(ALICE, 1)
    asked = struct.pack("<BI", 0, len(whole)) + bytes(32) + name_of("alice")
    ask(device, Request.LOAD, tagged(device, Request.LOAD, asked))
    ask(device, Request.LOAD_PART, bytes(4) + whole)
    assert ask(device, Request.LOAD_END) == refusal(Code.WRONG_DIGEST)
    assert ask(device, Request.LOAD_END) == refusal(Code.WRONG_ORDER)
    assert on(device) == []
