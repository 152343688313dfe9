"""A board in QEMU: its real image, its line on TCP, its flash in a file that is there again after a power cut."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.targets import ARM
from hyper_mcu.device.boards import Board

FLASH = "hm-flash.bin"  # of firmware/ports/cortex_m/flash_file.c
POWER_CUT = 87  # exit code of an emulated board whose power failed
FAULT = 82
BY_HAND = "tcp:127.0.0.1:4000"  # the line of what `by_hand` starts
_SERVED = "enable=on,target=native"


def by_hand(board: Board, program: str) -> str:
    """The shell's command that starts a board which is a program of this machine, with its line at BY_HAND; its flash
    is in files of the current folder. "" for a board of its own."""
    if board.build == "host":
        return f"{program} --tcp 4000 --flash hm-flash.bin --key hm-key.bin"
    if not board.emulator:
        return ""
    words = [*board.emulator, "-display", "none", "-monitor", "none", "-kernel", program]
    if "semihosting" not in board.serial:
        words += ["-serial", "tcp:127.0.0.1:4000,server=on,wait=on", "-semihosting-config", _SERVED]
        return shlex.join(words)
    # QEMU has no network for this line; socat starts the board anew for each connection, one at a time, as they share
    # the file of its flash
    words += ["-serial", "none", "-semihosting-config", _SERVED.replace(",", "\\,")]
    return f"socat TCP-LISTEN:4000,bind=127.0.0.1,reuseaddr,fork,max-children=1 EXEC:'{' '.join(words)}'"


class Emulated:
    """A running board. line: the name of its line, for `client.Device`; it starts when that is opened, so that nothing
    it says is lost. folder: where the file of its flash is."""

    def __init__(self, board: Board, program: Path, folder: Path) -> None:
        """Starts it; raises MissingToolError where there is no QEMU."""
        if not board.emulator:
            raise UserError("--board", "not emulated", "an emulated board", board.name)
        if not shutil.which(board.emulator[0]):
            raise MissingToolError(board.name, "no emulator found", ARM.qemu.place, "none")
        self._relay: _Relay | None = None
        quiet = ["-display", "none", "-monitor", "none", "-kernel", str(program.absolute())]
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.line = f"tcp:127.0.0.1:{server.getsockname()[1]}"
            if "semihosting" in board.serial:
                words = [*board.emulator, *quiet, "-serial", "none", "-semihosting-config", _SERVED]
                self._process = self._start(words, folder, subprocess.PIPE, ())
                self._relay = _Relay(self._process, server.dup())
            else:
                listening = f"socket,id=line,fd={server.fileno()},server=on,wait=on"
                words = [*board.emulator, *quiet, "-chardev", listening, "-serial", "chardev:line"]
                words += ["-semihosting-config", _SERVED]
                self._process = self._start(words, folder, subprocess.DEVNULL, (server.fileno(),))

    def _start(self, words: list[str], folder: Path, pipe: int, keep: tuple[int, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words, cwd=folder, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0, pass_fds=keep
        )

    def __enter__(self) -> Emulated:
        return self

    def __exit__(self, *fault: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Ends it as a power cut does. May be called twice."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._relay:
            self._relay.close()

    def wait(self, seconds: float | None = None) -> int:
        """Waits for its end; exit code: POWER_CUT, FAULT, below 0 for a signal. Raises UserError where it does not."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise UserError(self.line, "the emulator did not end", f"its end within {seconds:g} s", "none") from e


class _Relay:
    """Between TCP and an emulator whose line is its stdin and stdout: one connection at a time."""

    def __init__(self, process: subprocess.Popen[bytes], server: socket.socket) -> None:
        self._process, self._server = process, server
        self._here: socket.socket | None = None
        self._somebody = threading.Event()
        threading.Thread(target=self._in, daemon=True).start()
        threading.Thread(target=self._out, daemon=True).start()

    def _in(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):
            while True:
                self._here = self._server.accept()[0]
                self._somebody.set()
                with contextlib.suppress(ConnectionError):
                    while data := self._here.recv(4096):
                        self._process.stdin.write(data)
                self._here.close()

    def _out(self) -> None:
        assert self._process.stdout
        self._somebody.wait()
        while data := self._process.stdout.read(4096):
            with contextlib.suppress(OSError, AttributeError):
                self._here.sendall(data)  # type: ignore[union-attr]  # nobody is there: what a line loses too
        self.close()  # who is there sees that the board is gone

    def close(self) -> None:
        """May be called twice."""
        self._somebody.set()
        for one in (self._server, self._here):
            if one:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
