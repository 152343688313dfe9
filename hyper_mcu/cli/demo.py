"""`hyper-mcu demo`: one photo to two verdicts on an emulated Cortex-M4, and where the time went."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--out",
    default=Path("hyper-mcu-demo"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for model.h.",
)
@click.option("--target", default="m4", show_default=True, help="host, or an emulated core.")
def command(out: Path, target: str) -> None:
    """Enrol a portrait, then ask the emulated core about a team photo with the same man and about an astronaut."""
    from hyper_mcu import cli, enroll
    from hyper_mcu.cli.verify import as_text
    from hyper_mcu.codegen.emit_c import emit
    from hyper_mcu.codegen.files import check_place, write
    from hyper_mcu.codegen.person_file import person_file
    from hyper_mcu.codegen.targets import target_named
    from hyper_mcu.faces import face_crops
    from hyper_mcu.faces.weights import demo_photo
    from hyper_mcu.generator import load
    from hyper_mcu.probe import ask

    clock = enroll.Stopwatch()
    target_named(target)
    check_place(out / "model.h" if out.exists() else out)
    out.mkdir(exist_ok=True)
    portrait, team = demo_photo("yaoming.jpg"), demo_photo("players.jpg")
    stranger = Path(__file__).resolve().parents[1] / "demo" / "astronaut.jpg"
    model = out / "model.h"
    with cli.status() as progress:
        progress("loading the generator")
        generator = load()
        clock("load the generator")
        progress(f"enrolling {portrait.name}")
        (crop,) = face_crops(portrait, None, "enrol")
        clock("find and align the face")
        made = enroll.person("yaoming", enroll.embedding(crop, generator.backbone, clock), generator, clock)
        write(model, emit(made))
        clock("emit C")
    click.echo(
        f"{portrait.name} → {model}: {made.qnet.spec.params:,} parameters, {made.qnet.spec.macs / 1e6:.2f} M MACs\n"
    )
    person = person_file(model)
    for photo, which in ((team, "any"), (stranger, None)):
        with cli.status() as progress:
            progress("looking for faces")
            answer = ask(face_crops(photo, which, "probe"), model, person, [target], progress)
        clock(f"ask about {photo.name}")
        click.echo(as_text(answer, Path(photo.name), person) + "\n")
    total = sum(clock.seconds.values())
    click.echo(f"where {total:.1f} s went: " + ", ".join(f"{k} {v:.2f}" for k, v in clock.seconds.items()))
