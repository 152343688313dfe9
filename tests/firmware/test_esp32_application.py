"""The ESP32 application, run: its own C and all of firmware/device, with the calls of ESP-IDF simulated over files.

No chip is emulated and nothing here was built with ESP-IDF: tests/firmware/idf/README.md.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "idf"))
from board import IDF, KEY, POWER_CUT, SECONDS, Board, build, frame, logit, owner, scene, seen, stranger

from hyper_mcu.codegen import oracle
from hyper_mcu.device import seal as sealing
from hyper_mcu.device.client import Device, layer_crcs
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.keys import ENCRYPT, Key
from hyper_mcu.device.line import LineError
from hyper_mcu.device.seal import seal

HOST = next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")
pytestmark = [
    pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH"),
    pytest.mark.skipif(sys.platform != "linux", reason="the simulation is for Linux"),
]
LIGHT = 33  # of the ESP32-CAM, on at 0 V
ON, OFF = "0", "1"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application of the ESP32-CAM, ESP-IDF 5."""
    return build(tmp_path_factory.mktemp("esp32-cam"), HOST)


@pytest.fixture
def board(program: Path, tmp_path: Path) -> Board:
    """A new board."""
    return Board(program, tmp_path / "board")


def provision(board: Board, *people: bytes) -> None:
    """The device's key and people, over the line."""
    with board.running() as device:
        device.set_key(KEY)
        for person in people:
            device.load(person)


def ada(counter: int = 1, **changed: object) -> bytes:
    """The owner, sealed for the board."""
    return seal(replace(owner(), **changed), KEY, counter, id=bytes(16))


def test_a_new_board_says_what_it_is_and_refuses_people_without_a_key(board: Board) -> None:
    with board.running() as device:
        info = device.info()
        assert (info.board, info.people, info.key, info.cipher) == ("esp32-cam", 0, 0, True)
        assert info.partition == 0x100000
        assert info.places >= 15
        assert info.stack == 8192 - 1234
        assert info.hz == 240_000_000
        assert board.pin(LIGHT) == OFF
        with pytest.raises(DeviceError) as e:
            device.load(ada())
    assert e.value.code == Code.NO_KEY


def test_key_and_person_stay_over_a_restart_and_verdicts_are_the_oracles(board: Board) -> None:
    provision(board, ada())
    with board.running() as device:
        assert [p.name for p in device.people()] == ["ada"]
        for number in (0, stranger()):
            crop = seen(scene(number))
            said = device.verify(crop, "ada")
            assert said.logit == oracle.run(owner().qnet, crop).logit
            assert said.match is (number == 0)
        device.known_answer("ada")
        with pytest.raises(DeviceError) as e:
            device.set_key(Key(9, bytes([1] * 32)))
        assert e.value.code == Code.HAS_KEY
        assert board.pin(LIGHT) == OFF  # the link opens nothing


def test_the_button_opens_to_the_owner_and_to_nobody_else(board: Board) -> None:
    provision(board, ada())
    board.show(frame(0))
    with board.running(IDF_SPEED="20") as device:
        assert not board.until(lambda: board.pin(LIGHT) == ON, 0.3)  # nobody has pressed
        assert board.press(lambda: ON in board.levels(LIGHT))
        assert board.until(lambda: board.pin(LIGHT) == OFF)  # open_ms later
        board.show(frame(stranger()))
        assert board.press(lambda: device.info().failures == 1)
        assert board.pin(LIGHT) == OFF
        board.show(frame(0)[:-2])
        assert not board.press(lambda: board.pin(LIGHT) == ON or device.info().failures > 1, 1.0)
    assert "no whole frame" in board.log


def heard_at_a_press(board: Board) -> str:
    """What a board that is started says of a press, with nobody else on its line."""
    said = ""
    with socket.create_connection(("127.0.0.1", int((board.folder / "port").read_text())), SECONDS) as line:
        time.sleep(0.1)  # the button is let go for longer than contacts bounce
        (board.folder / "press").touch()
        while not said.endswith("\n"):
            more = line.recv(4096).decode("ascii")
            assert more, said
            said += more
    (board.folder / "press").unlink()
    return said


def test_the_verdict_is_said_on_the_line(board: Board) -> None:
    provision(board, ada())
    for number, said in ((0, "ada: match"), (stranger(), "no match")):
        board.show(frame(number))
        board.start()
        told = heard_at_a_press(board)
        board.stop()
        assert told == f"{said}, logit {logit(owner(), scene(number))} of {owner().threshold}\r\n"


@pytest.mark.parametrize("app", ["selftest", "replay"])
def test_the_other_applications_are_the_other_boards(tmp_path: Path, app: str) -> None:
    board = Board(build(tmp_path / "built", HOST, app=app), tmp_path / "board")
    with board.running() as device:
        device.set_key(KEY)
        device.load(ada())
        info = device.info()
        assert (info.selftest, info.replay) == (True, app == "replay")
        if app == "replay":
            device.key = Key(KEY.number, bytes([1] * 32))
        said = device.verify(seen(scene(0)), "ada", layers=True)
        assert said.layers == layer_crcs(oracle.run(owner().qnet, seen(scene(0))))


def test_a_press_held_down_is_one_attempt(board: Board) -> None:
    provision(board, ada())
    board.show(frame(stranger()))
    with board.running() as device:
        assert board.press(lambda: device.info().failures == 1)
        assert not board.press(lambda: device.info().failures > 2, 2.0)
        assert device.info().failures == 2


def test_failures_shut_the_gate_and_a_restart_does_not_open_it(board: Board) -> None:
    provision(board, ada())
    board.show(frame(stranger()))
    with board.running(IDF_SPEED="20") as device:
        for failures in range(1, 6):
            assert board.press(lambda failures=failures: device.info().failures == failures)
    board.show(frame(0))
    with board.running() as device:
        info = device.info()
        assert (info.failures, info.wait > 20) == (5, True)
        assert not board.press(lambda: board.pin(LIGHT) == ON, 1.0)
    with board.running(IDF_SPEED="400") as device:
        assert board.until(lambda: device.info().wait == 0)
        assert board.press(lambda: device.info().failures == 0)
        assert ON in board.levels(LIGHT)


def test_frames_are_read_in_the_byte_order_that_is_set(board: Board, tmp_path: Path) -> None:
    assert seen(scene(0), "rgb565-big").tobytes() != seen(scene(0), "rgb565-little").tobytes()
    turned = build(tmp_path / "little", HOST, HYPER_MCU_RGB565_LITTLE="1")
    for program, kind in ((board.program, "rgb565-big"), (turned, "rgb565-little")):
        other = Board(program, tmp_path / kind)
        provision(other, ada())
        other.show(frame(0, kind))
        with other.running():
            assert other.press(lambda other=other: other.pin(LIGHT) == ON)


def test_challenges_differ_from_start_to_start(board: Board) -> None:
    """The chip's generator is the same after each start here; what differs is the noise that was on for the seed."""
    said = []
    for _ in range(2):
        with board.running() as device:
            said.append(device._ask("challenge", 4))
            said.append(device._ask("challenge", 4))
    assert len(set(said)) == 4


def test_without_noise_there_is_no_challenge(board: Board) -> None:
    with board.running(IDF_NO_NOISE="1") as device:
        with pytest.raises(DeviceError) as e:
            device._ask("challenge", 4)
        assert e.value.code == Code.NO_RANDOM
    assert "board: " in board.log


def test_without_a_camera_the_link_answers(board: Board) -> None:
    board.folder.mkdir()
    (board.folder / "no-camera").touch()
    provision(board, ada())
    with board.running() as device:
        assert device.verify(seen(scene(0)), "ada").match
        assert not board.press(lambda: board.pin(LIGHT) == ON, 0.5)
    assert "no camera, error 0x" in board.log


def test_broken_nvs_is_not_erased_and_no_key_is_taken(board: Board) -> None:
    provision(board, ada())
    kept = (board.folder / "nvs-hyper_mcu").read_bytes()
    assert kept == struct.pack("<I", KEY.number) + KEY.key
    (board.folder / "nvs-hyper_mcu").write_bytes(kept[:-1])
    (board.folder / "nvs-broken").touch()
    with board.running() as device:
        assert device.info().key == 0
        with pytest.raises(DeviceError):
            device.set_key(Key(9, bytes([1] * 32)))
        with pytest.raises(DeviceError):
            device.load(ada(2))
    assert (board.folder / "nvs-hyper_mcu").read_bytes() == kept[:-1]
    assert "NVS cannot be read, error 0x110d" in board.log


def test_a_missing_partition_is_named_and_nothing_opens(board: Board, tmp_path: Path) -> None:
    table = tmp_path / "partitions.csv"
    table.write_text("nvs, data, nvs, 0x9000, 0x6000,\npeople, 0x40, 0x00, 0x210000, 0x100000, encrypted\n")
    with board.running(IDF_PARTITIONS=str(table)) as device:
        assert device.info().places == 0
    assert "partition people is marked encrypted" in board.log
    table.write_text("nvs, data, nvs, 0x9000, 0x6000,\n")
    with board.running(IDF_PARTITIONS=str(table)) as device:
        assert device.info().places == 0
    assert "no partition people" in board.log


CTR = r"""
#include "mbedtls/aes.h"
#include <stdio.h>

/* stdin: key, first counter block, data. */
int main(void)
{
    static unsigned char head[48], data[1 << 16], stream[16];
    mbedtls_aes_context aes;
    size_t used = 0;
    const size_t n = fread(head, 1, sizeof head, stdin) == sizeof head ? fread(data, 1, sizeof data, stdin) : 0;
    mbedtls_aes_init(&aes);
    return mbedtls_aes_setkey_enc(&aes, head, 256) != 0 ||
           mbedtls_aes_crypt_ctr(&aes, n, &used, head + 32, stream, data, data) != 0 || fwrite(data, 1, n, stdout) != n;
}
"""


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory):
    """AES-256-CTR of the simulation, as a function of key, first counter block and data."""
    folder = tmp_path_factory.mktemp("ctr")
    (folder / "main.c").write_text(CTR, "ascii")
    words = [HOST, f"-I{IDF}", "-O1", folder / "main.c", IDF / "simulated_aes.c", "-o", folder / "ctr"]
    subprocess.run(words, check=True)

    def run(key: bytes, counter: bytes, data: bytes) -> bytes:
        return subprocess.run([folder / "ctr"], input=key + counter + data, capture_output=True, check=True).stdout

    return run


@pytest.mark.parametrize("idf", [5, 6])
def test_encrypted_people_are_decrypted_by_what_each_idf_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctr, idf: int
) -> None:
    monkeypatch.setattr(sealing, "_crypt", lambda key, nonce, data: ctr(key.derived(ENCRYPT), nonce, data))
    person = seal(owner(), KEY, 1, encrypt=True)
    assert sealing.read(person).encrypted
    board = Board(build(tmp_path / "built", HOST, defines=[f"IDF_MAJOR={idf}"]), tmp_path / "board")
    provision(board, person)
    with board.running() as device:
        assert device.verify(seen(scene(0)), "ada").logit == logit(owner(), scene(0))


def test_the_s3_eye_answers_over_its_usb(tmp_path: Path) -> None:
    board = Board(build(tmp_path / "built", HOST, "esp32-s3-eye"), tmp_path / "board")
    provision(board, ada())
    board.show(frame(0))
    with board.running() as device:
        assert device.info().board == "esp32-s3-eye"
        assert board.pin(3) == "0"
        assert board.press(lambda: board.pin(3) == "1")


def test_set_key_can_be_left_out(tmp_path: Path) -> None:
    board = Board(build(tmp_path / "built", HOST, HYPER_MCU_SET_KEY=""), tmp_path / "board")
    with board.running() as device:
        with pytest.raises(DeviceError):
            device.set_key(KEY)
        assert device.info().key == 0


OPERATIONS = 400  # more than an update has


def cut_at(board: Board, operation: int) -> bool:
    """An update of the owner, in whose operation the power fails; whether there was such an operation."""
    before, after = ada(1), ada(2, threshold=owner().threshold + 1)
    provision(board, before)
    board.start(IDF_CUT_AT=str(operation))
    cut = False
    try:
        with Device(board.line, KEY) as device:
            device._lasting = lambda work: work()  # nobody plugs it in again
            device.load(after, replace=True)
    except (LineError, OSError):
        cut = True
    if cut:
        assert board.ended() == POWER_CUT
    else:
        board.stop()
    with board.running() as device:
        said = device.verify(seen(scene(0)), "ada")
        assert said.threshold in (owner().threshold, owner().threshold + 1)
        assert said.match is (said.threshold == owner().threshold)
        if not cut:
            assert said.threshold == owner().threshold + 1
        device.load(after, replace=True)  # and it goes on from there
        assert device.verify(seen(scene(0)), "ada").threshold == owner().threshold + 1
        assert len(device.people()) == 1
    return cut


@pytest.mark.parametrize("operation", [1, 2, 5, 12, 20])
def test_power_may_fail_during_an_update(board: Board, operation: int) -> None:
    assert cut_at(board, operation)


@pytest.mark.slow
def test_power_may_fail_at_each_operation_of_an_update(program: Path, tmp_path: Path) -> None:
    cuts = 0
    while cut_at(Board(program, tmp_path / f"board{cuts}"), cuts + 1):
        cuts += 1
        assert cuts < OPERATIONS
    assert cuts > 10
