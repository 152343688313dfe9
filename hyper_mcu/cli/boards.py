"""`hyper-mcu boards`: the boards that the firmware is for, how each was proven, and what is on this machine's ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.device.boards import Board
    from hyper_mcu.device.find import Port

HEADER = ("board", "chip", "people", "line", "camera", "proven")


def as_json(b: Board) -> dict[str, Any]:
    """A board as `--json` prints it."""
    from hyper_mcu.device.boards import places
    from hyper_mcu.device.project import builds_of

    return {
        "name": b.name,
        "title": b.title,
        "core": b.core,
        "chip": b.chip.name if b.chip else None,
        "flash_bytes": b.chip.flash.bytes if b.chip else None,
        "ram_bytes": b.chip.ram.bytes if b.chip else None,
        "people": places(b),
        "line": b.serial,
        "light": b.light,
        "camera": b.camera or None,
        "builds": list(builds_of(b)),
        "emulated": b.is_emulated,
        "proven": b.proven,
    }


def ports_json(ports: list[Port]) -> list[dict[str, Any]]:
    """What is on this machine's ports, as `--json` prints it."""
    return [{"port": p.name, "usb": p.ids, "bridge": p.bridge.name if p.bridge else None} for p in ports]


@click.command("boards")
@click.option("--ports", "ports_wanted", is_flag=True, help="The serial ports on USB of this machine instead.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(ports_wanted: bool, json_wanted: bool) -> None:
    """Print the boards that the firmware can be built for.

    People: how many of the shipped network fit. Proven: what of a board was run, and what could not be.
    """
    from hyper_mcu import cli

    if ports_wanted:
        from hyper_mcu.device.find import attached

        ports = attached()
        if json_wanted:
            cli.emit_json({"ports": ports_json(ports)})
        else:
            click.echo("\n".join(map(str, ports)) or "no serial port on USB")
        return
    from hyper_mcu.device.boards import BOARDS

    told = [as_json(b) for b in BOARDS.values()]
    if json_wanted:
        cli.emit_json({"boards": told})
        return
    rows = [
        (b["name"], b["chip"] or b["core"], str(b["people"]), b["line"], b["camera"] or "", b["proven"]) for b in told
    ]
    click.echo(cli.framed(HEADER, rows))
