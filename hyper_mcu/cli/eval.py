"""`hyper-mcu eval`: ten folds of a face protocol through generated nets, float and int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

KINDS = ("int8", "float")
REASONS = 3  # named in the text; --json has all


@click.command("eval")
@click.argument("name", metavar="SET")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the set, or an InsightFace .bin file.")
@click.option("--pairs", type=click.Path(path_type=Path), help="Pair list; default: the usual name beside the images.")
@click.option("--protocol", type=click.Choice(["FF", "FP"]), help="Of cfp: frontal–frontal (default), frontal–profile.")
@click.option("--aligned", is_flag=True, help="Images are crops, 112×112 or 128×128 with a margin; else: raw photos.")
@click.option("--quality", is_flag=True, help="Refuse to enrol the raw photos that `enroll` would refuse.")
@click.option("--generator", type=click.Path(path_type=Path), help="Generator file; default: the shipped one.")
@click.option(
    "--engine", type=click.Choice(["twin", "c"]), default="twin", show_default=True,
    help="int8 by the integer oracle's twin in torch, or by the emitted C, compiled here.",
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), help="Write the DET curves as a PNG file.")
@click.option(
    "--cache", default=Path(".cache/hypertrain"), show_default=True, type=click.Path(path_type=Path),
    help="Found faces, decoded crops and embeddings.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    name: str,
    root: Path | None,
    pairs: Path | None,
    protocol: str | None,
    aligned: bool,
    quality: bool,
    generator: Path | None,
    engine: str,
    plot: Path | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Score every pair of SET in both directions: enrol one photo, ask its net about the other.

    SET is lfw, calfw, cplfw, cfp, agedb (AgeDB-30), vgg2-fp, a .bin file of InsightFace, or pairs: any folder with a
    pair list.

    \b
    hyper-mcu eval lfw --root lfw --pairs pairs.txt --json
    hyper-mcu eval cfp --root faces/cfp --protocol FP --plot det.png
    hyper-mcu eval calfw --root calfw/aligned --pairs pairs_CALFW.txt --aligned
    hyper-mcu eval agedb --root faces_emore        # finds agedb_30.bin there
    hyper-mcu eval my.bin

    Enrolling the first photo of a pair is the headline. The threshold of each fold is the best one on the other nine.
    float: the generated weights; int8: the integers that the chip computes.

    Raw photos go through the product's detector and aligner; of several faces the largest counts. A pair in which no
    face is found is a wrong decision whichever it is, and how many there are is printed.

    Pair lists: LFW's (NAME i j, and NAME i NAME j), CALFW's and CPLFW's (two lines a pair, IMAGE label), or one line a
    pair, IMAGE IMAGE label. A TAR at a false match rate that so few impostor pairs cannot show (rule of three) is
    printed as such.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen import files
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.generator import SHIPPED, load

    cli.require_training("eval")
    name, root = _set(name, root, protocol)
    if plot is not None:
        if plot.suffix.lower() != ".png":
            raise UserError("--plot", "output", "a name ending in .png", repr(plot.name))
        files.check_place(plot)
        if plot.exists() and plot.resolve().is_relative_to(root.resolve()):
            raise UserError("--plot", "would overwrite a file of the set", "another file", plot)
        files.check_other("--plot", plot, [p for p in (pairs, generator) if p is not None])
    from hyper_mcu.faces.backbone import backbone
    from hyper_mcu.hypertrain import plots, protocols, report

    g = load(generator or SHIPPED)
    with cli.bar() as (progress, _):
        chosen = protocols.load(
            name, root, cache, backbone(g.backbone), protocol=protocol or "FF", pairs=pairs, aligned=aligned,
            quality=quality, progress=progress,
        )  # fmt: skip
        scored = report.score(chosen, g, by_c=engine == "c", progress=progress)
    said = {"set": name, "protocol": (protocol or "FF") if name == "cfp" else None, "int8_by": engine}
    said |= report.summary(chosen, g, scored)
    if plot is not None:
        plots.det(scored.curves(), plot, f"{_title(said)}, {said['pairs']:,} pairs")
    if as_json:
        cli.emit_json(said)
    else:
        click.echo(text(said))


def _set(name: str, root: Path | None, protocol: str | None) -> tuple[str, Path]:
    """The name of the set and where it lies; raises UserError where they do not go together."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.hypertrain.protocols import SETS

    if name not in SETS:
        if not name.endswith(".bin"):
            raise UserError("SET", "unknown set", ", ".join(SETS) + ", or a .bin file", name)
        if root is not None:
            raise UserError("--root", "a folder for a .bin file", "one of them", root)
        name, root = "pairs", Path(name)
    if root is None:
        raise UserError("--root", "missing", "the folder of the set", "nothing")
    if protocol is not None and name != "cfp":
        raise UserError("--protocol", f"a protocol for {name}", "none, or the set cfp", protocol)
    return name, root


def text(said: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{_title(said)}, {said['pairs']:,} pairs ({said['genuine']:,} of one person, {said['impostor']:,} of two), "
        f"{said['folds']} folds, generator {said['generator_sha256'][:16]}",
        f"{'':22}{'accuracy':>16}{'EER':>9}   "
        + "".join(f"{f'TAR at FMR {k}':<24}" for k in said["int8"]["tar_at_fmr"]),
    ]
    parts = {
        "enrol first": said, "enrol second": said["enrolled_second"], "mean of both*": said["mean_of_both_directions"]
    }  # fmt: skip
    for direction, figures in parts.items():
        for kind in KINDS:
            f = figures[kind]
            accuracy = f"{f['accuracy_mean']:.2%} ± {f['accuracy_sd']:.2%}"
            tar = "".join(f"{_tar(t):<24}" for t in f["tar_at_fmr"].values())
            lines.append(f"{kind:6}{direction:16}{accuracy:>16}{f['eer']:>9.2%}   {tar}")
    lines.append("* takes two nets a pair, which no chip does")
    shown = [t for kind in KINDS for t in said[kind]["tar_at_fmr"].values()]
    if any(t["rough"] for t in shown):
        lines.append("~ rough: fewer than 30 false matches lie behind the threshold")
    for needs in sorted({t["needs"] for t in shown if not t["supported"]}):
        lines.append(f"– not to be shown with so few pairs of different people: {needs:,} would do (rule of three)")
    if said["broken"]:
        lines.append(f"images that are no whole picture: {said['broken_images']:,}: {_few(said['broken'])}")
    lines += [
        _failed("failure to enrol", said["failure_to_enrol"]),
        _failed("failure to acquire", said["failure_to_acquire"]),
    ]
    lines.append(f"pairs that count as errors, as a face was not found: {said['pairs_that_count_as_errors']:,}")
    return "\n".join(line.rstrip() for line in lines)


def _title(said: dict[str, Any]) -> str:
    return f"{said['set']} {said['protocol']}" if said["protocol"] else str(said["set"])


def _tar(t: dict[str, Any]) -> str:
    if not t["supported"]:
        return "–"
    return f"{'~' if t['rough'] else ''}{t['tar']:.1%} ({t['tar_low']:.1%}–{t['tar_high']:.1%})"


def _failed(what: str, f: dict[str, Any]) -> str:
    named = f": {_few(f['images'])}" if f["images"] else ""
    return f"{what}: {f['failed']:,} of {f['photos']:,} photos ({f['rate']:.2%}){named}"


def _few(images: list[dict[str, str]]) -> str:
    """The first images with their reasons, and how many more there are."""
    named = "; ".join(f"{i['image']}: {i['reason']}" for i in images[:REASONS])
    return named + (f"; and {len(images) - REASONS:,} more" if len(images) > REASONS else "")
