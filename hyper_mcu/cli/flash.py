"""`hyper-mcu flash`: the firmware built for a board, and written to it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hyper_mcu.device.boards import Board


def shown(words: Sequence[str], folder: Path | None = None) -> str:
    """A command as a shell takes it."""
    return (f"cd {shlex.quote(str(folder))} && " if folder else "") + shlex.join(words)


def where_of(board: Board, port: str, dry_run: bool) -> str:
    """What a writer finds the board by: a port, or the serial number of a debug probe, "" for the only one; in a dry
    run a placeholder where no board is there."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.device.find import port_named, probe_named

    probed = board.family == "stm32"
    try:
        return probe_named(port) if probed else port_named(port, board.family)
    except UserError as e:
        if not dry_run:
            raise
        click.echo(str(e), err=True)
        return "SERIAL" if probed else "PORT"


@click.command("flash")
@click.option("--board", "board_name", help="One of hyper-mcu boards.")
@click.option(
    "--project", "folder", type=click.Path(path_type=Path), help="A folder of new-project, instead of --board."
)
@click.option("--app", help="verify (a door), selftest or replay.  [default: verify]")
@click.option(
    "--person", "people", multiple=True, type=click.Path(path_type=Path),
    help="Who comes with it, as new-project has it; repeatable.",
)  # fmt: skip
@click.option(
    "--port", default="auto", show_default=True,
    help="Of the board: it is written over it, or by the debug probe that has it.",
)  # fmt: skip
@click.option("--writer", help="openocd, st-flash, pyocd or esptool; default: the first that is installed.")
@click.option("--dry-run", is_flag=True, help="Print the commands and run none.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    board_name: str | None,
    folder: Path | None,
    app: str | None,
    people: tuple[Path, ...],
    port: str,
    writer: str | None,
    dry_run: bool,
    json_wanted: bool,
) -> None:
    """Build the firmware for a board and write it.

    Building takes CMake and arm-none-eabi-gcc, or ESP-IDF; writing OpenOCD, st-flash, pyOCD or esptool. What is missing
    is named with the line that installs it. The key that is on the board stays, and people where the firmware is of
    their network: one of another network erases them at its first start.

    \b
    hyper-mcu flash --board nucleo-f411re
    hyper-mcu flash --board esp32-cam --port /dev/ttyUSB0 --dry-run
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.device import flash
    from hyper_mcu.device.boards import board_named
    from hyper_mcu.device.project import in_cache, opened
    from hyper_mcu.device.project_text import STEPS

    if (board_name is None) == (folder is None):
        raise UserError("hyper-mcu flash", "which firmware", "--board or --project", "both" if folder else "neither")
    if folder and (people or app):
        raise UserError("--project", "has its people and application", "--board beside --person and --app", folder)
    if folder:
        made = opened(folder)
    else:
        given = [person_file(path) for path in people]
        flash.check(board_named(board_name or ""))
        folder, made = in_cache(board_named(board_name or ""), given, app or "verify")
    flash.check(made.board)
    missing = flash.missing(made.needs, made.board, writer or "")
    if missing and not dry_run:
        raise missing[0]
    by = flash.writer_for(made.board, writer or "", anyhow=dry_run)
    where = where_of(made.board, port, dry_run)
    probed = made.board.family == "stm32"
    image = folder / made.image
    writes = flash.lines(by, made.board, image, where)
    steps = [list(step) for step in STEPS[made.build]]
    told = {
        "board": made.board.name, "app": made.app, "folder": str(folder), "writer": by.name,
        "port": None if probed else where, "probe": (where or None) if probed else None,
        "build": steps, "write": writes, "written": not dry_run, "missing": [str(e) for e in missing],
    }  # fmt: skip
    if dry_run:
        for why in missing:
            click.echo(str(why), err=True)
        if json_wanted:
            cli.emit_json(told)
        else:
            for words in steps:
                click.echo(shown(words, folder))
            click.echo(shown(writes[0], image.parent))
            for rate, words in zip(by.rates[1:], writes[1:], strict=True):
                click.echo(f"# or at {rate:,}: {shlex.join(words)}")
        return
    with cli.bar() as (say, _):
        for words in steps:
            say(f"building for {made.board.name}: {shlex.join(words)}")
            flash.build(words, folder)
        used = flash.write(by, made.board, image, where, say)
    if json_wanted:
        cli.emit_json({**told, "write": [used]})
    else:
        click.echo(f"{made.board.title}: {made.app} is on it, written by {by.name}")
        click.echo(f"its line: {made.board.serial}")
