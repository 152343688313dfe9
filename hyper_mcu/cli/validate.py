"""`hyper-mcu validate`: whether a device computes what the oracle computes, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.codegen.netspec import NetSpec
    from hyper_mcu.device.validation import Answer, Validation

IMAGES = 3


def answer_json(a: Answer) -> dict[str, Any]:
    """An image's answer as `--json` prints it."""
    f = a.first
    first = f and {"layer": f.layer, "what": f.what, "oracle_crc32": f"{f.want:08x}", "crc32": f"{f.got:08x}"}
    return {
        "seed": a.seed,
        "logit": a.logit,
        "oracle_logit": a.want,
        "first": first,
        "cycles": a.cycles,
        "layer_cycles": list(a.layer_cycles) if a.layer_cycles else None,
    }


def as_json(v: Validation, target: str, model: Path | None, port: str, spec: NetSpec) -> dict[str, Any]:
    """The result as `--json` prints it."""
    return {
        "identical": v.identical,
        "target": target,
        "board": v.board,
        "port": port,
        "firmware": v.firmware,
        "model": str(model) if model else None,
        "name": v.name,
        "netspec": spec.id,
        "netspec_sha256": spec.sha256,
        "layers": len(spec.stages),
        "layers_compared": v.layers,
        "self_test": v.self_test,
        "images": len(v.answers),
        "answers": [answer_json(a) for a in v.answers],
        "hz": v.hz,
        "stack_bytes": v.stack_bytes or None,
    }


def profile(layer_cycles: tuple[int, ...], cycles: int, spec: NetSpec) -> list[str]:
    """Lines of a table of the layers' cycles and their shares of the whole; none where the device told none."""
    from hyper_mcu.codegen.kernels.kernel import describe

    if not layer_cycles:
        return []
    rows = [(str(s.index), n, describe(s)) for s, n in zip(spec.stages, layer_cycles, strict=True)]
    rows.append(("", cycles - sum(layer_cycles), "all else"))
    return ["  layer      cycles   share"] + [f"  {i:>5} {n:>11,} {n / cycles:>7.1%}  {what}" for i, n, what in rows]


def as_text(v: Validation, port: str, spec: NetSpec) -> str:
    """The same for people."""
    lines = [
        f"{v.board} on {port}, {v.firmware}: {'identical' if v.identical else 'DIFFERENT'}: {v.name}, {spec.id}, "
        f"{len(v.answers)} generated images, "
        + (f"{len(spec.stages)} layers each" if v.layers else "logits alone, as only a selftest build tells its layers")
    ]
    for a in v.answers:
        if a.first:
            f = a.first
            lines.append(
                f"  image {a.seed}: first differs layer {f.layer}, {f.what}: "
                f"CRC-32 {f.want:08x} by the oracle, got {f.got:08x}"
            )
        elif not a.identical:
            lines.append(f"  image {a.seed}: logit {a.want} by the oracle, got {a.logit}")
    if not v.self_test:
        lines.append("  the self-test of the person failed")
    slowest = max(v.answers, key=lambda a: a.cycles or 0)
    if slowest.cycles and v.hz:
        cycles = slowest.cycles
        lines.append(f"  a verification takes {cycles:,} cycles at {v.hz / 1e6:g} MHz, {cycles / v.hz:.3f} s")
        lines += profile(slowest.layer_cycles or (), cycles, spec)
    if v.stack_bytes:
        lines.append(f"  stack: {v.stack_bytes:,} B at most so far")
    return "\n".join(lines)


@click.command("validate")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--port", help="A device's serial port, auto, or tcp:HOST:PORT.")
@click.option("--target", help="Instead of --port a device of this machine: host, m4 or stm32, the latter two on QEMU.")
@click.option("--key", type=click.Path(path_type=Path), help="With --port: the device's key.")
@click.option("--images", default=IMAGES, show_default=True, type=click.IntRange(1, 999), help="How many.")
@click.option("--preset", "preset_name", help="Of the network, without MODEL.  [default: as enrolment makes it]")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    model: Path | None,
    port: str | None,
    target: str | None,
    key: Path | None,
    images: int,
    preset_name: str | None,
    json_wanted: bool,
) -> None:
    """Ask a device about generated images and compare every layer with the integer oracle.

    MODEL, a model.h or person.bin, says whom: on a device somebody who was sent before. Without it a person with random
    weights is sealed, sent under the name hyper_mcu_validate, and deleted afterwards. Layers are those of a selftest
    build (hyper-mcu flash --app selftest); others tell the logit alone.

    Exit code 0: identical, 1: a difference, 2: error.
    """
    from contextlib import nullcontext

    from hyper_mcu import cli
    from hyper_mcu.codegen.bench import seeded
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.presets import preset
    from hyper_mcu.device.reach import reach
    from hyper_mcu.device.sending import sealed_for
    from hyper_mcu.device.validation import guest, started, validate
    from hyper_mcu.generator import load

    if (port is None) == (target is None):
        raise UserError("hyper-mcu validate", "which device", "--port or --target", "both" if port else "neither")
    if key and target:
        raise UserError("--key", "a device of this machine gets one of its own", "--port beside it", "--target")
    if model and preset_name:
        raise UserError("--preset", "MODEL has a network", "no --preset beside it", preset_name)
    if port and not key and not model:
        raise UserError("--port", "sending a person needs the device's key", "--key FILE, or MODEL", "neither")
    person = person_file(model) if model else None
    spec = person.qnet.spec if person else preset(preset_name) if preset_name else load().spec
    with cli.bar() as (say, _):
        opened = started(target, person or seeded(spec), say) if target else reach(port or "", key)
        with opened as device:
            if person and target:
                device.load(sealed_for(person, device, device.info()))
            with nullcontext(person) if person else guest(device, spec, say) as asked:
                v = validate(device, asked, images, say)
    if json_wanted:
        cli.emit_json(as_json(v, target or v.board, model, device.port, spec))
    else:
        click.echo(as_text(v, device.port, spec))
    raise SystemExit(0 if v.identical else 1)
