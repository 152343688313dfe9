"""`hyper-mcu eval`: ten folds of a face protocol through generated nets, float and int8."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click


@click.command("eval")
@click.argument("name", metavar="SET", type=click.Choice(["cfp"]))
@click.option(
    "--root",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the set: cfp.csv, its shards and Protocol/.",
)
@click.option(
    "--protocol",
    default="FF",
    show_default=True,
    type=click.Choice(["FF", "FP"]),
    help="Frontal–frontal or frontal–profile.",
)
@click.option("--generator", type=click.Path(path_type=Path), help="Generator file; default: the shipped one.")
@click.option(
    "--cache", default=Path(".cache/hypertrain"), type=click.Path(path_type=Path), help="Decoded crops and embeddings."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(name: str, root: Path, protocol: str, generator: Path | None, cache: Path, as_json: bool) -> None:
    """Score every pair of a protocol: enrol the first photo, ask its net about the second.

    The threshold of each fold is the best one on the other nine. float: the generated weights; int8: the integers that
    the chip computes.

    \b
    hyper-mcu eval cfp --root faces/cfp --protocol FF
    """
    from hyper_mcu import cli
    from hyper_mcu.generator import SHIPPED, load

    cli.require_training("eval")
    from hyper_mcu.hypertrain import data, evaluate
    from hyper_mcu.hypertrain import protocol as protocols

    g = load(generator or SHIPPED)
    with cli.status() as progress:
        faces = data.load(root, f"{name}.csv", cache, progress)
        pairs = protocols.cfp_pairs(root, faces, protocol)
        progress(f"scoring {len(pairs.same)} pairs")
        scores = evaluate.score_pairs(g.spec, g.weights, g.scales, faces, pairs)
    found = {k: evaluate.figures(v, pairs) for k, v in scores.items()}
    if as_json:
        cli.emit_json(
            {
                "set": name, "protocol": protocol, "pairs": len(pairs.same), "generator_sha256": g.sha256,
                **{k: asdict(f) for k, f in found.items()},
            }
        )  # fmt: skip
        return
    click.echo(f"{name} {protocol}, {len(pairs.same)} pairs, ten folds, generator {g.sha256[:16]}")
    for k, f in found.items():
        click.echo(f"{k:6} accuracy {f.accuracy_mean:.2%} ± {f.accuracy_sd:.2%}   EER {f.eer:.2%}")
