"""`hyper-mcu new-project`: a firmware project for a board, with people in it, that builds alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.device.project import Project


def as_json(p: Project, out: Path, names: list[str]) -> dict[str, Any]:
    """What was written, as `--json` prints it."""
    return {
        "out": str(out),
        "board": p.board.name,
        "app": p.app,
        "build": p.build,
        "people": names,
        "files": len(p.files),
        "bytes": sum(map(len, p.files.values())),
        "command": p.command,
        "program": p.program,
        "next": next_line(p, out),
    }


def next_line(p: Project, out: Path) -> str:
    """The command that writes the built program to the board, or starts it on this machine."""
    from hyper_mcu.device.emulated import by_hand

    where = shlex.quote(str(out))
    return f"hyper-mcu flash --project {where}" if p.image else f"(cd {where} && {by_hand(p.board, p.program)})"


@click.command("new-project")
@click.option("--board", required=True, help="One of hyper-mcu boards.")
@click.option(
    "--person", "people", multiple=True, type=click.Path(path_type=Path),
    help="A model.h or person.bin that comes with the program; repeatable.",
)  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new or empty folder.")
@click.option("--build", type=click.Choice(["cmake", "make", "esp-idf"]), help="Default: the board's own.")
@click.option("--app", default="verify", show_default=True, help="verify (a door), selftest or replay.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(board: str, people: tuple[Path, ...], out: Path, build: str | None, app: str, json_wanted: bool) -> None:
    """Write a complete firmware project for a board.

    All sources are copied in; it builds by the one command that is printed, without hyper-mcu. The next line writes it
    to the board, or starts it where the board is a program of this machine. A device on which nobody ever was stores
    the people in it once it has a key; others are sent as to any device. Without --person its network is the one that
    the shipped generator's people have.

    \b
    hyper-mcu new-project --board nucleo-f411re --person alice.bin --out door
    cd door && cmake -B build && cmake --build build
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.device.boards import board_named
    from hyper_mcu.device.emulated import BY_HAND
    from hyper_mcu.device.project import check_out, project, write_folder

    chosen = board_named(board)
    check_out(out)
    given = [person_file(path) for path in people]
    with cli.status() as progress:
        progress(f"writing {out}")
        made = project(chosen, given, build=build or "", app=app)
        write_folder(out, made.files)
    told = as_json(made, out, [p.name for p in given])
    if json_wanted:
        cli.emit_json(told)
        return
    click.echo(f"{out}: {chosen.title}, {app}, {len(made.files)} files, {told['bytes']:,} B")
    click.echo(f"(cd {shlex.quote(str(out))} && {made.command})")
    click.echo(told["next"])
    if not made.image:
        click.echo(f"its line: --port {BY_HAND}")
