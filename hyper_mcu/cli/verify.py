"""`hyper-mcu verify`: ask a person's network about a photo, on this machine, on an emulated core or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hyper_mcu.cli import percent
from hyper_mcu.codegen.targets import TARGETS

if TYPE_CHECKING:
    from hyper_mcu.codegen.person import Person
    from hyper_mcu.codegen.progress import Progress
    from hyper_mcu.device.asking import Asked
    from hyper_mcu.faces import Crop
    from hyper_mcu.probe import Answer


class Said(NamedTuple):
    """A verdict: on which face, and as it is printed."""

    crop: Crop
    match: bool
    json: dict[str, Any]
    text: str


def as_json(answer: Answer, model: Path, photo: Path, p: Person) -> dict[str, Any]:
    """The answer as `--json` prints it: SPEC.md, "verify's JSON"."""
    from hyper_mcu.probe import fmr_of_best

    run, n = answer.run, answer.compared
    several = {"compared": n, "fmr_of_best": fmr_of_best(p.fmr, n)} if n > 1 else {}
    return {
        "match": run.match,
        "logit": run.logit,
        "threshold": run.threshold,
        "layers_sha256": run.layers_sha256,
        "target": ",".join(answer.runs),
        "model": str(model),
        "photo": str(photo),
        "name": p.name,
        "fmr": p.fmr,
        "fnmr": p.fnmr,
        "faces": answer.crop.of,
        "face": answer.crop.number,
        "box": answer.crop.box,
        **several,
        "runs": {
            t: {
                "toolchain": answer.reports[t].toolchain,
                "emulator": answer.reports[t].emulator,
                "instructions": answer.reports[t].instructions,
                "ram_bytes": r.session_bytes,
                "stack_bytes": r.stack_bytes,
                "person_bytes": answer.reports[t].person_bytes,
                "code_bytes": answer.reports[t].code_bytes,
                "seconds": round(answer.reports[t].seconds, 3),
            }
            for t, r in answer.runs.items()
        },
    }


def as_text(answer: Answer, photo: Path, p: Person) -> str:
    """The answer as a person reads it."""
    from hyper_mcu.probe import fmr_of_best

    run, n = answer.run, answer.compared
    rates = f"FMR {percent(p.fmr)}, FNMR {percent(p.fnmr)} on {p.rates_on}"
    lines = [
        f"{photo}{answer.crop.which}: {'MATCH' if run.match else 'no match'} for {p.name}",
        f"  logit {run.logit}, threshold {run.threshold} ({rates})",
    ]
    if n > 1:
        lines.append(
            f"  the best of {n} faces; FMR is of one: for {n} strangers about {percent(fmr_of_best(p.fmr, n))} "
            f"(1 − (1 − FMR)^{n}, an upper estimate for independent faces)"
        )
    for target, r in answer.runs.items():
        report = answer.reports[target]
        where = f"{target} by {report.toolchain}" + (f", emulated by {report.emulator}" if report.emulator else "")
        count = f", {report.instructions / 1e6:.1f} M instructions" if report.instructions else ""
        lines.append(
            f"  {where}: RAM {r.session_bytes:,} B + stack {r.stack_bytes:,} B, "
            f"flash {report.person_bytes:,} B person + {report.code_bytes:,} B code{count}"
        )
    lines.append(f"  layers {run.layers_sha256}, the same on the oracle")
    return "\n".join(lines)


def device_json(a: Asked, port: str, model: Path | None, photo: Path) -> dict[str, Any]:
    """A device's answer as `--json` prints it: the keys of verify's, null for what only a model tells."""
    from hyper_mcu.device.reach import counts
    from hyper_mcu.probe import fmr_of_best

    v, p = a.verdict, a.person
    real = counts(a.info.board) and v.hz > 0
    several: dict[str, Any] = {"compared": a.compared} if a.compared > 1 else {}
    if several and p:
        several["fmr_of_best"] = fmr_of_best(p.fmr, a.compared)
    return {
        "match": v.match,
        "logit": v.logit,
        "threshold": v.threshold,
        "layers_sha256": a.result.layers_sha256 if a.result and a.layers else None,
        "target": a.info.board,
        "model": str(model) if model else None,
        "photo": str(photo),
        "name": v.name,
        "fmr": p.fmr if p else None,
        "fnmr": p.fnmr if p else None,
        "faces": a.crop.of,
        "face": a.crop.number,
        "box": a.crop.box,
        **several,
        "port": port,
        "runs": {
            a.info.board: {
                "toolchain": a.info.firmware,
                "emulator": "",
                "instructions": None,
                "ram_bytes": a.info.session_bytes,
                "stack_bytes": a.stack or None,
                "person_bytes": a.entry.size if a.entry else None,
                "code_bytes": None,
                "seconds": round(v.cycles / v.hz, 6) if real else None,
                "cycles": v.cycles if real else None,
                "hz": v.hz,
            }
        },
    }


def device_text(a: Asked, port: str, photo: Path) -> str:
    """The same as a person reads it."""
    from hyper_mcu.device.reach import counts
    from hyper_mcu.probe import fmr_of_best

    v, p = a.verdict, a.person
    real = counts(a.info.board) and v.hz > 0
    rates = f" (FMR {percent(p.fmr)}, FNMR {percent(p.fnmr)} on {p.rates_on})" if p else ""
    lines = [
        f"{photo}{a.crop.which}: {'MATCH' if v.match else 'no match'} for {v.name}",
        f"  logit {v.logit}, threshold {v.threshold}{rates}",
    ]
    if a.compared > 1:
        told = (
            f" FMR is of one: for {a.compared} strangers about {percent(fmr_of_best(p.fmr, a.compared))}" if p else ""
        )
        lines.append(f"  the best of {a.compared} faces;{told}".rstrip(";"))
    stack = f" + stack {a.stack:,} B" if a.stack else ""
    cost = f", {v.cycles / 1e6:.1f} M cycles at {v.hz / 1e6:g} MHz: {v.cycles / v.hz:.3f} s" if real else ""
    size = f", flash {a.entry.size:,} B person" if a.entry else ""
    lines.append(f"  {a.info.board} on {port}, {a.info.firmware}: RAM {a.info.session_bytes:,} B{stack}{size}{cost}")
    if a.result and a.layers:
        lines.append(f"  layers {a.result.layers_sha256}, the same on the oracle")
    elif a.result:
        lines.append("  logit the same on the oracle; layers only a selftest build tells")
    return "\n".join(lines)


def by_target(
    crops: Sequence[Crop], photo: Path, targets: list[str], p: Person | None, model: Path | None, progress: Progress
) -> Said:
    """The verdict of MODEL's C on some targets."""
    from hyper_mcu.probe import ask

    assert p is not None  # check_options
    assert model is not None
    answer = ask(crops, model, p, targets, progress)
    return Said(answer.crop, answer.run.match, as_json(answer, model, photo, p), as_text(answer, photo, p))


def by_device(
    crops: Sequence[Crop],
    photo: Path,
    port: str,
    key: Path | None,
    name: str,
    p: Person | None,
    model: Path | None,
    progress: Progress,
) -> Said:
    """The verdict of a device."""
    from hyper_mcu.device import asking
    from hyper_mcu.device.reach import reach

    with reach(port, key) as device:
        a = asking.ask(device, crops, name, p, model, progress)
    json, text = device_json(a, device.port, model, photo), device_text(a, device.port, photo)
    return Said(a.crop, a.verdict.match, json, text)


def check_options(model: Path | None, target: str | None, port: str | None, name: str | None, key: Path | None) -> None:
    """Raises UserError for options that do not go together."""
    from hyper_mcu.codegen.errors import UserError

    if port is None and model is None:
        raise UserError("hyper-mcu verify", "nobody to ask about", "--model FILE or --port PORT", "neither")
    if name == "":
        raise UserError("--person", "nobody's name", "a name, or no --person: anybody on the device", "an empty one")
    if port is None and (name or key):
        raise UserError("--person" if name else "--key", "of a device", "--port beside it", "none")
    if port is not None and target is not None:
        raise UserError("--target", "the device is the target", "--port or --target", "both")
    if name and model:
        raise UserError("--person", "MODEL says who it is", "--person or --model", "both")


@click.command("verify")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--model", type=click.Path(path_type=Path),
    help="The model.h or person.bin that enroll wrote; with --port it may be left out.",
)  # fmt: skip
@click.option(
    "--target",
    metavar="NAME[,NAME]",
    help=f"host, the default, or emulated cores: {', '.join(name for name in TARGETS if name != 'host')}.",
)
@click.option("--port", help="A device's serial port, auto, or tcp:HOST:PORT; it judges by the people on it.")
@click.option("--person", "name", metavar="NAME", help="With --port: this one; default: MODEL's, else anybody on it.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="With --port: the device's key; a replay build needs none."
)
@click.option(
    "--face",
    metavar="N|largest|any",
    help="Which face, where a photo shows several; any: the best score of all, at a higher FMR.",
)
@click.option(
    "--crop",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the aligned face too: the bytes that hm_verify takes (.rgb, .bin) or a picture (.png).",
)
@click.option(
    "--aligned",
    is_flag=True,
    help="PHOTO is an aligned crop, 112×112 pixels, or 128×128 with a margin; no face is looked for.",
)
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    photo: Path,
    model: Path | None,
    target: str | None,
    port: str | None,
    name: str | None,
    key: Path | None,
    face: str | None,
    crop: Path | None,
    aligned: bool,
    json_wanted: bool,
) -> None:
    """Compile MODEL's C, run it on the face in PHOTO, print the verdict; or ask a device about it.

    The compiled C decides, never Python; every layer it computes is compared with the integer oracle, and a difference
    is an error. On a device they are where MODEL is given and its firmware is a selftest build, else the logit alone.
    Exit code 0: match, 1: no match, 2: error.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.files import check_other, check_place, write
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.targets import target_named
    from hyper_mcu.faces import crops_by
    from hyper_mcu.faces.crop_file import check_suffix, encoded

    check_options(model, target, port, name, key)
    targets = [target_named(t.strip()).name for t in (target or "host").split(",")]
    crops_in = crops_by(face, "probe", aligned=aligned)
    if crop is not None:
        check_suffix(crop)
        check_place(crop)
        check_other("--crop", crop, (photo, *([model] if model else [])))
    p = person_file(model) if model else None
    with cli.status() as progress:
        progress("looking for faces")
        crops = crops_in(photo)
        if port is not None:
            said = by_device(crops, photo, port, key, name or (p.name if p else ""), p, model, progress)
        else:
            said = by_target(crops, photo, targets, p, model, progress)
    cli.note(photo, said.crop)
    if crop is not None:
        write(crop, encoded(said.crop.pixels, crop.suffix))
    if json_wanted:
        cli.emit_json(said.json)
    else:
        click.echo(said.text)
    raise SystemExit(0 if said.match else 1)
