"""`hyper-mcu verify`: ask a person's network about a photo, on this machine or on an emulated core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyper_mcu.cli import percent
from hyper_mcu.codegen.targets import TARGETS

if TYPE_CHECKING:
    from hyper_mcu.codegen.person import Person
    from hyper_mcu.probe import Answer


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


@click.command("verify")
@click.argument("photo", type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(path_type=Path), help="The model.h or person.bin that enroll wrote."
)
@click.option(
    "--target",
    default="host",
    show_default=True,
    metavar="NAME[,NAME]",
    help=f"host, or emulated cores: {', '.join(name for name in TARGETS if name != 'host')}.",
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
    help="PHOTO is an aligned crop, 112×112 pixels, as --crop writes it; no face is looked for.",
)
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    photo: Path, model: Path, target: str, face: str | None, crop: Path | None, aligned: bool, json_wanted: bool
) -> None:
    """Compile MODEL's C, run it on the face in PHOTO, print the verdict.

    The compiled C decides, never Python; every layer it computes is compared with the integer oracle, and a difference
    is an error. Exit code 0: match, 1: no match, 2: error.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.files import check_other, check_place, write
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.targets import target_named
    from hyper_mcu.faces import crops_by
    from hyper_mcu.faces.crop_file import check_suffix, encoded
    from hyper_mcu.probe import ask

    targets = [target_named(t.strip()).name for t in target.split(",")]
    crops_in = crops_by(face, "probe", aligned=aligned)
    if crop is not None:
        check_suffix(crop)
        check_place(crop)
        check_other("--crop", crop, (photo, model))
    p = person_file(model)
    with cli.status() as progress:
        progress("looking for faces")
        answer = ask(crops_in(photo), model, p, targets, progress)
    cli.note(photo, answer.crop)
    if crop is not None:
        write(crop, encoded(answer.crop.pixels, crop.suffix))
    if json_wanted:
        cli.emit_json(as_json(answer, model, photo, p))
    else:
        click.echo(as_text(answer, photo, p))
    raise SystemExit(0 if answer.run.match else 1)
