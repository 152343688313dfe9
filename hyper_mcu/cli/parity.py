"""`hyper-mcu parity`: every byte of a person's network, computed everywhere, against the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hyper_mcu.codegen.netspec import NetSpec
    from hyper_mcu.codegen.parity import Outcome
    from hyper_mcu.codegen.person import Person

HEADER = ("backend", "images", "result", "layers_sha256", "compile s", "run s")


def seeded(p: Person, count: int) -> list[NDArray[np.uint8]]:
    """Generated images; the first is the one of the known answer."""
    from hyper_mcu.codegen.oracle import known_image

    return [known_image(p.qnet.spec, (p.known.seed - 1 + i) % (2**32 - 1) + 1) for i in range(count)]


def check_known(model: Path, p: Person) -> None:
    """Raises UserError where the known answer is not the oracle's: every self-test of this person would fail."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.oracle import known_image, run

    found = run(p.qnet, known_image(p.qnet.spec, p.known.seed))
    if (found.logit, found.layers_sha256) != (p.known.logit, p.known.layers_sha256):
        want, got = (f"{x.logit} {x.layers_sha256[:16]}" for x in (found, p.known))
        raise UserError(model, "known answer", f"the oracle's, {want}", got)


def crops(folder: Path, spec: NetSpec, count: int) -> list[NDArray[np.uint8]]:
    """The first `count` pictures below a folder, by name: of the net's size, or with the same margin on all sides; an
    .rgb is the bytes of a crop, as `verify --crop` writes them.

    Raises UserError where there is none, and for a picture that is broken or of another size.
    """
    import numpy as np

    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.files import read
    from hyper_mcu.faces.photo import read_photo

    suffixes = (".rgb", ".jpg", ".jpeg", ".png", ".webp", ".bmp")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)[:count]
    if not paths:
        raise UserError(folder, "no pictures", "crops as " + ", ".join(suffixes), "none")
    images = []
    for path in paths:
        if path.suffix.lower() == ".rgb":
            data = read(path, "crop")
            if len(data) != spec.input_bytes:
                raise UserError(path, "not a crop", f"{spec.input_bytes} bytes", f"{len(data)}")
            images.append(np.frombuffer(data, np.uint8).reshape(spec.height, spec.width, spec.channels))
            continue
        image = read_photo(path)
        h, w = image.shape[:2]
        y, x = (h - spec.height) // 2, (w - spec.width) // 2
        if (h, w) != (spec.height + 2 * y, spec.width + 2 * x) or x != y or x < 0:
            size = f"{spec.width}×{spec.height} pixels, or an even margin around them"
            raise UserError(path, "not a crop", size, f"{w}×{h}")
        images.append(image[y : y + spec.height, x : x + spec.width])
    return images


def as_json(o: Outcome) -> dict[str, Any]:
    """An outcome as `--json` prints it."""
    f = o.first
    return {
        "name": o.backend.name,
        "place": o.backend.place,
        "exact": o.backend.exact,
        "status": o.status,
        "tool": o.tool,
        "images": o.images,
        "sha256": o.sha256,
        "oracle_sha256": o.oracle_sha256,
        "reason": o.reason,
        "elements": o.elements,
        "differing": o.differing,
        "changed_verdicts": o.verdicts,
        "first": f and {"image": f.image, "stage": f.stage, "index": f.index, "want": f.want, "got": f.got},
        "compile_seconds": round(o.compile_seconds, 3),
        "run_seconds": round(o.run_seconds, 3),
    }


def word(o: Outcome) -> str:
    """What the table says of an outcome."""
    if o.status == "different":
        return "DIFFERENT" if o.backend.exact else "differs"
    return o.status.replace("_", " ")


def cells(o: Outcome) -> tuple[str, ...]:
    """An outcome as its line of the table."""
    times = ("", "") if o.status == "not_run" else (f"{o.compile_seconds:.1f}", f"{o.run_seconds:.1f}")
    return (o.backend.name, str(o.images), word(o), o.sha256[:12], *times)


def remark(o: Outcome) -> str:
    """Why a backend has not run, or what differs."""
    if o.status == "not_run":
        return f"{o.backend.name}: not run: {o.reason}"
    elements = f"{o.differing:,} of {o.elements:,} elements and {o.verdicts} of {o.images} verdicts"
    said = o.reason or f"{elements} are others; first in {o.first}"
    what = "DIFFERENT" if o.backend.exact else "failed" if o.reason else "rounds otherwise"
    return f"{o.backend.name}: {what}: {said}"


def remarks(outcomes: list[Outcome]) -> list[str]:
    """What the table has no room for: what differs, what is missing, whole hashes, tools."""
    hashes = {f"oracle on {o.images} images: {o.oracle_sha256}" for o in outcomes}
    tools = dict.fromkeys(part for o in outcomes for part in o.tool.split(", ") if part)
    return [*(remark(o) for o in outcomes if o.status != "identical"), *sorted(hashes), f"by {', '.join(tools)}"]


@click.command("parity")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--backends",
    metavar="NAME[,NAME]",
    help="Only these, or groups of them: in-process, host, emulated; an unknown name lists them all.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of crops, .rgb or pictures of 112×112 pixels or 128×128 with a margin; else generated images.",
)
@click.option(
    "--count", default=100, show_default=True, metavar="N", type=click.IntRange(min=1), help="How many images, at most."
)
@click.option("--all", "everywhere", is_flag=True, help="All images on all emulated cores; else 10, but on m4.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
def command(
    model: Path, backends: str | None, images: Path | None, count: int, everywhere: bool, json_wanted: bool
) -> None:
    """Run MODEL's network on every backend and compare every byte of every stage with the oracle's.

    Backends are NumPy, torch, ONNX, TFLite Micro, LiteRT, the emitted C by several compilers, and emulated cores. What
    is not installed is named and has not run. Of runtimes that round otherwise the differences are counted.

    Exit code 0: identical on every exact backend that ran, 1: one differs, 2: error, or none ran beside the oracle.
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.backends.table import BACKENDS, backends_named
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.parity import differs, exact, identical, parity, plans
    from hyper_mcu.codegen.person_file import person_file

    chosen = BACKENDS if backends is None else backends_named([name.strip() for name in backends.split(",")])
    p = person_file(model)
    outcomes: list[Outcome] = []
    with cli.bar() as (say, _):
        say("reading images")
        shown = seeded(p, count) if images is None else crops(images, p.qnet.spec, count)
        say("asking the oracle")
        check_known(model, p)
        for outcome in parity(p, shown, plans(chosen, len(shown), everywhere)):
            outcomes.append(outcome)
            say(f"parity of {p.name}: {len(outcomes)} of {len(chosen)} backends")
    if json_wanted:
        source = "generated" if images is None else str(images)
        cli.emit_json(
            {
                "identical": identical(outcomes), "model": str(model), "name": p.name, "images": len(shown),
                "source": source, "backends": [as_json(o) for o in outcomes],
            }
        )  # fmt: skip
    else:
        click.echo(cli.framed(HEADER, map(cells, outcomes)))
        click.echo("\n".join(remarks(outcomes)))
        ran = exact(outcomes)
        same = sum(o.status == "identical" for o in ran)
        verdict = "identical" if identical(outcomes) else "DIFFERENT" if differs(outcomes) else "nothing to compare"
        source = "generated images" if images is None else f"crops of {images}"
        held = f"{same} of {len(ran)} exact backends identical to the oracle"
        click.echo(f"{verdict}: {p.name} on {len(shown)} {source}, {held}")
    if differs(outcomes):
        raise SystemExit(1)
    if not identical(outcomes):
        raise UserError("parity", "no exact backend ran", "one beside the oracle", "none")
