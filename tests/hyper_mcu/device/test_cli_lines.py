"""Lines that fail, as a user meets them: no device, a silent one, a port that is held, a cable pulled; and monitor."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from devices import Board, Told, compiled, needs_compiler
from enrolled import Command, Refused

from hyper_mcu.cli.monitor import Ear
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device.frames import Frame, encode
from hyper_mcu.device.line import Line, SerialLine, TerminalLine

pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")


def test_without_a_device_the_message_says_what_to_do(files: Path, refused: Refused, tmp_path: Path) -> None:
    gone = tmp_path / "ttyUSB0"
    said = refused("people", "list", "--port", gone)
    assert said.startswith(f"{gone}: no such port; plug the board in")
    said = refused("send", files / "alice.bin", "--port", "tcp:127.0.0.1:9", "--key", files / "key.json")
    assert said.startswith("tcp:127.0.0.1:9: cannot be opened")
    said = refused("monitor", "--port", gone)
    assert said.startswith(f"{gone}: no such port; plug the board in")


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("", "--port: no port's name; expected a serial port, auto, or tcp:HOST:PORT, got an empty one"),
        ("/dev/null", "/dev/null: no serial port; expected one of those that hyper-mcu boards --ports lists, got "),
        ("tcp:.:4000", "tcp:.:4000: not the name of a line; expected tcp:HOST:PORT, got tcp:.:4000"),
        ("tcp:" + 64 * "a" + ":1", ": not the name of a line; expected tcp:HOST:PORT"),
        ("tcp:127.0.0.1:²", "tcp:127.0.0.1:²: not the name of a line; expected tcp:HOST:PORT"),
    ],
    ids=["none", "no terminal", "dot", "long", "digit"],
)
def test_what_is_no_port_is_said_in_one_line(refused: Refused, port: str, said: str) -> None:
    assert said in refused("people", "list", "--port", port)


def test_a_line_on_which_nothing_answers_has_its_remedy(refused: Refused) -> None:
    ours, theirs = pty.openpty()
    try:
        said = refused("people", "list", "--port", os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)
    assert "no answer; does it run this firmware (hyper-mcu flash)?" in said


@pytest.mark.parametrize("first", [TerminalLine, lambda name: SerialLine(name, 115_200)])
@pytest.mark.parametrize("second", [TerminalLine, lambda name: SerialLine(name, 115_200)])
def test_a_port_that_is_held_is_busy_and_named(first: Callable[[str], Line], second: Callable[[str], Line]) -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    held = first(name)
    try:
        with pytest.raises(UserError) as e:
            second(name)
    finally:
        held.close()
        os.close(ours)
        os.close(theirs)
    assert (e.value.where, e.value.what) == (name, "busy")
    assert f"fuser -v {name} names it" in e.value.expected


class Unplugged:
    """A line that is cut once, when so many bytes have gone to the device, and is plugged in again."""

    def __init__(self, device: str, after: int) -> None:
        self._device, self._left = ("127.0.0.1", int(device.rpartition(":")[2])), after
        self._server = socket.create_server(("127.0.0.1", 0))
        self.line = f"tcp:127.0.0.1:{self._server.getsockname()[1]}"
        self.sent: list[int] = []  # bytes to the device, by connection
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                here, there = self._server.accept()[0], socket.create_connection(self._device)
            except OSError:
                return
            self.sent.append(0)
            threading.Thread(target=self._back, args=(there, here), daemon=True).start()
            self._forth(here, there, self._left if len(self.sent) == 1 else 1 << 30)
            for end in (here, there):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # which a close beside a blocked read is not
                end.close()

    def _forth(self, here: socket.socket, there: socket.socket, most: int) -> None:
        try:
            while self.sent[-1] < most and (data := here.recv(min(most - self.sent[-1], 4096))):
                there.sendall(data)
                self.sent[-1] += len(data)
        except OSError:
            return

    def _back(self, there: socket.socket, here: socket.socket) -> None:
        try:
            while data := there.recv(4096):
                here.sendall(data)
        except OSError:
            return


@needs_compiler
def test_sending_goes_on_after_unplugging(tmp_path: Path, files: Path, told: Told) -> None:
    nano = seeded(preset("nano"))  # four parts
    (tmp_path / "nano.bin").write_bytes(pack(nano))
    with Board(compiled(tmp_path, nano), tmp_path, "--unit", 256, "--units", 80).start() as device:
        unplugged = Unplugged(device.line, 2500)  # in the third part
        try:
            said = told("send", tmp_path / "nano.bin", "--port", unplugged.line, "--key", files / "key.json")
        finally:
            unplugged.close()
        assert said["counter"] == 1
        assert len(unplugged.sent) == 2
        assert unplugged.sent[1] < said["bytes"]  # what was there was not sent again
        assert [e["name"] for e in told("people", "list", "--port", device.line)["people"]] == [nano.name]


def test_monitor_shows_frames_and_text(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    noise = b"hyper-mcu on host: ready\r\n" + encode(Frame(0x82, 7, b"\0abc")) + b"\xffbad\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        there: list[socket.socket] = []

        def speak() -> None:
            there.append(server.accept()[0])
            there[0].sendall(noise)

        for words, shown in ((("--json",), ""), ((), "◄ INFO 7: 4 bytes 00616263")):
            there.clear()
            speaker = threading.Thread(target=speak)
            speaker.start()
            at = f"tcp:127.0.0.1:{server.getsockname()[1]}"
            capsys.readouterr()
            assert command("monitor", "--port", at, "--seconds", 1, *words) == 0
            speaker.join()
            there[0].close()
            out = capsys.readouterr().out
            if not words:
                first, second, third = out.splitlines()
                assert first.endswith("  hyper-mcu on host: ready")
                assert second.endswith(shown)
                assert third.endswith("  \\xffbad")
                continue
            heard = [json.loads(line) for line in out.splitlines()]
            assert {h.pop("schema_version") for h in heard} == {1}
            assert all(0 <= h.pop("seconds") < 5 for h in heard)
            frame = {"request": "INFO", "response": True, "sequence": 7, "payload": "00616263"}
            assert heard == [
                {"text": "hyper-mcu on host: ready", "frame": None},
                {"text": None, "frame": frame},
                {"text": "\\xffbad", "frame": None},
            ]


def test_lines_are_heard_as_they_end_and_frames_whole_in_whatever_pieces() -> None:
    frames = [Frame(kind, 49, b"1\n2\n" + bytes(n)) for kind in (9, 10, 13, 0x8A) for n in range(60)]
    for size in (1, 2, 7, 1000):
        ear = Ear()
        said = b"".join(encode(f) for f in frames)
        heard = [h for i in range(0, len(said), size) for h in ear.feed(said[i : i + size])]
        assert heard == frames
        assert ear.feed(b"light on\r\nlight") == ["light on"]
        assert ear.feed(b" off\n") == ["light off"]
    assert ear.feed(b"\xff" * 5000) != []  # nothing is kept for ever
    assert ear.rest() == []
