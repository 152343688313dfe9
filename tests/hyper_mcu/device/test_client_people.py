"""People on a device from the host's side, against the real one as a process: sent, listed, replaced, deleted."""

from __future__ import annotations

import pytest
from devices import ALICE, ALICE_AGAIN, BOB, Board, client, healthy, needs_compiler, on, sealed
from exchange import check, saying
from people import TINY, net, person

from hyper_mcu.device.client import Device
from hyper_mcu.device.codes import Code, DeviceError

pytestmark = needs_compiler


@pytest.mark.parametrize("line", [("--tcp", "0"), ()], ids=["tcp", "pseudo-terminal"])
def test_two_people_are_sent_listed_asked_replaced_and_deleted(board: Board, line: tuple[str, ...]) -> None:
    told = []
    with board.start(line=line) as process, client(process) as device:
        assert device.ping() > 0
        device.load(sealed(ALICE, 1), progress=lambda done, of: told.append((done, of)))
        device.load(sealed(BOB, 2))
        assert on(device) == [("alice", 1), ("bob", 2)]
        check(device, ALICE)
        check(device, BOB)
        assert device.known_answer("bob")[0] > 0
        device.load(sealed(ALICE_AGAIN, 3), replace=True)
        check(device, ALICE_AGAIN)
        check(device, BOB)
        device.delete("alice")
        assert on(device) == [("bob", 2)]
        assert healthy(process.kill())
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]


def test_people_are_there_after_a_restart(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    with board.start() as process, client(process) as device:
        assert on(device) == [("alice", 1)]
        check(device, ALICE)


def test_a_name_that_is_taken_needs_the_word_replace(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    with pytest.raises(DeviceError, match=saying(Code.NAME_TAKEN)):
        device.load(sealed(ALICE_AGAIN, 2))
    check(device, ALICE)


def test_the_very_same_person_sent_again_is_there_already(device: Device) -> None:
    whole, told = sealed(ALICE, 1), []
    device.load(whole)
    device.load(whole, progress=lambda done, of: told.append(done))
    assert told == [len(whole)]
    assert on(device) == [("alice", 1)]


def test_a_full_partition_takes_nobody_else_until_somebody_goes(device: Device) -> None:
    places = device.info().places
    names = [f"p{i}" for i in range(places + 1)]
    for counter, name in enumerate(names[:-1], 1):
        device.load(sealed(person(net(TINY), name), counter))
    with pytest.raises(DeviceError, match=saying(Code.FULL)):
        device.load(sealed(person(net(TINY), names[-1]), 99))
    assert [name for name, _ in on(device)] == names[:-1]
    device.delete("p0")
    device.load(sealed(person(net(TINY), names[-1]), 100))
    assert {name for name, _ in on(device)} == set(names[1:])


@pytest.mark.parametrize("name", ["", "1st", "a b", "a" * 48])
def test_a_name_that_is_none_is_refused(device: Device, name: str) -> None:
    with pytest.raises(DeviceError, match=saying(Code.WRONG_VALUE)):
        device.load(sealed(ALICE, 1), name=name)
    with pytest.raises(DeviceError, match=saying(Code.WRONG_VALUE)):
        device.delete(name)
