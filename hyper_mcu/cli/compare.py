"""`hyper-mcu compare`: what costs more, and what less, in the second of two results of bench."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hyper_mcu.cli.bench import counted

SCHEMA = 1
OF_A_LAYER = ("instructions", "modelled_cycles")
SAME = ("netspec_sha256", "macs", "kernels")  # of two results that can be compared


def share(_: click.Context, __: click.Parameter, text: str) -> float:
    """A percentage as a share: 1% or 1."""
    if not re.fullmatch(r"\d+(\.\d+)?%?", text):
        raise click.BadParameter("expected a percentage as 1%")
    return float(text.rstrip("%")) / 100


def read(path: Path) -> dict[str, Any]:
    """A result of bench; raises UserError for a file that is none."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import read as whole

    what, expected = "no result of bench", f"JSON of hyper-mcu bench --json, schema_version {SCHEMA}"
    try:
        value = json.loads(whole(path, expected))
    except (ValueError, RecursionError) as e:
        place = f" in line {e.lineno}, column {e.colno}" if isinstance(e, json.JSONDecodeError) else ""
        raise UserError(path, what, expected, f"something else{place}") from e
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA:
        raise UserError(path, what, expected, "another JSON" if version is None else f"schema_version {version}")
    targets = value.get("targets")
    if not (isinstance(targets, dict) and all(map(well_formed, targets.values()))):
        raise UserError(path, what, expected, "targets that bench does not write")
    return dict(value)


def well_formed(target: object) -> bool:
    """Whether that is what bench says of a target, as far as it is read here."""
    if not isinstance(target, dict):
        return False
    rows = target.get("layers", [])
    keys = {"name", "stage", *OF_A_LAYER}
    return isinstance(rows, list) and all(
        isinstance(row, dict) and keys <= row.keys() and all(isinstance(row[x], int | None) for x in OF_A_LAYER)
        for row in rows
    )


def figures(target: dict[str, Any]) -> dict[str, int]:
    """The counts in a target's result by name, those of its layers too; what is derived from them is left out."""
    found = {name: value for name, value in target.items() if isinstance(value, int)}
    for row in target.get("layers", ()):
        layer = row["name"] if row["stage"] is None else f"stage {row['stage']}"
        found |= {f"{layer}: {name}": row[name] for name in OF_A_LAYER if row[name] is not None}
    return found


def compared(a: dict[str, int], b: dict[str, int], limit: float) -> Iterator[tuple[str, bool]]:
    """A line for each figure that is another in b, and whether it is a regression beyond the limit."""
    for name in dict.fromkeys((*a, *b)):
        old, new = a.get(name), b.get(name)
        if old == new:
            continue
        if old is None or new is None:
            gone = new is None
            change = f"{'–' if old is None else f'{old:,}'} → {'–' if new is None else f'{new:,}'}"
            yield f"{name}: {change}{', a regression' if gone else ''}", gone
            continue
        worse = new > old * (1 + limit)
        change = f"{new / old - 1:+.2%}" if old else "from nothing"
        yield f"{name}: {old:,} → {new:,} ({change}){', a regression' if worse else ''}", worse


@click.command("compare")
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@click.option("--limit", default="1%", show_default=True, callback=share, help="By how much a figure may grow.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(first: Path, second: Path, limit: float, json_wanted: bool) -> None:
    """Compare B with A, two files that `bench --json` wrote: a line for each figure that is another.

    Exit code 0: nothing grew beyond the limit, 1: something did, or is no longer counted, 2: they cannot be compared:
    another network, other kernels, or a target of A that has not run in B.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.errors import UserError

    a, b = read(first), read(second)
    for key in SAME:
        if a.get(key) != b.get(key):
            raise UserError(second, f"cannot be compared with {first}: {key}", str(a.get(key)), b.get(key))
    ran = [{n: t for n, t in x["targets"].items() if "not_run" not in t} for x in (a, b)]
    gone = [name for name in ran[0] if name not in ran[1]]
    if gone or not ran[0]:
        wanted = ", ".join(ran[0]) or "targets that ran"
        raise UserError(second, f"cannot be compared with {first}: targets", wanted, ", ".join(ran[1]) or "none")
    changes: list[tuple[str, bool]] = []
    for name, old in ran[0].items():
        new = ran[1][name]
        changes += [
            (f"{name}: {tool}: {old.get(tool)} → {new.get(tool)}", False)
            for tool in ("toolchain", "emulator")
            if old.get(tool) != new.get(tool)
        ]
        changes += [(f"{name}: {line}", worse) for line, worse in compared(figures(old), figures(new), limit)]
    worse = [line for line, bad in changes if bad]
    if json_wanted:
        cli.emit_json({"limit": limit, "changes": [line for line, _ in changes], "regressions": worse})
    else:
        for line, _ in changes:
            click.echo(line)
        told = f"{counted(len(changes), 'change', 'changes')}, {counted(len(worse), 'regression', 'regressions')}"
        click.echo(f"{told} beyond {limit:.2%} on {', '.join(ran[0])}")
    if worse:
        raise SystemExit(1)
