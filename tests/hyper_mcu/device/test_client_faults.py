"""A device on a noisy line, and one whose power is cut at any operation of flash: it keeps what it had, and nothing is
lost but time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from devices import (
    ALICE,
    ALICE_AGAIN,
    BOB,
    CROP,
    KEY,
    SMALL,
    Board,
    NoisyLine,
    client,
    healthy,
    needs_compiler,
    on,
    sealed,
)
from people import TINY, Person, known, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.client import Device

pytestmark = needs_compiler

HOW = ("before", "torn", "after")
OLD, NEW, OTHER = sealed(ALICE, 1), sealed(ALICE_AGAIN, 3), sealed(BOB, 2)


@pytest.fixture(scope="module")
def filled(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flash with two people, older and younger ones deleted."""
    folder = tmp_path_factory.mktemp("filled")
    board = Board(program, folder, *SMALL)
    with board.start() as process, client(process) as device:
        device.load(OLD)
        device.load(OTHER)
    return board.flash


@pytest.fixture
def board(board: Board, filled: Path) -> Board:
    """One with those two people in its flash."""
    shutil.copy(filled, board.flash)
    return board


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not wait for a device to come back."""
    monkeypatch.setattr("hyper_mcu.device.client.BACK", 0.0)


def whole(device: Device, p: Person) -> bool:
    """Whether a person's verdict is the oracle's."""
    want = oracle.run(p.qnet, CROP)
    return device.verify(CROP, p.name).logit == want.logit and device.known_answer(p.name)[0] > 0


@pytest.mark.parametrize("seed", range(3))
def test_lost_repeated_flipped_and_cut_bytes_cost_time_and_nothing_else(board: Board, seed: int) -> None:
    with board.start() as process:
        noise = NoisyLine(process.line, seed, rate=1 / 400)
        with Device(noise.line, KEY, patience=0.03) as device:
            device.load(NEW, replace=True)
            assert whole(device, ALICE_AGAIN)
            device.delete("bob")
            device.load(sealed(BOB, 4))
            assert on(device) == [("alice", 3), ("bob", 4)]
            assert device.verify(CROP).name in ("alice", "bob")
        noise.close()
        assert noise.faults > 10
        assert healthy(process.kill())


def cut(board: Board, k: int, how: str) -> bool:
    """Whether the power was cut at operation k of an update, after which all is as it should be, and the update goes on
    to its end."""
    with board.start("--cut", k, "--cut-how", how) as process:
        try:
            with client(process) as device:
                device.load(NEW, replace=True)
        except UserError:
            assert process.wait(10) == (-9, f"power cut at operation {k} of flash\n")
        done = process.runs
    with board.start() as process, client(process) as device:
        there = dict(on(device))
        assert there in ({"alice": 1, "bob": 2}, {"alice": 3, "bob": 2})
        assert whole(device, ALICE if there["alice"] == 1 else ALICE_AGAIN)
        assert whole(device, BOB)
        device.load(NEW, replace=True)
        assert on(device) == [("alice", 3), ("bob", 2)]
        assert whole(device, ALICE_AGAIN)
        assert healthy(process.kill())
    return not done


def cuts(program: Path, filled: Path, folder: Path, how: str, first: int, step: int) -> int:
    """Cuts every step-th operation of an update; how many there were."""
    k = first
    while True:
        board = Board(program, folder, *SMALL)
        shutil.copy(filled, board.flash)
        if not cut(board, k, how):
            return k
        k += step


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("how", HOW)
def test_power_cut_during_an_update_leaves_the_old_person_or_the_new_one(
    program: Path, filled: Path, tmp_path: Path, how: str
) -> None:
    assert cuts(program, filled, tmp_path, how, first=1 + HOW.index(how), step=23) > 100


@pytest.mark.slow
@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("how", HOW)
def test_power_cut_at_every_operation_of_an_update(program: Path, filled: Path, tmp_path: Path, how: str) -> None:
    assert cuts(program, filled, tmp_path, how, first=1, step=1) > 100


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("how", HOW)
def test_power_cut_while_deleting_leaves_the_person_or_nobody(board: Board, filled: Path, how: str) -> None:
    for k in (1, 2, 3, 4, 5, 7, 9):
        shutil.copy(filled, board.flash)
        with board.start("--cut", k, "--cut-how", how) as process:
            try:
                with client(process) as device:
                    device.delete("alice")
            except UserError:
                assert process.wait(10)[0] == -9
        with board.start() as process, client(process) as device:
            assert [e.name for e in device.people()] in (["alice", "bob"], ["bob"])
            assert whole(device, BOB)
            with pytest.raises(UserError, match="OLD"):
                device.load(sealed(ALICE_AGAIN, 2), replace=True)
            device.load(NEW, replace=True)
            assert whole(device, ALICE_AGAIN)


class Restarted:
    """A board whose power is cut again and again, and is back at once at the same port."""

    def __init__(self, board: Board, every: int) -> None:
        self._board, self._every = board, every
        self._process = board.start("--cut", every)
        self.line, self.starts, self._ends = self._process.line, 1, False
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        while True:
            self._process.wait()
            if self._ends:
                return
            port = self.line.rpartition(":")[2]
            self._process = self._board.start("--cut", self._every, line=("--tcp", port))
            self.starts += 1

    def end(self) -> None:
        self._ends = True
        while self._thread.is_alive():  # which alone waits for the processes
            self._process.cut()
            self._thread.join(0.05)


@pytest.fixture
def restarted(board: Board) -> Iterator[Restarted]:
    made = Restarted(board, every=60)
    yield made
    made.end()


def test_an_upload_goes_on_by_itself_where_the_power_was_cut(restarted: Restarted) -> None:
    told: list[int] = []
    with Device(restarted.line, KEY, patience=0.2) as device:
        device.load(NEW, replace=True, progress=lambda done, of: told.append(done))
        assert whole(device, ALICE_AGAIN)
    assert restarted.starts > 1
    assert told.count(0) == 1  # it went back by less than a unit of flash, not to its beginning
    assert all(after > before - 256 for before, after in pairwise(told))


def test_an_update_of_one_of_two_people_who_differ_in_a_threshold_alone(board: Board) -> None:
    """Whoever is replaced is replaced whole: a stricter threshold is not lost among equal weights."""
    strict = person(net(TINY), "alice", 2**31 - 1)
    assert known(strict.qnet) == ALICE.known
    with board.start() as process, client(process) as device:
        device.load(sealed(strict, 3), replace=True)
        assert not device.verify(CROP, "alice").match
