"""`hyper-mcu ablate`: the rows of the paper's Table II on a data set of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from hyper_mcu.hypertrain.ablate import Found, Row
    from hyper_mcu.hypertrain.config import Config
    from hyper_mcu.hypertrain.protocols import EvalSet

PROTOCOLS = {"cfp-ff": "FF", "cfp-fp": "FP"}
SETS = ("lfw", "calfw", "cplfw", *PROTOCOLS, "agedb", "vgg2-fp")


class Place(NamedTuple):
    """Name and protocol of an evaluation set as protocols.load takes them, and where it lies."""

    name: str
    protocol: str
    root: Path


@click.command("ablate")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of the training set.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for a folder a run.")
@click.option(
    "--eval", "sets", multiple=True, metavar="SET=ROOT",
    help="An evaluation set of aligned crops: lfw, calfw, cplfw, cfp-ff, cfp-fp, agedb, vgg2-fp; repeatable.",
)  # fmt: skip
@click.option("--config", "settings", default="ablation", show_default=True, help="Settings of the base: see train.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Over the base; repeatable.")
@click.option("--rows", help="Some of direct, layers, no-kcs, no-norm, full, large, with commas; default: all.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Runs of each row.")
@click.option(
    "--cache", default=Path(".cache/hypertrain"), show_default=True, type=click.Path(path_type=Path),
    help="Decoded crops and embeddings.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    data: Path,
    out: Path,
    sets: tuple[str, ...],
    settings: str,
    overrides: tuple[str, ...],
    rows: str | None,
    seeds: int,
    cache: Path,
    as_json: bool,
) -> None:
    """Train every row of Table II over several seeds and print mean ± SD.

    A run that is done is not made again, one that was stopped goes on: call it once more to finish or to add seeds.
    Figures: EER on the held-out people, and ten-fold accuracy on each evaluation set, float. Whenever a run is done,
    OUT/table.md has the table and OUT/table.json what --json prints, as far as they are.

    \b
    hyper-mcu ablate --data faces --eval cfp-ff=faces/cfp --eval cfp-fp=faces/cfp --out ablations
    hyper-mcu ablate --data faces --out ablations --rows full,no-kcs --seeds 5
    """
    import json

    from hyper_mcu import cli

    cli.require_training("ablate")
    from hyper_mcu.codegen import files
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.hypertrain import ablate, config, loop, pipeline, protocols
    from hyper_mcu.hypertrain.data import load as loaded

    base = config.read(config.find(settings), [f"data.root={json.dumps(str(data))}", *overrides])
    chosen = _chosen(ablate.rows(base), rows)
    places = _places(sets)
    with cli.bar() as (say, watch):

        def opened(place: Place, c: Config) -> EvalSet:
            h_bb = pipeline.backbone_of(c.backbone)
            return protocols.load(
                place.name, place.root, cache, h_bb, protocol=place.protocol, aligned=True, progress=say
            )

        # what cannot be opened is said before hours of training
        there = {key: opened(place, base) for key, place in places.items()}
        d = base.data
        faces = loaded(data, cache, pipeline.backbone_of(base.backbone), d.kind, d.held_out, d.decoded, say)
        ablate.check(base, chosen, faces)
        about = ablate.about(base, seeds, faces, there)
        del there, faces  # of some gigabytes

        def measure(c: Config, folder: Path) -> dict[str, float]:
            def told(text: str, done: float) -> None:
                watch(type(text)(f"{folder.parent.name}, seed {folder.name}: {text}"), done)

            try:
                trained = pipeline.run(c, folder, cache, resume=True, say=say, watch=told, trunks=out / ablate.TRUNKS)
            except loop.StoppedError as e:
                raise UserError(f"{folder.parent.name}, seed {folder.name}", f"{e}; call it again to go on") from e
            reached = {"val EER": ablate.held_out_error(trained)}
            return reached | {key: ablate.accuracy(trained, opened(place, c)) for key, place in places.items()}

        def tell(found: Found) -> None:
            files.write(out / "table.json", cli.as_json(about | ablate.summary(chosen, found)) + "\n")
            files.write(out / "table.md", ablate.table(chosen, found) + "\n")

        found = ablate.run(base, chosen, seeds, out, measure, tell)
    if as_json:
        cli.emit_json(about | ablate.summary(chosen, found))
    else:
        click.echo(ablate.table(chosen, found))


def _chosen(rows: dict[str, Row], wanted: str | None) -> dict[str, Row]:
    from hyper_mcu.codegen.errors import UserError

    names = wanted.split(",") if wanted else list(rows)
    for name in names:
        if name not in rows:
            raise UserError("--rows", "unknown row", ", ".join(rows), name)
    return {name: row for name, row in rows.items() if name in names}


def _places(sets: tuple[str, ...]) -> dict[str, Place]:
    """Where each evaluation set lies, by its name in the table."""
    from hyper_mcu.codegen.errors import UserError

    found: dict[str, Place] = {}
    for text in sets:
        key, place = _place(text)
        if key in found:
            raise UserError("--eval", f"{key} twice", "each set once", text)
        found[key] = place
    return found


def _place(text: str) -> tuple[str, Place]:
    """Name in the table and place of `SET=ROOT`."""
    from hyper_mcu.codegen.errors import UserError

    key, equals, root = text.partition("=")
    if not (equals and root) or key not in SETS:
        raise UserError("--eval", "unknown evaluation set", f"SET=ROOT with one of {', '.join(SETS)}", text)
    return key, Place("cfp" if key in PROTOCOLS else key, PROTOCOLS.get(key, "FF"), Path(root))
