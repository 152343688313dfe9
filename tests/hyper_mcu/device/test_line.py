"""Lines to a device by their names: a serial port through pyserial, at the rate that the device answers at."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.device import line
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.line import LineError, SerialLine, TerminalLine, connect, open_line

needs_pyserial = pytest.mark.skipif(find_spec("serial") is None, reason="needs hyper-mcu[device]: pyserial")
SPEEDS = {115200: termios.B115200, 57600: termios.B57600, 9600: termios.B9600}


class Port:
    """A serial port at whose other end something echoes PINGs, and hears noise at every rate but its own."""

    def __init__(self, rate: int) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.name, self._rate, self._ends = os.ttyname(self._slave), SPEEDS[rate], False
        self.heard: set[int] = set()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        receiver = Receiver()
        while not self._ends:
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            data = os.read(self._master, 4096)
            speed = termios.tcgetattr(self._slave)[4]
            self.heard.add(speed)
            if speed != self._rate:
                data = bytes(b ^ 0x5A for b in data)
            for frame in receiver.feed(data):
                answer = Frame(frame.type | RESPONSE, frame.sequence, b"\0" + frame.payload)
                os.write(self._master, encode(answer))

    def close(self) -> None:
        self._ends = True
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def serial_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pseudo-terminals are opened as serial ports are."""
    monkeypatch.setattr(line, "open_line", SerialLine)


@pytest.fixture(params=[115200, 9600])
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    made = Port(request.param)
    yield made
    made.close()


@needs_pyserial
@pytest.mark.usefixtures("serial_ports")
def test_the_rate_at_which_a_device_answers_is_found(port: Port) -> None:
    talk = connect(port.name, (115200, 57600, 9600), patience=0.1)
    assert talk.ask(Request.PING, b"hello") == b"\0hello"
    talk.close()
    assert port.heard == {s for rate, s in SPEEDS.items() if s == port._rate or port._rate != SPEEDS[115200]}


@needs_pyserial
@pytest.mark.usefixtures("serial_ports")
def test_a_device_that_answers_at_no_rate_is_told(port: Port) -> None:
    port._rate = -1
    with pytest.raises(LineError, match="no answer; does it run this firmware") as e:
        connect(port.name, (115200, 9600), patience=0.02)
    assert "\n" not in str(e.value)


@needs_pyserial
def test_a_serial_port_that_is_not_there_is_told_with_the_remedy() -> None:
    with pytest.raises(UserError, match="no such port; plug the board in"):
        open_line("/dev/ttyUSB_of_nobody")


def test_without_pyserial_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MissingToolError, match=r"no pyserial; expected .*pip install .*device"):
        open_line("/dev/ttyUSB0")


def test_a_file_is_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="expected a terminal"):
        TerminalLine(str(tmp_path / "file"))


@pytest.mark.parametrize("name", ["tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp::80", "tcp:localhost:70000"])
def test_a_name_of_no_line_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"expected tcp:HOST:PORT"):
        open_line(name)
