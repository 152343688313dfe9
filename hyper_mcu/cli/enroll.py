"""`hyper-mcu enroll`: a photo in, a personal network out, as a C header or a blob."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyper_mcu.cli import percent

if TYPE_CHECKING:
    from hyper_mcu.codegen.person import Person
    from hyper_mcu.device.keys import Key
    from hyper_mcu.enroll import Threshold
    from hyper_mcu.photos import Photo


def entry(photos: list[Photo], target: Path, p: Person, at: Threshold, key: Key | None) -> dict[str, Any]:
    """An enrolled person as `--json` prints them: SPEC.md, "enroll's JSON"."""
    return {
        "photos": [
            {
                "photo": str(photo.path),
                "faces": photo.crop.of,
                "face": photo.crop.number,
                "box": photo.crop.box,
                "norm": round(photo.norm, 4),
                "overridden": [str(e) for e in photo.overridden],
            }
            for photo in photos
        ],
        "model": str(target),
        "name": p.name,
        "threshold": p.threshold,
        "score": p.score,
        "fmr": p.fmr,
        "fmr_high": at.point.fmr_high,
        "fnmr": p.fnmr,
        "rates_on": p.rates_on,
        "cohort": {"faces": at.strangers, "matches": at.matches, "fmr_high": at.bound} if at.strangers else None,
        "permuted": key.number if key else None,
        "qnet_sha256": p.qnet.sha256(),
        "layers_sha256": p.known.layers_sha256,
    }


def line(photos: list[Photo], target: Path, p: Person, at: Threshold) -> str:
    """An enrolled person as a person reads it."""
    sources = " + ".join(f"{photo.path}{photo.crop.which}" for photo in photos)
    rates = f"FMR {percent(p.fmr)}, at most {percent(at.point.fmr_high)} (95 %), FNMR {percent(p.fnmr)} on {p.rates_on}"
    if at.strangers:
        rates += f"; {at.matches} of this cohort's {at.strangers} match: FMR at most {percent(at.bound)} (95 %) by them"
    return (
        f"{sources} → {target}: {p.name}, {p.qnet.spec.params:,} parameters, {p.qnet.spec.macs:,} MACs, "
        f"threshold {p.threshold} ({rates})"
    )


@click.command("enroll")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="model.h, person.bin, or an existing folder for several photos.",
)
@click.option("--format", "form", type=click.Choice(["h", "bin"]), help="Of the files in a folder; default: h.")
@click.option(
    "--face", metavar="N|largest", help="Which face, where a photo shows several: its number as listed, or the largest."
)
@click.option(
    "--aligned",
    is_flag=True,
    help="Each PHOTO is an aligned crop, 112×112 pixels, or 128×128 with a margin; no face is looked for.",
)
@click.option("--average", is_flag=True, help="All PHOTOs show one person, who is enrolled from their mean.")
@click.option(
    "--force", is_flag=True, help="Enrol a face that is found but would be refused as too poor, or as another person's."
)
@click.option(
    "--fmr",
    metavar="RATE",
    type=float,
    help="False match rate that the threshold is to stand for, one that was measured; default: 1e-3.",
)
@click.option(
    "--cohort",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of photos of strangers, or crops, with all folders in it, by which each person's threshold is set. "
    "They are to be like those who will stand before the camera.",
)
@click.option(
    "--permute",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Key file of key new: the order of the network's channels is drawn by it. The answers stay the same; it only "
    "makes the network harder to read.",
)
@click.option("--name", help="C identifier of the person; default: from the photo's name (張偉.jpg: u5f35_u5049).")
@click.option("--prefix", default="hm", show_default=True, help="Of the C names, for two architectures in one program.")
@click.option("--generator", type=click.Path(path_type=Path), help="Generator file; default: the shipped one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    photos: tuple[Path, ...],
    out: Path,
    form: str | None,
    face: str | None,
    aligned: bool,
    average: bool,
    force: bool,
    fmr: float | None,
    cohort: Path | None,
    permute: Path | None,
    name: str | None,
    prefix: str,
    generator: Path | None,
    as_json: bool,
) -> None:
    """Look once at an enrolment PHOTO and write the person's network.

    The photo (JPEG, PNG, WebP, BMP, HEIC with hyper-mcu[heic]) must show one sharp face from the front, eyes at least
    20 pixels apart. Several photos are several people, or with --average several photos of one.
    Nothing but the network leaves this machine; treat its file as biometric data all the same.
    """
    from hyper_mcu import enroll as enrol
    from hyper_mcu.cli import emit_json, note, track
    from hyper_mcu.codegen.emit_c import PREFIX
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import check_other, write
    from hyper_mcu.codegen.person_file import content
    from hyper_mcu.codegen.rates import DEFAULT_FMR
    from hyper_mcu.cohort import read
    from hyper_mcu.device.keys import read as read_key
    from hyper_mcu.faces import crops_by
    from hyper_mcu.faces.backbone import backbone
    from hyper_mcu.generator import SHIPPED, load
    from hyper_mcu.photos import of_person

    clock = enrol.Stopwatch()
    groups = [list(photos)] if average else [[photo] for photo in photos]
    people = enrol.names([group[0] for group in groups], name)
    if face == "any":
        raise UserError("--face", "enrolment needs one face", "a number or largest", "any")
    crops_in = crops_by(face, "enrol", aligned=aligned, force=force)
    targets = enrol.destinations(people, out, form)
    if prefix != PREFIX and targets[0].suffix == ".bin":
        raise UserError("--prefix", "person.bin holds no C", "a .h to be written", targets[0])
    key = read_key(permute) if permute else None
    for target in targets:
        check_other("--out", target, [*photos, *([permute] if permute else [])])
    generated = load(generator or SHIPPED)
    h_bb = backbone(generated.backbone)
    point = generated.rates.at(fmr, cohort=cohort is not None)
    clock("load the generator")
    strangers = read(cohort, h_bb, generated.rates.faces, track) if cohort else None
    if cohort:
        clock("look at the cohort")
    made, refused = [], []
    for group, person, target in track(list(zip(groups, people, targets, strict=True)), "enrol"):
        seen, errors = of_person(group, crops_in, h_bb, clock, force=force)
        try:
            if not errors:
                e = h_bb.mean([photo.e for photo in seen])
                qnet = enrol.net(e, generated, clock, key)
                at = enrol.threshold(qnet, e, generated, point, strangers, clock)
                p = enrol.named(person, qnet, at, generated, clock, len(group))
                written = content(p, target.suffix, prefix)
                clock("emit")
                write(target, written)
                made.append((seen, target, p, at))
        except UserError as e:
            errors = [e]
        if errors and len(photos) == 1:
            raise errors[0]
        refused += errors
    if as_json:
        emit_json(
            {
                "people": [entry(*m, key) for m in made],
                "refused": [str(e) for e in refused],
                "seconds": {k: round(v, 4) for k, v in clock.seconds.items()},
            }
        )
    else:
        for m in made:
            click.echo(line(*m))
        if made:
            steps = ", ".join(f"{k} {v:.3f}" for k, v in clock.seconds.items())
            click.echo(f"{sum(clock.seconds.values()):.2f} s: {steps}", err=True)
    if made and fmr is None and point.fmr > DEFAULT_FMR:
        loose = f"thresholds are for an FMR of {percent(point.fmr)}, not {percent(DEFAULT_FMR)}"
        click.echo(f"{loose}: this generator was measured on too few people", err=True)
    for photo in (photo for seen, *_ in made for photo in seen):
        note(photo.path, photo.crop)
        for error in photo.overridden:
            click.echo(f"{error}; enrolled all the same (--force)", err=True)
    if strangers:
        for _, _, p, at in made:
            if own := len(strangers.crops) - at.strangers:
                click.echo(f"{p.name}: faces of the cohort left out that may be this person's own: {own}", err=True)
        if strangers.more:
            click.echo(f"left out of the cohort: faces too like another one of it: {strangers.more}", err=True)
        for reason in strangers.left_out:
            click.echo(f"left out of the cohort: {reason}", err=True)
    for error in refused:
        click.echo(str(error), err=True)
    if refused:
        raise SystemExit(2)
