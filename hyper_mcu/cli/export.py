"""`hyper-mcu export`: a network for other runtimes, as C, as data for a firmware, and the library of that firmware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hyper_mcu.codegen.person import Person

SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "c": ".h", "bin": ".bin", "engine": ".h"}  # of a file
FOLDERS = ("tflm", "library")
FORMS = ("tflm", "tflite", "onnx", "c", "bin", "engine", "library")


def files_of(form: str, person: Person, out: Path, prefix: str) -> tuple[dict[Path, str | bytes], dict[str, Any]]:
    """What to write where, and what is to be told of it besides."""
    if form == "tflm":
        from hyper_mcu.codegen.emit_tflm import emit as emit_tflm

        made = emit_tflm(person)
        told = {"arena_bytes": made.arena_bytes, "measured_by": made.runtime, "operators": list(made.operators)}
        return {out / name: text for name, text in made.files.items()}, told | {"warnings": list(made.warnings)}
    if form == "tflite":
        from hyper_mcu.codegen.emit_tflite import export as export_tflite

        return {out: export_tflite(person)}, {}
    if form == "onnx":
        from hyper_mcu.codegen.emit_onnx import export as export_onnx

        return {out: export_onnx(person)}, {}
    if form == "bin":
        from hyper_mcu.codegen.person_bin import pack

        return {out: pack(person, for_device=True)}, {}
    if form == "engine":
        from hyper_mcu.device.engine import engine

        return {out: engine(person)}, {}
    if form == "library":
        from hyper_mcu.device.package import library

        return {out / name: data for name, data in library(person).items()}, {}
    from hyper_mcu.codegen.emit_c import emit as emit_c

    return {out: emit_c(person, prefix)}, {}


def check(form: str, out: Path, prefix: str, force: bool) -> None:
    """Raises UserError for a place, a prefix or a --force that does not go with the form."""
    from hyper_mcu.codegen.emit_c import PREFIX
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import check_place

    if prefix != PREFIX and form != "c":
        raise UserError("--prefix", f"export {form} has no C names to choose", "export c", prefix)
    if force and form not in FOLDERS:
        raise UserError("--force", f"export {form} replaces a file at --out in any case", "export tflm", form)
    if form in FOLDERS:
        if not (out if out.exists() else out.parent).is_dir():
            raise UserError(out, "cannot write", "a folder, or a new name in one", "a file" if out.exists() else "none")
        return
    if out.suffix != SUFFIXES[form]:
        raise UserError(out, "output", f"a name ending in {SUFFIXES[form]}", repr(out.name))
    check_place(out)


def check_yours(path: Path, content: str | bytes, is_example: bool = False) -> None:
    """Raises UserError where `path` is code of a user: C++ of tflm, or an example of the library, that is neither
    `content` nor marked as generated."""
    from hyper_mcu.codegen.emit_tflm import MARK, TEMPLATES
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import read

    if not (is_example or path.name in TEMPLATES) or not path.exists():
        return
    there = read(path, "C++").replace(b"\r\n", b"\n")
    made = content.encode("latin-1") if isinstance(content, str) else content
    if MARK.encode() not in there and there != made:
        raise UserError(path, "would replace code of your own", "--force, or that code under another name", "neither")


@click.command("export")
@click.argument("form", metavar="|".join(FORMS), type=click.Choice(FORMS))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A file; for tflm and library a folder.")
@click.option("--prefix", default="hm", show_default=True, help="Of the C names; of c alone.")
@click.option("--force", is_flag=True, help="Of tflm and library: replace code of yours, such as an edited main.cc.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(form: str, model: Path, out: Path, prefix: str, force: bool, as_json: bool) -> None:
    """Write the network in MODEL, a model.h or person.bin of enroll, for another runtime or for a firmware.

    \b
    tflm    a folder: .tflite, C array, operators, measured arena, head and main for TensorFlow Lite Micro
    tflite  the .tflite alone; it ends at the last map, for TFLite has no operator for the head
    onnx    integer operators only, the head and its logit with them
    c       model.h
    bin     person.bin as a device takes it, without what the host alone reads: it cannot be read back
    engine  hm_engine.h, the engine of MODEL's network and nobody's data, for a firmware whose people are data
    library a folder: that engine and the device's C, for Arduino, PlatformIO, ESP-IDF, Zephyr and CMake

    docs/runtimes.md says which runtimes compute the same bytes as the chip.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.files import check_other, check_place, write
    from hyper_mcu.codegen.person_file import person_file

    check(form, out, prefix, force)
    check_other("--out", out, [model])
    with cli.status() as progress:
        progress(f"exporting {model}")
        files, told = files_of(form, person_file(model), out, prefix)
    if form in FOLDERS:
        from hyper_mcu.device.package import EXAMPLES

        out.mkdir(exist_ok=True)
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            check_place(path)
            check_other("--out", path, [model])
            if not force:
                check_yours(path, content, path.relative_to(out).as_posix().startswith(EXAMPLES))
    for path, content in files.items():
        write(path, content)
    if form == "tflm":
        for path in sorted(set(out.glob("*.tflite")) - set(files)):
            click.echo(f"{path}: another person's network is still there", err=True)
    for warning in told.get("warnings", ()):
        click.echo(f"{out}: {warning}", err=True)
    if as_json:
        sizes = [{"path": str(path), "bytes": path.stat().st_size} for path in files]
        cli.emit_json({"model": str(model), "form": form, "files": sizes, **told})
        return
    for path in [out] if form == "library" else files:
        size = sum(p.stat().st_size for p in files) if form == "library" else path.stat().st_size
        click.echo(f"{path}: {size:,} B")
    if told:
        operators = ", ".join(told["operators"])
        click.echo(f"operators {operators}; arena {told['arena_bytes']:,} B, measured by {told['measured_by']}")
