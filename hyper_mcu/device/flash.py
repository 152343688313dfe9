"""Writing a firmware to a board: other people's programs, each as a subprocess, with the lines that install them."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError, one_line
from hyper_mcu.codegen.progress import Event, Progress
from hyper_mcu.device.boards import Board
from hyper_mcu.device.chips import Chip
from hyper_mcu.device.remedies import UDEV, WRITING

LIMIT_S = 300.0  # the slowest of them, at its lowest rate, is done in one minute


@dataclass(frozen=True)
class Writer:
    """A program that writes flash. module: of this Python, "" for none; place: where it is expected. rates: of the
    probe in kHz, or of the line in baud, tried in turn. knows: whether it writes a board. command: its words behind
    the program's own, called in the folder of the image, for a board that it knows, an image (.elf with .bin beside
    it), a rate, and where the board is: a port, or the serial number of its probe, "" for the only one."""

    name: str
    module: str
    place: str
    rates: tuple[int, ...]
    knows: Callable[[Board], bool]
    command: Callable[[Board, Path, str, int], list[str]]

    def words(self) -> list[str]:
        """How it is called here, or [] where it is not installed: on PATH, or as a module of this Python."""
        for name in (self.name, f"{self.name}.py"):
            if path := shutil.which(name):
                return [path]
        return [sys.executable, "-m", self.module] if self.module and importlib.util.find_spec(self.module) else []


def _chip(board: Board) -> Chip:
    assert board.chip is not None  # of every board that a debug probe writes
    return board.chip


def _openocd(board: Board, image: Path, where: str, rate: int) -> list[str]:
    program = f"program {image.with_suffix('.elf').name} verify reset exit"
    target = _chip(board).openocd
    chosen = ["-c", f"adapter serial {where}"] if where else []
    return ["-f", "interface/stlink.cfg", "-f", target, *chosen, "-c", f"adapter speed {rate}", "-c", program]


def _st_flash(board: Board, image: Path, where: str, rate: int) -> list[str]:
    binary, origin = image.with_suffix(".bin").name, f"{_chip(board).flash.origin:#010x}"
    chosen = [f"--serial={where}"] if where else []
    return ["--reset", "--connect-under-reset", *chosen, f"--freq={rate}", "write", binary, origin]


def _pyocd(board: Board, image: Path, where: str, rate: int) -> list[str]:
    chosen, elf = ["-u", where] if where else [], image.with_suffix(".elf").name
    return ["load", "--no-wait", *chosen, "-t", _chip(board).pyocd, "-f", f"{rate}k", elf]


def _esptool(board: Board, image: Path, where: str, rate: int) -> list[str]:
    # flash_args: the offsets and files of an ESP-IDF build, relative to its folder
    chip = board.core.lower().replace("-", "")
    return ["--chip", chip, "--port", where, "--baud", str(rate), "write_flash", f"@{image.name}"]


def _probed(board: Board, name: str) -> bool:
    return board.family == "stm32" and bool(getattr(board.chip, name))


def _is_esp32(board: Board) -> bool:
    return board.family == "esp32"


# st-flash writes one binary image: only where no partition lies in it, so that no key and no person is erased.
WRITERS = (
    Writer("openocd", "", "openocd on PATH (Debian: openocd)", (1800, 480), partial(_probed, name="openocd"), _openocd),
    Writer(
        "st-flash", "", "st-flash on PATH (Debian: stlink-tools)", (1800, 480),
        partial(_probed, name="in_one_piece"), _st_flash,
    ),
    Writer("pyocd", "pyocd", install.pip("pyocd"), (1000, 400), partial(_probed, name="pyocd"), _pyocd),
    Writer("esptool", "esptool", install.pip("esptool"), (460_800, 115_200), _is_esp32, _esptool),
)  # fmt: skip


def check(board: Board) -> None:
    """Raises UserError for a board that is a process of this machine or an emulator."""
    if board.is_emulated:
        what = f"a program of this machine, which hyper-mcu new-project --board {board.name} makes"
        raise UserError("--board", what, "a board to write", board.name)


def writer_for(board: Board, name: str = "", *, anyhow: bool = False) -> Writer:
    """The writer called `name`, or the first one that knows the board and is installed; anyhow: or else the first one.

    Raises UserError for a name that does not write this board, MissingToolError with install lines where none is there.
    """
    fit = [w for w in WRITERS if w.knows(board)]
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


def missing(tools: Sequence[tuple[str, str]], board: Board, writer: str) -> list[MissingToolError]:
    """What is not here: of the programs that build, each with its place, and of the writers. Raises UserError for a
    writer that does not write this board."""
    gone = [
        MissingToolError("flash", f"needs {name}", place, "none") for name, place in tools if not shutil.which(name)
    ]
    try:
        writer_for(board, writer)
    except MissingToolError as e:
        gone.append(e)
    return gone


def lines(writer: Writer, board: Board, image: Path, where: str) -> list[list[str]]:
    """The commands that write `image`, one for each rate, of which the later ones are for where the former fail."""
    words = writer.words() or [writer.name]
    return [[*words, *writer.command(board, image, where, rate)] for rate in writer.rates]


def write(writer: Writer, board: Board, image: Path, where: str, progress: Progress) -> list[str]:
    """Writes `image` to the board; the words of the command that did.

    Raises UserError, with what to do, where none did."""
    said = ""
    for n, command in enumerate(lines(writer, board, image, where)):
        progress(f"writing by {writer.name}" + (f" at a lower rate, {writer.rates[n]:,}" if n else ""))
        code, said = run(command, image.parent, f"{writer.name} does not end")
        if code == 0:
            return command
        progress(Event(one_line(f"{writer.name} at {writer.rates[n]:,}: {said}")))
    remedy = WRITING[board.family] + (f"; {UDEV}" if board.family == "stm32" and sys.platform == "linux" else "")
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
