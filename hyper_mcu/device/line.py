"""The line to a device: a serial port, a pseudo-terminal or `tcp:HOST:PORT`; and requests over it, asked again with the
same sequence number until they are answered, which the device does not execute twice."""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import select
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.remedies import SILENT, SILENT_TCP, cannot_open

RATES = (115200, 57600, 38400, 9600)  # bits a second: the ports' own first, then what a long cable may want
TRIES = 6  # of each request
SECONDS = 1.0  # until it is asked again
GREETINGS = 32  # answers to others' requests, which may be on their way, before the echo
_CHUNK = 4096


class LineError(UserError):
    """The line is gone, or nothing answers on it; another attempt may find it again."""


class Line(Protocol):
    """Bytes to and from a device. Raises LineError where it is gone."""

    name: str

    def read(self, seconds: float) -> bytes:
        """What came, at least one byte, or b"" where nothing did for so long."""

    def write(self, data: bytes) -> None:
        """Sends all of it."""

    def close(self) -> None:
        """May be called twice."""


def _gone(name: str, why: object) -> LineError:
    return LineError(name, "the line is gone; plug the board in again", "a device on it", why)


class TcpLine:
    """`tcp:HOST:PORT`."""

    def __init__(self, name: str, seconds: float = 5.0) -> None:
        self.name = name
        host, _, port = name.removeprefix("tcp:").rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
            raise UserError(name, "not the name of a line", "tcp:HOST:PORT", name)
        try:
            self._socket = socket.create_connection((host, int(port)), seconds)
        except UnicodeError as e:  # of a name that IDNA does not have
            raise UserError(name, "not the name of a line", "tcp:HOST:PORT", name) from e
        except OSError as e:
            raise LineError(
                name, "cannot be opened", "a device that listens there", (e.strerror or str(e)).lower()
            ) from e
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, seconds: float) -> bytes:
        self._socket.settimeout(max(seconds, 0.001))
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return b""
        except OSError as e:
            raise _gone(self.name, (e.strerror or str(e)).lower()) from e
        if not data:
            raise _gone(self.name, "closed by the other side")
        return data

    def write(self, data: bytes) -> None:
        self._socket.settimeout(5)
        try:
            self._socket.sendall(data)
        except OSError as e:
            raise _gone(self.name, (e.strerror or str(e)).lower()) from e

    def close(self) -> None:
        self._socket.close()


class TerminalLine:
    """A pseudo-terminal, which has no rate: what the device's host port is on, or a bridge such as socat's."""

    def __init__(self, name: str) -> None:
        import fcntl
        import termios
        import tty

        self.name = name
        try:
            self._file = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as e:
            raise cannot_open(name, e) from e
        try:
            fcntl.flock(
                self._file, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # as pyserial's `exclusive`: two would share the bytes
        except OSError as e:
            self.close()
            raise cannot_open(name, e) from e
        try:
            tty.setraw(self._file)
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except termios.error as e:
            self.close()
            raise UserError(name, "cannot be opened", "a terminal", str(e.args[-1]).lower()) from e

    def read(self, seconds: float) -> bytes:
        try:
            if not select.select([self._file], [], [], max(seconds, 0))[0]:
                return b""
            data = os.read(self._file, _CHUNK)
        except (OSError, ValueError) as e:
            raise _gone(self.name, str(e).lower()) from e
        if not data:
            raise _gone(self.name, "closed by the other side")
        return data

    def write(self, data: bytes) -> None:
        try:
            while data:
                if not select.select([], [self._file], [], 5)[1]:
                    raise _gone(self.name, "nobody takes what is sent")
                data = data[os.write(self._file, data) :]
        except (OSError, ValueError) as e:
            raise _gone(self.name, str(e).lower()) from e

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


class SerialLine:
    """A serial port, by pyserial."""

    def __init__(self, name: str, rate: int) -> None:
        self.name = name
        try:
            serial: Any = importlib.import_module("serial")
        except ImportError as e:
            raise MissingToolError(name, "no pyserial", install.extra("device"), "none") from e
        self._port = serial.Serial(None, rate, timeout=0, write_timeout=5, exclusive=True)
        self._port.port = name
        self._port.dtr = self._port.rts = False  # else opening the port resets many boards, or keeps them in boot mode
        try:
            self._port.open()
        except OSError as e:  # serial.SerialException is one
            raise cannot_open(name, e) from e

    def read(self, seconds: float) -> bytes:
        try:
            self._port.timeout = max(seconds, 0)
            first: bytes = self._port.read(1)
            return first + (self._port.read(self._port.in_waiting) if first else b"")
        except OSError as e:
            raise _gone(self.name, str(e).lower()) from e

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as e:
            raise _gone(self.name, str(e).lower()) from e

    def close(self) -> None:
        self._port.close()


def open_line(name: str, rate: int = RATES[0]) -> Line:
    """The line of that name; raises UserError with the remedy, MissingToolError where a serial port needs pyserial."""
    if name.startswith("tcp:"):
        return TcpLine(name)
    if os.name == "posix" and os.path.realpath(name).startswith("/dev/pts/"):
        return TerminalLine(name)
    return SerialLine(name, rate)


class Talk:
    """Requests and their responses over an open line. patience: what SECONDS and the like are multiplied by."""

    def __init__(self, line: Line, patience: float = 1.0) -> None:
        self.line = line
        self.patience = patience
        self.asked_again = 0  # requests that were sent more than once, for who wants to know how good the line is
        self._receiver = Receiver()
        self._sequence = secrets.randbelow(256)

    def ask(self, request: Request, payload: bytes = b"", *, seconds: float = SECONDS, tries: int = TRIES) -> bytes:
        """The payload of the response. Raises LineError where none comes within `tries` times `seconds`."""
        self._sequence = (self._sequence + 1) % 256
        frame = encode(Frame(request, self._sequence, payload))
        for attempt in range(tries):
            self.asked_again += attempt > 0
            self.line.write(frame)
            if (said := self._answer(request, seconds * self.patience)) is not None:
                return said
        waited = f"nothing in {tries * seconds * self.patience:.1f} s"
        why = SILENT_TCP if isinstance(self.line, TcpLine) else SILENT
        raise LineError(self.line.name, f"no answer; {why}", "an answer", waited)

    def _answer(self, request: Request, seconds: float) -> bytes | None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for frame in self._receiver.feed(self.line.read(left)):
                if (frame.type, frame.sequence) == (request | RESPONSE, self._sequence) and frame.payload:
                    return frame.payload
        return None

    def greet(self, tries: int) -> None:
        """Asks until the device echoes random bytes: then both are at the same request. Raises LineError."""
        for _ in range(GREETINGS):
            said = secrets.token_bytes(8)
            if (heard := self.ask(Request.PING, said, seconds=0.5, tries=tries)) == b"\0" + said:
                return
        raise LineError(self.line.name, "no device of hyper-mcu", "an echo of what it is sent", heard[:16].hex())

    def close(self) -> None:
        self.line.close()


def connect(name: str, rates: Sequence[int] = RATES, patience: float = 1.0) -> Talk:
    """Opens a line and finds the rate that a device answers at, `rates` in order; a line without a rate is tried once.

    Raises UserError where it cannot be opened, LineError where nothing answers.
    """
    for i, rate in enumerate(rates):
        line = open_line(name, rate)
        talk = Talk(line, patience)
        try:
            talk.greet(tries=8 if i == 0 else 3)  # a board that has just been plugged in takes its time
            return talk
        except LineError:
            with contextlib.suppress(LineError):
                line.close()
            if not isinstance(line, SerialLine) or i == len(rates) - 1:
                raise
        except BaseException:
            line.close()
            raise
    raise UserError(name, "no rate to try", "one at least", "none")
