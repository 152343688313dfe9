"""Running a program of the harness: on this machine, in Unicorn or in QEMU. Input and output are whole byte strings.

A core's program talks by semihosting (firmware/harness/core.h): QEMU serves it itself; Unicorn, which is a core and
nothing else, has it served by `unicorn_machine`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hyper_mcu.codegen import install
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.instructions import Call, Point, Watch, calls, count_qemu, plugin
from hyper_mcu.codegen.targets import Target
from hyper_mcu.codegen.toolchain import without_folders

PROBES, RECORDS = "hm-probes.bin", "hm-records.bin"  # the files that firmware/harness/port_semihost.c opens
EMULATORS = ("unicorn", "qemu")
FAULT = 82  # PORT_FAULT in firmware/harness/port.h


@dataclass(frozen=True)
class RunOutput:
    """What a program wrote and how it ended.

    code: 0 when the program says that all went well; detail: what is known about another one. calls: what those cost
    that it measured, None where nobody counted. emulator: name and version, "" on this machine.
    """

    stdout: bytes
    code: int
    detail: str
    calls: tuple[Call, ...] | None
    emulator: str


def find_emulator(target: Target, emulator: str = "auto") -> str:
    """Which emulator runs `target` ("" for this machine); MissingToolError says what to install where none is."""
    if emulator not in ("auto", *EMULATORS):
        raise UserError("emulator", "unknown", "auto, unicorn or qemu", emulator)
    if target.isa is None:
        return ""
    places = {"unicorn": install.extra("emulate"), "qemu": target.isa.qemu.place}
    ways = {name: places[name] for name in target.emulators if emulator in ("auto", name)}
    if not ways:
        raise UserError(target.name, f"{emulator} does not emulate it", "another emulator", emulator)
    if "unicorn" in ways and importlib.util.find_spec("unicorn"):
        return "unicorn"
    if "qemu" in ways and shutil.which(target.isa.qemu.name):
        return "qemu"
    raise MissingToolError(
        target.name, "no emulator found", " or ".join(ways.values()), "neither" if len(ways) > 1 else "none"
    )


def run_elf(
    elf: Path,
    target: Target,
    probe: bytes,
    *,
    emulator: str = "auto",
    limit_s: float = 120,
    stored: range = range(0),
) -> RunOutput:
    """Runs `elf` with `probe` as its whole input. stored: addresses; each store there is noted in the calls.

    A fault, a refused input or output is a code in the result. A program that has not ended after `limit_s` seconds
    raises UserError; a missing emulator, MissingToolError.
    """
    which = find_emulator(target, emulator)
    if target.isa is None:
        done = _wait([str(elf.absolute())], target.name, limit_s, probe)
        return RunOutput(done.stdout, *_ended(done), None, "")
    watch = Watch.of(read_elf(elf), target.isa, target.memory, stored)
    if which == "unicorn":
        from hyper_mcu.codegen.unicorn_machine import run_unicorn

        output, code, detail, events = run_unicorn(target, watch, probe, limit_s)
        version = f"unicorn {importlib.metadata.version('unicorn')}"
    else:
        qemu = target.isa.qemu.name
        output, code, detail, events = _run_qemu(qemu, elf, target, watch, probe, limit_s)
        version = f"QEMU {qemu_version(qemu)}"
    return RunOutput(output, code, detail, None if events is None else calls(events, watch.mark), version)


def too_slow(target: str, limit_s: float) -> UserError:
    """The error of a program that does not end."""
    return UserError(target, "the program did not end", f"its last record within {limit_s:g} s", "none")


@cache
def qemu_version(qemu: str) -> str:
    """Version of an executable of QEMU's."""
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", said)
    return found.group(1) if found else "of unknown version"


def _run_qemu(
    qemu: str, elf: Path, target: Target, watch: Watch, probe: bytes, limit_s: float
) -> tuple[bytes, int, str, list[Point] | None]:
    with tempfile.TemporaryDirectory(prefix="hyper-mcu-") as name:
        folder = Path(name)
        (folder / PROBES).write_bytes(probe)
        quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
        served = ["-semihosting-config", "enable=on,target=native"]
        library = plugin(qemu)
        counting, counted = count_qemu(library, watch, folder) if library else ([], lambda: None)
        command = [qemu, *target.qemu_flags, *quiet, *served, *counting, "-kernel", str(elf.absolute())]
        done = _wait(command, target.name, limit_s, b"", folder)
        records = folder / RECORDS
        return records.read_bytes() if records.is_file() else b"", *_ended(done), counted()


def _wait(
    command: list[str], target: str, limit_s: float, given: bytes, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, timeout=limit_s, cwd=folder, check=False)
    except subprocess.TimeoutExpired as e:
        raise too_slow(target, limit_s) from e


def _ended(done: subprocess.CompletedProcess[bytes]) -> tuple[int, str]:
    """Exit code and what is known about it. A signal is a fault; a sanitizer says what it found."""
    if done.returncode == 0:
        return 0, ""
    lines = [
        without_folders(line.strip()) for line in done.stderr.decode(errors="replace").splitlines() if line.strip()
    ]
    telling = [line for line in lines if "runtime error:" in line or line.startswith("SUMMARY:")] or lines[:1]
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return FAULT, f"{name}: {telling[0]}" if telling else name
    return done.returncode, telling[0] if telling else ""
