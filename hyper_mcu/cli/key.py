"""`hyper-mcu key`: the key that a device accepts people by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.device.keys import Key


def as_json(path: Path, key: Key) -> dict[str, Any]:
    """What may be known of a key, as `--json` prints it."""
    return {"file": str(path), "number": key.number, "fingerprint": key.fingerprint}


def line(path: Path, key: Key) -> str:
    """The same for people."""
    return f"{path}: key {key.number}, fingerprint {key.fingerprint}"


@click.group("key")
def command() -> None:
    """A device's key: a device takes people that were sealed with its key, and no others.

    Who has the file can make people for every device that has the key; without it nothing more is sealed for them.
    """


@command.command("new", short_help="Write a random key to a new file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--number",
    type=click.IntRange(1, 2**32 - 1),
    default=1,
    show_default=True,
    help="A device that got a key of another number refuses all people of this one.",
)
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def new(file: Path, number: int, json_wanted: bool) -> None:
    """Write a random key to FILE, a new name; nobody but its owner may read it."""
    from hyper_mcu import cli
    from hyper_mcu.device import keys

    key = keys.new(number)
    keys.save(key, file)
    if json_wanted:
        cli.emit_json(as_json(file, key))
    else:
        click.echo(line(file, key))
        click.echo("keep a copy where nobody else reads it: the key is nowhere else", err=True)


@command.command("show", short_help="A key's number and fingerprint.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def show(file: Path, json_wanted: bool) -> None:
    """Print the number and the fingerprint of the key in FILE, never the key."""
    from hyper_mcu import cli
    from hyper_mcu.device import keys

    key = keys.read(file)
    if json_wanted:
        cli.emit_json(as_json(file, key))
    else:
        click.echo(line(file, key))


@command.command("set")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--port", default="auto", show_default=True, help="Serial port, or tcp:HOST:PORT.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def set_key(file: Path, port: str, json_wanted: bool) -> None:
    """Give the key in FILE to a device that has none yet, over a line that nobody else hears.

    A device takes a key once. It keeps it until its flash is erased.
    """
    from hyper_mcu import cli
    from hyper_mcu.device import keys
    from hyper_mcu.device.reach import reach

    key = keys.read(file)
    with reach(port) as device:
        board = device.info().board
        device.set_key(key)
    if json_wanted:
        cli.emit_json({**as_json(file, key), "port": device.port, "target": board})
    else:
        click.echo(f"{board} on {device.port}: key {key.number}, fingerprint {key.fingerprint}")
