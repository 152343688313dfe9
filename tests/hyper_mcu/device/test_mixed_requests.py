"""Requests that come in between: uploads, deletions and verifications that cross each other on one device, sent by who
has the key, and by who has not."""

from __future__ import annotations

import hashlib
import struct

import pytest
from devices import ALICE, ALICE_AGAIN, BOB, CROP, KEY, PRODUCT, Board, client, healthy, needs_compiler, on, sealed
from exchange import ask, name_of, refusal, tagged

from hyper_mcu.codegen import oracle
from hyper_mcu.device.client import Device, answered
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import Request

pytestmark = needs_compiler

DEFINES = PRODUCT  # of the device that conftest.py compiles
LAST = 2**32 - 1


def begin(device: Device, data: bytes, name: str, *, replace: bool = False, size: int | None = None) -> bytes:
    said = struct.pack("<BI", replace, len(data) if size is None else size) + hashlib.sha256(data).digest()
    return ask(device, Request.LOAD, tagged(device, Request.LOAD, said + name_of(name)))


def part(device: Device, data: bytes, at: int, n: int = 1000) -> bytes:
    return ask(device, Request.LOAD_PART, struct.pack("<I", at) + data[at : at + n])


def end(device: Device) -> int:
    return ask(device, Request.LOAD_END)[0]


def put(device: Device, data: bytes) -> None:
    for at in range(0, len(data), 1000):
        assert part(device, data, at)[0] == Code.OK


def test_another_upload_takes_nothing_of_the_one_before(device: Device) -> None:
    alice, bob = sealed(ALICE, 1), sealed(BOB, 2)
    assert begin(device, alice, "alice") == bytes(5)
    assert part(device, alice, 0, 600)[0] == Code.OK
    assert begin(device, bob, "bob") == bytes(5)
    assert part(device, alice, 600) == refusal(Code.WRONG_OFFSET, bytes(4))
    put(device, bob)
    assert end(device) == Code.OK
    assert end(device) == Code.WRONG_ORDER
    assert on(device) == [("bob", 2)]


@pytest.mark.parametrize("announced", ["bob", "somebody"])
def test_a_refused_announcement_gives_an_upload_no_other_name(device: Device, announced: str) -> None:
    """Neither her name, which is taken, nor his place: what lies there was announced as another's."""
    device.load(sealed(ALICE, 1))
    device.load(sealed(BOB, 2))
    new = sealed(ALICE_AGAIN, 3)
    assert begin(device, new, announced, replace=announced == "bob")[0] == Code.OK
    put(device, new)
    assert begin(device, new, "alice")[0] == Code.NAME_TAKEN
    assert begin(device, new, "alice", replace=True, size=2**31)[0] == Code.TOO_LARGE
    assert end(device) in (Code.NAME_TAKEN, Code.WRONG_DIGEST)
    assert on(device) == [("alice", 1), ("bob", 2)]
    assert device.verify(CROP, "alice").logit == oracle.run(ALICE.qnet, CROP).logit
    assert device.verify(CROP, "bob").logit == oracle.run(BOB.qnet, CROP).logit


def test_a_deletion_ends_the_upload_for_its_place_and_no_other(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    device.load(sealed(BOB, 2))
    new = sealed(ALICE_AGAIN, 3)
    assert begin(device, new, "alice", replace=True)[0] == Code.OK
    assert part(device, new, 0, 600)[0] == Code.OK
    device.delete("bob")
    assert part(device, new, 600, 100)[0] == Code.OK
    device.delete("alice")
    assert part(device, new, 700) == refusal(Code.WRONG_ORDER)
    assert end(device) == Code.WRONG_ORDER
    assert on(device) == []
    device.load(new)
    assert on(device) == [("alice", 3)]


def test_a_verification_ends_where_anything_needs_the_engine_and_an_upload_goes_on(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    new = sealed(ALICE_AGAIN, 2)
    assert begin(device, new, "alice", replace=True)[0] == Code.OK
    half = struct.pack("<I", 0) + CROP.tobytes()[:100]
    for request, payload in ((Request.INFO, b""), (Request.KAT, name_of("alice"))):
        verify = tagged(device, Request.VERIFY, name_of("alice"))
        assert ask(device, Request.VERIFY, verify)[0] == Code.OK
        assert ask(device, Request.VERIFY_ROWS, half)[0] == Code.OK
        assert ask(device, request, payload)[0] == Code.OK
        assert ask(device, Request.VERIFY_ROWS, struct.pack("<I", 100) + bytes(8)) == refusal(Code.WRONG_ORDER)
        assert ask(device, Request.VERIFY_END) == refusal(Code.WRONG_ORDER)
    put(device, new)
    assert end(device) == Code.OK
    assert on(device) == [("alice", 2)]


def test_who_has_no_key_begins_nothing_in_the_name_of_who_has(device: Device) -> None:
    """A challenge that was answered is spent; one that somebody else asked for takes the place of the first."""
    device.load(sealed(ALICE, 1))
    challenge = ask(device, Request.CHALLENGE)[1:]
    message = answered(KEY, challenge, Request.VERIFY, name_of("alice"))
    ask(device, Request.CHALLENGE)
    assert ask(device, Request.VERIFY, message) == refusal(Code.NOT_ALLOWED)
    for request, n in ((Request.LOAD, 85), (Request.DELETE, 48), (Request.VERIFY, 48)):
        assert ask(device, request, bytes(n + 32)) == refusal(Code.NOT_ALLOWED)  # no challenge, and a tag of zeros
    assert ask(device, Request.VERIFY_ROWS, bytes(8)) == refusal(Code.WRONG_ORDER)
    assert on(device) == [("alice", 1)]


def test_behind_the_last_counter_nobody_comes_any_more_and_people_can_still_go(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(BOB, 1))
        device.load(sealed(ALICE, LAST))
        for counter in (1, 2, LAST):
            with pytest.raises(DeviceError, match="OLD"):
                device.load(sealed(ALICE_AGAIN, counter), replace=True)
        device.delete("alice")
        assert on(device) == [("bob", 1)]
    with board.start() as process, client(process) as device:
        assert device.info().counter == LAST
        with pytest.raises(DeviceError, match="OLD"):
            device.load(sealed(ALICE, LAST))
        assert on(device) == [("bob", 1)]
        assert healthy(process.kill())
