"""`hyper-mcu send`: a person onto a device, sealed for it, while its firmware stays as it is."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("send")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--port", default="auto", show_default=True, help="Serial port, or tcp:HOST:PORT.")
@click.option("--key", required=True, type=click.Path(path_type=Path), help="The device's key, of key new.")
@click.option(
    "--replace", is_flag=True, help="In place of the person of that name, who stays until the new one is whole."
)
@click.option("--encrypt", is_flag=True, help="Sealed so that the wire does not show it; needs a board with AES.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(model: Path, port: str, key: Path, replace: bool, encrypt: bool, json_wanted: bool) -> None:
    """Seal the person in MODEL, a model.h or person.bin, for the device and send it.

    The device checks seal, counter and known answer before the person counts. A line that is unplugged meanwhile is
    waited for, and sending goes on where it was.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.device.reach import reach
    from hyper_mcu.device.sending import sealed_for

    person = person_file(model)
    with reach(port, key) as device, cli.bar() as (_, watch):
        info = device.info()
        sealed = sealed_for(person, device, info, encrypt=encrypt)
        there = {e.name for e in device.people()}

        def tell(done: int, total: int) -> None:
            watch(f"sending {person.name}: {done:,} of {total:,} bytes", done / total)

        device.load(sealed, replace=replace, progress=tell)
    told = {
        "port": device.port, "target": info.board, "model": str(model), "name": person.name, "bytes": len(sealed),
        "key": info.key, "counter": info.counter + 1, "encrypted": encrypt,
        "replaced": person.name in there,
    }  # fmt: skip
    if json_wanted:
        cli.emit_json(told)
    else:
        done = "replaced" if told["replaced"] else "is there"
        click.echo(
            f"{info.board} on {device.port}: {person.name} {done}, {len(sealed):,} B, counter {info.counter + 1}"
        )
