"""What an application as a process says as text."""

from __future__ import annotations

import os
import select
import time

from hyper_mcu.device.process import Process


class Line:
    """What a process says on its pseudo-terminal, from its start on."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._file = os.open(process.line, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        self._kept = b""

    def heard(self, *, seconds: float = 20) -> str:
        """The next line; "" where none comes."""
        end = time.monotonic() + seconds
        while b"\n" not in self._kept:
            if not select.select([self._file], [], [], max(0, end - time.monotonic()))[0]:
                return ""
            self._kept += os.read(self._file, 4096)
        line, _, self._kept = self._kept.partition(b"\n")
        return line.decode("ascii").rstrip("\r")

    def end(self) -> str:
        """Ends the process; what it said on stderr."""
        os.close(self._file)
        return self.process.kill()
