"""`hyper-mcu ablate`: the rows of the paper's Table II on a data set of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hyper_mcu.hypertrain.ablate import Row
    from hyper_mcu.hypertrain.config import Config


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
    "--cache", default=Path(".cache/hypertrain"), type=click.Path(path_type=Path), help="Decoded crops and embeddings."
)
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
    Figures: EER on the held-out people, and ten-fold accuracy on each evaluation set, float.

    \b
    hyper-mcu ablate --data faces --eval cfp-ff=faces/cfp --eval cfp-fp=faces/cfp --out ablations
    hyper-mcu ablate --data faces --out ablations --rows full,no-kcs --seeds 5
    """
    import json

    from hyper_mcu import cli

    cli.require_training("ablate")
    from hyper_mcu.hypertrain import ablate, config, pipeline, protocols
    from hyper_mcu.hypertrain.data import load as loaded

    base = config.read(config.find(settings), [f"data.root={json.dumps(str(data))}", *overrides])
    chosen = _chosen(ablate.rows(base), rows)
    places = [_place(s) for s in sets]
    with cli.bar() as (say, watch):
        h_bb = pipeline.backbone_of(base.backbone)
        for name, protocol, root in places:  # what cannot be opened is said before hours of training
            protocols.load(name, root, cache, h_bb, protocol=protocol, aligned=True, progress=say)
        d = base.data
        ablate.check(base, chosen, loaded(data, cache, h_bb, d.kind, d.held_out, d.decoded, say))

        def measure(c: Config, folder: Path) -> dict[str, float]:
            def told(text: str, done: float) -> None:
                watch(f"{folder.parent.name}, seed {folder.name}: {text}", done)

            trained = pipeline.run(c, folder, cache, resume=True, say=say, watch=told, trunks=out / "trunks")
            reached = {"val EER": ablate.held_out_error(trained)}
            h_bb = pipeline.backbone_of(c.backbone)
            for name, protocol, root in places:
                found = protocols.load(name, root, cache, h_bb, protocol=protocol, aligned=True, progress=say)
                reached[name + (f"-{protocol.lower()}" if name == "cfp" else "")] = ablate.accuracy(trained, found)
            return reached

        found = ablate.run(base, chosen, seeds, out, measure)
    if as_json:
        titles = {name: row.title for name, row in chosen.items()}
        cli.emit_json({"config": json.loads(base.to_json()), "titles": titles, "rows": found})
    else:
        click.echo(ablate.table(chosen, found))


def _chosen(rows: dict[str, Row], wanted: str | None) -> dict[str, Row]:
    from hyper_mcu.codegen.errors import UserError

    names = wanted.split(",") if wanted else list(rows)
    for name in names:
        if name not in rows:
            raise UserError("--rows", "unknown row", ", ".join(rows), name)
    return {name: row for name, row in rows.items() if name in names}


def _place(text: str) -> tuple[str, str, Path]:
    """Name, protocol and root of `SET=ROOT`."""
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.hypertrain.protocols import SETS

    name, equals, root = text.partition("=")
    plain, _, kind = name.partition("-f")
    protocol = f"F{kind.upper()}" if plain == "cfp" and kind in ("f", "p") else "FF"
    plain = "cfp" if plain == "cfp" and kind else name
    if not (equals and root) or plain not in SETS or name == "cfp":
        known = ", ".join("cfp-ff, cfp-fp" if s == "cfp" else s for s in SETS if s != "pairs")
        raise UserError("--eval", "unknown evaluation set", f"SET=ROOT with one of {known}", text)
    return plain, protocol, Path(root)
