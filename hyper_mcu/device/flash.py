"""Writing a firmware to a board: other people's programs, each as a subprocess, with the lines that install them."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError, one_line
from hyper_mcu.codegen.progress import Event, Progress
from hyper_mcu.device.boards import Board
from hyper_mcu.device.remedies import UDEV, WRITING

LIMIT_S = 300.0  # the slowest of them, at its lowest rate, is done in one minute


@dataclass(frozen=True)
class Chip:
    """What a writer has to know of a board's chip: its family, as in BRIDGES, where its flash begins, what OpenOCD,
    pyOCD and esptool call it ("" where they do not know it). in_one_piece: whether a binary image has none of the
    partitions in it, so that writing all of it erases no key and no person."""

    family: str
    flash_origin: int = 0
    openocd: str = ""
    pyocd: str = ""
    esptool: str = ""
    in_one_piece: bool = False


@dataclass(frozen=True)
class Writer:
    """A program that writes flash. rates: of the probe in kHz, or of the line in baud, tried in turn. command: its
    words behind the program's own, for a chip, an image (.elf with .bin beside it), a port and a rate."""

    name: str
    module: str
    place: str
    families: tuple[str, ...]
    rates: tuple[int, ...]
    command: Callable[[Chip, Path, str, int], list[str]]
    knows: Callable[[Chip], bool]

    def words(self) -> list[str]:
        """How it is called here, or [] where it is not installed: on PATH, or as a module of this Python."""
        for name in (self.name, f"{self.name}.py"):
            if path := shutil.which(name):
                return [path]
        return [sys.executable, "-m", self.module] if self.module and importlib.util.find_spec(self.module) else []


def _openocd(chip: Chip, image: Path, port: str, rate: int) -> list[str]:
    program = f'program "{image.with_suffix(".elf").as_posix()}" verify reset exit'
    return ["-f", "interface/stlink.cfg", "-f", chip.openocd, "-c", f"adapter speed {rate}", "-c", program]


def _st_flash(chip: Chip, image: Path, port: str, rate: int) -> list[str]:
    binary = str(image.with_suffix(".bin"))
    return ["--reset", "--connect-under-reset", f"--freq={rate}", "write", binary, f"{chip.flash_origin:#010x}"]


def _pyocd(chip: Chip, image: Path, port: str, rate: int) -> list[str]:
    return ["load", "--no-wait", "-t", chip.pyocd, "-f", f"{rate}k", str(image.with_suffix(".elf"))]


def _esptool(chip: Chip, image: Path, port: str, rate: int) -> list[str]:
    # flash_args: the offsets and files of an ESP-IDF build, relative to its folder
    return ["--chip", chip.esptool, "--port", port, "--baud", str(rate), "write_flash", f"@{image.name}"]


WRITERS = (
    Writer(
        "openocd", "", "openocd on PATH (Debian: openocd)", ("stm32",), (1800, 480), _openocd, lambda c: bool(c.openocd)
    ),
    Writer(
        "st-flash",
        "",
        "st-flash on PATH (Debian: stlink-tools)",
        ("stm32",),
        (1800, 480),
        _st_flash,
        lambda c: c.in_one_piece,
    ),
    Writer("pyocd", "pyocd", install.pip("pyocd"), ("stm32",), (1000, 400), _pyocd, lambda c: bool(c.pyocd)),
    Writer("esptool", "esptool", install.pip("esptool"), ("esp32",), (460_800, 115_200), _esptool, lambda c: True),
)


def chip_of(board: Board) -> Chip:
    """The Chip of a board; raises UserError for one that is a process of this machine or an emulator."""
    if board.is_emulated:
        what = f"a program of this machine, which hyper-mcu new-project --board {board.name} makes"
        raise UserError("--board", what, "a board to write", board.name)
    if board.chip:
        c = board.chip
        return Chip(board.family, c.flash.origin, c.openocd, c.pyocd, in_one_piece=c.in_one_piece)
    return Chip(board.family, esptool=board.core.lower().replace("-", ""))


def writer_for(chip: Chip, name: str = "", *, anyhow: bool = False) -> Writer:
    """The writer called `name`, or the first one that knows the chip and is installed; anyhow: or else the first one.

    Raises UserError for a name that does not write this chip, MissingToolError with install lines where none is there.
    """
    fit = [w for w in WRITERS if chip.family in w.families and w.knows(chip)]
    if name and name not in {w.name for w in fit}:
        known = " or ".join(w.name for w in fit) or "none"
        raise UserError("--writer", f"{name} does not write this board", known, name)
    wanted = [w for w in fit if name in ("", w.name)]
    if found := next((w for w in wanted if w.words()), None):
        return found
    if anyhow:
        return wanted[0]
    places = " or ".join(w.place for w in wanted)
    raise MissingToolError("flash", "nothing to write the board with", places, "none")


def missing(tools: Sequence[tuple[str, str]], chip: Chip, writer: str) -> list[MissingToolError]:
    """What is not here: of the programs that build, each with its place, and of the writers. Raises UserError for a
    writer that does not write this chip."""
    gone = [
        MissingToolError("flash", f"needs {name}", place, "none") for name, place in tools if not shutil.which(name)
    ]
    try:
        writer_for(chip, writer)
    except MissingToolError as e:
        gone.append(e)
    return gone


def lines(writer: Writer, chip: Chip, image: Path, port: str) -> list[list[str]]:
    """The commands that write `image`, one for each rate, of which the later ones are for where the former fail."""
    words = writer.words() or [writer.name]
    return [[*words, *writer.command(chip, image, port, rate)] for rate in writer.rates]


def write(writer: Writer, chip: Chip, image: Path, port: str, progress: Progress) -> list[str]:
    """Writes `image` to the board; the words of the command that did.

    Raises UserError, with what to do, where none did."""
    said = ""
    for n, command in enumerate(lines(writer, chip, image, port)):
        progress(f"writing by {writer.name}" + (f" at a lower rate, {writer.rates[n]:,}" if n else ""))
        code, said = run(command, image.parent, f"{writer.name} does not end")
        if code == 0:
            return command
        progress(Event(one_line(f"{writer.name} at {writer.rates[n]:,}: {said}")))
    remedy = WRITING[chip.family] + (f"; {UDEV}" if chip.family == "stm32" and sys.platform == "linux" else "")
    raise UserError(writer.name, f"the board was not written: {said}", remedy, shlex.join(command))


def build(command: Sequence[str], folder: Path) -> None:
    """Runs one step of a build in `folder`; raises UserError with what it says."""
    code, said = run(command, folder, f"{command[0]} does not end")
    if code:
        raise UserError(folder, "does not build", f"success of {shlex.join(command)}", said)


def run(command: Sequence[str], folder: Path, late: str) -> tuple[int, str]:
    """Exit code of a command in `folder`, and the line of its output that says most about a failure."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(command[0], late, f"its end within {LIMIT_S:g} s", "none") from None
    return done.returncode, telling(done.stdout) or f"exit code {done.returncode}"


def telling(output: str) -> str:
    """The line of a tool's output that says what failed: the first that speaks of an error, else its last one."""
    rows = [row.strip() for row in output.splitlines() if row.strip()]
    marks = ("fatal error", "error:", "failed", "no connected", "couldn't find")
    marked = (row for row in rows if any(mark in row.lower() for mark in marks))
    return next(marked, rows[-1] if rows else "")
