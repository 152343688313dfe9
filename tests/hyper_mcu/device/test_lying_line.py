"""Somebody on the wire who has no key and changes what a device says: the host neither hangs nor ends in a traceback,
and what is stored stays as it was."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from devices import ALICE, CROP, KEY, SMALL, Board, Told, client, needs_compiler, on, sealed
from enrolled import Refused

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.client import Device
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.keys import Key
from hyper_mcu.device.line import LineError
from hyper_mcu.device.process import Process

pytestmark = needs_compiler

COUNTER = 2 + 11 * 4  # where an answer to INFO has the highest counter


@pytest.fixture
def honest(process: Process) -> str:
    """The line of a device with one person."""
    with client(process) as d:
        d.load(sealed(ALICE, 1))
    return process.line


class LyingLine:
    """Between a host and a device. lie: what becomes of an answer, behind its code, by its request."""

    def __init__(self, device: str, lie: Callable[[int, bytes], bytes]) -> None:
        self._device, self._lie = ("127.0.0.1", int(device.rpartition(":")[2])), lie
        self._server = socket.create_server(("127.0.0.1", 0))
        self.line = f"tcp:127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> LyingLine:
        return self

    def __exit__(self, *fault: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        try:
            while True:
                here, _ = self._server.accept()
                with here, socket.create_connection(self._device) as there:
                    threading.Thread(target=self._answers, args=(there, here), daemon=True).start()
                    while data := here.recv(4096):
                        there.sendall(data)
                    there.shutdown(socket.SHUT_RDWR)  # else it stays open for who still reads
        except OSError:
            return

    def _answers(self, there: socket.socket, here: socket.socket) -> None:
        receiver = Receiver()
        try:
            while data := there.recv(4096):
                for f in receiver.feed(data):
                    code, said = f.payload[:1], f.payload[1:]
                    here.sendall(encode(Frame(f.type, f.sequence, code + self._lie(f.type - RESPONSE, said))))
        except OSError:
            return


def instead(request: Request, change: Callable[[bytes], bytes]) -> Callable[[int, bytes], bytes]:
    return lambda kind, said: change(said) if kind == request else said


LIES: dict[str, tuple[Callable[[int, bytes], bytes], Callable[[Device], object]]] = {
    "a part that never goes on": (
        instead(Request.LOAD_PART, lambda said: bytes(4)),
        lambda d: d.load(sealed(ALICE, 2), replace=True),
    ),
    "a part that went too far": (
        instead(Request.LOAD_PART, lambda said: b"\xff" * 4),
        lambda d: d.load(sealed(ALICE, 2), replace=True),
    ),
    "rows that never go on": (instead(Request.VERIFY_ROWS, lambda said: bytes(4)), lambda d: d.verify(CROP, "alice")),
    "images for four thousand million people": (
        instead(Request.VERIFY, lambda said: b"\xff" * 4 + said[4:]),
        lambda d: d.verify(CROP, "alice"),
    ),
    "nobody to be asked": (
        instead(Request.VERIFY, lambda said: bytes(4) + said[4:]),
        lambda d: d.verify(CROP, "alice"),
    ),
    "a match below the threshold": (
        instead(Request.VERIFY_END, lambda said: struct.pack("<Iii", 0x5AC369A5, 1, 2) + said[12:]),
        lambda d: d.verify(CROP, "alice"),
    ),
    "a list of places without an end": (
        instead(Request.LIST, lambda said: b"\xff" * 4 + struct.pack("<I", 1)),
        Device.people,
    ),
    "an entry cut short": (instead(Request.LIST, lambda said: said[:-3]), Device.people),
    "a challenge that makes the answer another request's": (
        instead(Request.CHALLENGE, lambda said: said + bytes(37)),
        lambda d: d.delete("alice"),
    ),
    "four thousand million layers": (
        instead(Request.LAYERS, lambda said: b"\xff" * 4 + said[4:]),
        lambda d: d.verify(CROP, "alice", layers=True),
    ),
    "an answer without anything": (instead(Request.INFO, lambda said: b""), Device.info),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_an_error_in_one_line(honest: str, lie: str) -> None:
    lies, call = LIES[lie]
    with (
        LyingLine(honest, lies) as line,
        Device(line.line, KEY, patience=0.2) as d,
        pytest.raises(UserError) as e,
    ):
        call(d)
    assert "\n" not in str(e.value)
    with Device(honest, KEY, patience=0.2) as d:
        assert on(d) == [("alice", 1)]


def lost(request: Request) -> Callable[[int, bytes], bytes]:
    """The first answer to it is lost, and the line with it."""
    left = [request]

    def lie(kind: int, said: bytes) -> bytes:
        if kind in left:
            left.clear()
            raise ConnectionResetError
        return said

    return lie


def test_a_deletion_that_was_never_asked_for_is_not_taken_for_done(honest: str) -> None:
    with (
        LyingLine(honest, lost(Request.CHALLENGE)) as line,
        Device(line.line, KEY, patience=0.1) as d,
        pytest.raises(DeviceError) as e,
    ):
        d.delete("alcie")
    assert e.value.code == Code.NO_PERSON


def test_a_deletion_whose_answer_was_lost_is_done(honest: str) -> None:
    with LyingLine(honest, lost(Request.DELETE)) as line, Device(line.line, KEY, patience=0.1) as d:
        d.delete("alice")
        assert on(d) == []


@pytest.mark.parametrize("other", [None, Key(KEY.number, bytes([1] * 32))], ids=["ours", "another's"])
def test_a_key_whose_answer_was_lost_is_known_again(program: Path, tmp_path: Path, other: Key | None) -> None:
    board = Board(program, tmp_path, *SMALL, key=None)
    with board.start() as process:
        if other:
            with client(process, None) as d:
                d.set_key(other)
        with LyingLine(process.line, lost(Request.SET_KEY)) as line, Device(line.line, patience=0.1) as d:
            if other:
                with pytest.raises(DeviceError) as e:
                    d.set_key(KEY)
                assert e.value.code == Code.HAS_KEY
            else:
                d.set_key(KEY)
                d.load(sealed(ALICE, 1))


def test_an_echo_of_something_else_is_no_device(honest: str) -> None:
    with (
        LyingLine(honest, instead(Request.PING, lambda said: said[::-1])) as line,
        pytest.raises(LineError, match="no device of hyper-mcu"),
    ):
        Device(line.line, KEY, patience=0.2)


def test_a_counter_that_is_made_up_leaves_the_device_its_numbers(honest: str, files: Path, refused: Refused) -> None:
    made_up = struct.pack("<I", 2**32 - 2)
    lies = instead(Request.INFO, lambda said: said[:COUNTER] + made_up + said[COUNTER + 4 :])
    with LyingLine(honest, lies) as line:
        words = ("--port", line.line, "--key", files / "key.json", "--replace")
        assert "a counter that no device comes to by what is sent" in refused("send", files / "alice.bin", *words)
    with Device(honest, KEY, patience=0.2) as d:
        assert d.info().counter == 1


def test_names_that_a_terminal_would_obey_are_spelt_out(honest: str, told: Told) -> None:
    name = b"\x1b]0;owned\x07".ljust(48, b"\0")
    lies = instead(Request.LIST, lambda said: said[:12] + name + said[60:])
    with LyingLine(honest, lies) as line:
        people = told("people", "list", "--port", line.line)["people"]
        assert [p["name"] for p in people] == [r"\x1b]0;owned\x07"]
        assert "\x1b" not in json.dumps(people)
