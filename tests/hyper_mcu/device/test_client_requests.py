"""Requests to a device one by one: what it says of itself, twice, out of order, of another form; and no answer."""

from __future__ import annotations

import socket
import struct

import pytest
from devices import ALICE, KEY, Board, client, needs_compiler, sealed
from exchange import TEXTS, ask, name_of, refusal
from people import TINY

from hyper_mcu.codegen.layout import ABI, architecture
from hyper_mcu.device.client import Device
from hyper_mcu.device.codes import MOST_TEXT, Code, DeviceError
from hyper_mcu.device.frames import Frame, Receiver, Request, encode
from hyper_mcu.device.line import LineError, open_line

pytestmark = needs_compiler


def test_info_is_what_was_built(device: Device) -> None:
    device.load(sealed(ALICE, 5))
    info = device.info()
    assert (info.abi, info.architecture, info.layers) == (ABI, architecture(TINY), len(TINY.stages))
    assert (info.protocol, info.replay, info.selftest, info.board) == (1, True, True, "host")
    assert (info.people, info.free, info.counter, info.key) == (1, info.places - 1, 5, KEY.number)
    assert (info.partition, info.failures, info.wait) == (40 * 256, 0, 0)
    assert info.largest >= len(sealed(ALICE, 5))


def test_every_code_has_words_that_a_line_of_a_terminal_holds() -> None:
    assert set(TEXTS) == {code.name for code in Code}
    assert all(text.isascii() and text.isprintable() and 0 < len(text) <= MOST_TEXT for text in TEXTS.values())


def test_a_code_that_the_host_does_not_know_is_told_in_the_devices_own_words(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = str(DeviceError("port", 200, "sending", b"no \x1b[2Jbattery\n" + bytes(100)))
    assert told.startswith(f'port: sending: the device says "no ?[2Jbattery{"?" * 66}";')
    assert told.endswith("; expected firmware of this version, got unknown (200)")
    assert "an answer of no known meaning" in str(DeviceError("port", 200, "sending"))
    monkeypatch.setattr(device.talk, "ask", lambda *_, **__: b"\xc8a flat battery")
    with pytest.raises(DeviceError, match=r'info: the device says "a flat battery"; expected .*, got unknown'):
        device.info()


def test_a_request_that_comes_twice_is_executed_once(board: Board) -> None:
    with board.start() as process:
        line = open_line(process.line)
        frame, receiver, said = encode(Frame(Request.CHALLENGE, 7)), Receiver(), list[Frame]()
        line.write(frame + frame[1:] + b"console text\r\n" + frame)
        while len(said) < 3:
            said += receiver.feed(line.read(5))
        assert said[0] == said[1] == said[2]
        line.write(encode(Frame(Request.CHALLENGE, 8)))
        while len(said) < 4:
            said += receiver.feed(line.read(5))
        assert said[3].payload != said[0].payload
        line.close()


def test_requests_out_of_order_or_of_another_form_are_refused(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    for request in (Request.LOAD_END, Request.VERIFY_END):
        assert ask(device, request) == refusal(Code.WRONG_ORDER)
    for request in (Request.LOAD_PART, Request.VERIFY_ROWS):
        assert ask(device, request, bytes(8)) == refusal(Code.WRONG_ORDER)
    for request in (Request.LAYERS, Request.PROFILE):
        assert ask(device, request, bytes(4)) == refusal(Code.WRONG_ORDER)
    for request in (0, 16, 127):
        assert ask(device, request) == refusal(Code.UNKNOWN)
    for request in set(Request) - {Request.PING, Request.LOAD_PART, Request.VERIFY_ROWS}:
        assert ask(device, request, bytes(777)) == refusal(Code.WRONG_LENGTH)
    ask(device, Request.VERIFY, name_of("alice"))
    assert ask(device, Request.VERIFY_ROWS, struct.pack("<I", 8)) == refusal(Code.WRONG_OFFSET, bytes(4))
    assert ask(device, Request.KAT, name_of("alice"))[0] == Code.OK
    assert ask(device, Request.VERIFY_ROWS, bytes(8)) == refusal(Code.WRONG_ORDER)  # the self-test ended it


def test_an_unplugged_device_is_told_in_one_line(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyper_mcu.device.client.BACK", 0.5)
    with board.start() as process, client(process) as device:
        process.kill()
        with pytest.raises(LineError, match="expected a device") as e:
            device.info()
        assert "\n" not in str(e.value)
    with pytest.raises(LineError, match="cannot be opened"):
        Device(process.line)


def test_a_line_on_which_nobody_answers_is_told_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(LineError, match="no answer; does it run this firmware"):
            Device(name, patience=0.02)
