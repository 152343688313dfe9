"""The device as a process of this machine: firmware/ports/host around the very sources that boards run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_program
from hyper_mcu.device.build import FIRMWARE, main_of

HOST = FIRMWARE / "ports" / "host"
REPLAY, SELFTEST = "HM_REPLAY=1", "HM_SELFTEST=1"
TCP = ("--tcp", "0")


def build(
    person: Person,
    out: Path,
    app: str = "verify",
    *,
    defines: Sequence[str] = (REPLAY, SELFTEST),
    optimise: str = "-O2",
    sanitise: bool = False,
) -> Path:
    """Compiles an application (one of APPS, or its main.c) to `out`, for the architecture of `person`, who is not in
    it.

    Raises MissingToolError where there is no compiler, CompileError for C that does not compile.
    """
    (out.parent / "hm_engine.h").write_text(emit_engine(person), encoding="ascii")
    sources = [*sorted((FIRMWARE / "device").glob("*.c")), *sorted(HOST.glob("*.c")), main_of(app)]
    folders = [out.parent, FIRMWARE / "device", HOST]
    host = target_named("host")
    compile_program(sources, host, out=out, include_dirs=folders, defines=defines, optimise=optimise, sanitise=sanitise)
    return out


class Process:
    """A running device. line: the name of its line, for `client.Device`. Options: firmware/ports/host/start.c."""

    def __init__(self, program: Path, *options: object, line: Sequence[str] = TCP) -> None:
        """Starts it; raises UserError where it does not, with what it says."""
        words = [str(program), *line, *(str(o) for o in options)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdout
        assert self._process.stderr
        self.line = self._process.stdout.readline().decode().strip()
        if not self.line:
            said = self.wait()[1].strip()
            raise UserError(program, "does not start", "the name of its line", said or "nothing")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *fault: object) -> None:
        self.kill()

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return self._process.poll() is None

    def cut(self) -> None:
        """Ends it as a power cut does."""
        if self.runs:
            os.kill(self._process.pid, signal.SIGKILL)

    def kill(self) -> str:
        """Ends it, waits for that, and returns what it said on stderr. May be called twice."""
        self.cut()
        return self.wait()[1]

    def wait(self, seconds: float | None = None) -> tuple[int, str]:
        """Waits for its end: exit code, below 0 for a signal; and what it said on stderr."""
        code = self._process.wait(seconds)
        assert self._process.stdout
        assert self._process.stderr
        said = "" if self._process.stderr.closed else self._process.stderr.read().decode(errors="replace")
        self._process.stdout.close()
        self._process.stderr.close()
        return code, said
