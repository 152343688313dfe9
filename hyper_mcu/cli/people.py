"""`hyper-mcu people`: who is on a device, and taking somebody off it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.device.client import Entry, Info

HEADER = ("place", "name", "id", "key", "counter", "bytes")


def as_json(port: str, info: Info, people: tuple[Entry, ...]) -> dict[str, Any]:
    """Who is on a device as `--json` prints it."""
    return {
        "port": port,
        "target": info.board,
        "firmware": info.firmware,
        "places": info.places,
        "key": info.key,
        "counter": info.counter,
        "people": [
            {"place": e.place, "name": e.name, "id": e.id, "key": e.key, "counter": e.counter, "bytes": e.size}
            for e in people
        ],
    }


def as_text(told: dict[str, Any]) -> str:
    """The same for people."""
    from hyper_mcu.cli import framed
    from hyper_mcu.codegen.errors import one_line

    people, key = told["people"], f"key number {told['key']}" if told["key"] else "no key yet"
    rows = [
        [one_line(str(e[k])) for k in ("place", "name")]
        + [e["id"][:8]]
        + [f"{e[k]:,}" for k in ("key", "counter", "bytes")]
        for e in people
    ]
    board = one_line(f"{told['target']} on {told['port']}")
    count = f"{board}: {len(people)} of {told['places']} places, {key}, counter {told['counter']}"
    return f"{framed(HEADER, rows)}\n{count}" if rows else count


@click.group("people")
def command() -> None:
    """Who is on a device."""


@command.command("list")
@click.option("--port", default="auto", show_default=True, help="Serial port, or tcp:HOST:PORT.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def list_people(port: str, json_wanted: bool) -> None:
    """Print who is on the device, and how many more fit."""
    from hyper_mcu import cli
    from hyper_mcu.device.reach import reach

    with reach(port) as device:
        told = as_json(device.port, device.info(), device.people())
    if json_wanted:
        cli.emit_json(told)
    else:
        click.echo(as_text(told))


@command.command("rm")
@click.argument("name")
@click.option("--port", default="auto", show_default=True, help="Serial port, or tcp:HOST:PORT.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="The device's key, of key new.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def remove(name: str, port: str, key: Path, json_wanted: bool) -> None:
    """Take NAME off the device: both copies are erased, and what was sealed before is not taken again."""
    from hyper_mcu import cli
    from hyper_mcu.device.reach import reach

    with reach(port, key) as device:
        board = device.info().board
        device.delete(name)
        left = len(device.people())
    if json_wanted:
        cli.emit_json({"port": device.port, "target": board, "removed": name, "people": left})
    else:
        click.echo(f"{board} on {device.port}: {name} is gone, {left} left")
