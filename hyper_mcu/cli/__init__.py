"""The `hyper-mcu` command: one file a subcommand, imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from hyper_mcu import __version__
from hyper_mcu.codegen.errors import UserError, one_line
from hyper_mcu.codegen.progress import Event

if TYPE_CHECKING:
    from hyper_mcu.faces import Crop

T = TypeVar("T")
WHOLE = 1_000  # columns, more than any table has

COMMANDS = {
    "enroll": "A photo in, a personal network out: model.h, or person.bin.",
    "verify": "Ask a person's network about a photo: on this machine, an emulated core or a device.",
    "inspect": "What a model.h or person.bin holds, layer by layer, or a generator.onnx.",
    "parity": "One network on every backend, byte by byte against the oracle.",
    "bench": "What a network costs on emulated cores, layer by layer.",
    "compare": "Two results of bench: what grew, what shrank.",
    "export": "A person's network for other runtimes, as C, or for a device.",
    "key": "The key that a device accepts people by: make one, show its fingerprint, give it to a device.",
    "boards": "The boards that the firmware is for, and what is on this machine's ports.",
    "new-project": "A firmware project for a board, with people in it, that builds alone.",
    "flash": "Build the firmware and write it to a board.",
    "send": "Send a person to a device, sealed for it; its firmware stays.",
    "people": "Who is on a device; take somebody off it.",
    "validate": "A network's every layer on a device, against the oracle.",
    "monitor": "What a device says by itself.",
    "demo": "Enrol a real photo and ask the emulated Cortex-M4 about two others.",
    "doctor": "What is installed, what is missing, and the line that installs it.",
    "train": "Train a generator on a folder of faces.",
    "eval": "LFW, CALFW, CPLFW, CFP, AgeDB-30, VGG2-FP or any pair list, float and int8.",
    "ablate": "The rows of the paper's Table II on a data set of one's own.",
}


class _ReaderGoneError(Exception):
    """Whoever read our output has gone."""


@contextlib.contextmanager
def _not_clicks() -> Iterator[None]:
    """Where click would make exit code 1 of a reader that has gone, which means no match."""
    try:
        yield
    except BrokenPipeError as e:
        raise _ReaderGoneError from e


class Lazy(click.Group):
    """A group that imports a command's module when the command runs, so that --help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hyper_mcu.cli.{cmd_name.replace('-', '_')}").command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _not_clicks():  # --help is printed here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _not_clicks():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hyper-mcu")
def group() -> None:
    """One photo of a person in, one personal neural network out, small enough for a microcontroller.

    \b
    hyper-mcu enroll face.jpg --out model.h
    hyper-mcu verify other.jpg --model model.h --target m4
    """


def as_json(value: dict[str, Any]) -> str:
    """What --json prints of a command."""
    return json.dumps({"schema_version": 1, **value}, indent=2)


def emit_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    click.echo(as_json(value))


def percent(rate: float) -> str:
    """A rate of 0…1 for people, three digits: 9.4 %, 0.1 %, 0.0123 %."""
    return f"{rate * 100:.3g} %"


def note(photo: Path, crop: Crop) -> None:
    """Says on stderr what a person should know of the crop of a photo, if there is something."""
    if crop.note:
        click.echo(one_line(f"{photo}: {crop.note}"), err=True)


def framed(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows in a frame, as wide as the terminal allows; whole where stdout is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else WHOLE)
    with console.capture() as text:
        console.print(table)
    return text.get().rstrip("\n")


@contextlib.contextmanager
def bar(wanted: bool = True) -> Iterator[tuple[Callable[[str], None], Callable[[str, float], None]]]:
    """A progress bar on stderr as two functions: say(text), which draws how far `…: N of M` is and spins for the rest,
    and watch(text, done) with done of 0…1. Where stderr is no terminal, a line every half minute; nothing if not
    wanted. An Event is a line of its own in any case, at once."""
    if not wanted:
        yield lambda text: None, lambda text, done: None
        return
    if not sys.stderr.isatty():
        now_and_then = _now_and_then()
        yield lambda text: now_and_then(text, 0.0), now_and_then
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(20), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("…", total=None)

        def watch(text: str, done: float) -> None:
            if isinstance(text, Event):
                progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                progress.update(task, description=text, completed=done, total=1.0)

        def say(text: str) -> None:
            if isinstance(text, Event):
                watch(text, 0.0)
            elif counted := re.search(r": (\d+) of (\d+)", text):
                watch(text, int(counted[1]) / max(int(counted[2]), 1))
            else:
                progress.update(task, description=text, total=None)

        yield say, watch


def _now_and_then(seconds: float = 30.0) -> Callable[[str, float], None]:
    """Says an event, the last text, and others where so many seconds have gone since one was said."""
    said = time.monotonic()

    def watch(text: str, done: float) -> None:
        nonlocal said
        if isinstance(text, Event) or done >= 1 or time.monotonic() - said >= seconds:
            said = time.monotonic()
            click.echo(text, err=True)

    return watch


@contextlib.contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A spinner on stderr that says what is going on; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("…") as spinner:
        yield lambda text: spinner.update(Text(text))  # as it is spelt: brackets in a file's name are no markup


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """The items with a progress bar on stderr; without one where stderr is no terminal or there is but one item."""
    if len(items) < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as tracked

    yield from tracked(items, label, console=Console(stderr=True))


def require_training(command: str) -> None:
    """Raises UserError, with the install line, where what training imports is missing."""
    from hyper_mcu.codegen import install

    for module in (
        "torch",
        "onnx",
        "cv2",
        "sklearn",
        "scipy",
        "safetensors",
        "tensorboard",
        "matplotlib",
        "pyarrow",
        "pooch",
    ):
        if importlib.util.find_spec(module) is None:
            raise UserError(f"hyper-mcu {command}", f"needs {module}", install.extra("train"), "no such package")


def main() -> None:
    """Entry point: exit 0 done or match, 1 no match, 2 error.

    A mistake of the user is one line on stderr; a fault of the program a traceback there. Neither is ever a match, and
    neither is it where nobody reads what is said.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without → or × is no reason to fail
    try:
        code = group.main(prog_name="hyper-mcu", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as e:
        said = str(e)
    except click.exceptions.Abort:
        said = "stopped"
    except click.exceptions.NoArgsIsHelpError as e:
        _say(e.format_message())
        sys.exit(2)
    except click.ClickException as e:
        context = getattr(e, "ctx", None)
        command = context.command_path if context else "hyper-mcu"
        what = " ".join(e.format_message().split()).rstrip(".")
        said = str(
            UserError(command, what[:1].lower() + what[1:], f"what {command} --help tells", shlex.join(sys.argv[1:]))
        )
    except (_ReaderGoneError, BrokenPipeError):
        _silence(sys.stdout)
        sys.exit(2)
    except OSError as e:
        if e.filename is None:
            _silence(sys.stdout)
        reason = (e.strerror or str(e)).lower()
        said = str(
            UserError(e.filename or "standard output", "file error", "files that can be read and written", reason)
        )
    except Exception:
        _say(traceback.format_exc())
        sys.exit(2)
    _say(" ".join(said.splitlines()))
    sys.exit(2)


def _say(text: str) -> None:
    """Text on stderr, if anybody reads it."""
    try:
        click.echo(text, err=True)
    except OSError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Nobody reads on, or nothing fits: what is still to be written is for nobody, also at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
