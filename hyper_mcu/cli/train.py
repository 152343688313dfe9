"""`hyper-mcu train`: a data set and settings in, a generator file out."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("train")
@click.option(
    "--config",
    "settings",
    default="product",
    show_default=True,
    help="TOML file of settings, or one that comes along: product, paper, ablation.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the training set; the same as data.root.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Over the file's settings; repeatable."
)
@click.option("--resume", is_flag=True, help="Go on with the run in OUT, or begin it where there is none.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="The same as run.device.")
@click.option(
    "--warm",
    type=click.Path(path_type=Path),
    help="What stage distill goes on from: a checkpoint of it, or a generator.",
)
@click.option(
    "--from",
    "begin",
    type=click.Path(path_type=Path),
    help="Instead of stage distill: a checkpoint of it, or a generator.onnx, whose personal part goes on too.",
)
@click.option(
    "--cache", default=Path(".cache/hypertrain"), type=click.Path(path_type=Path), help="Decoded crops and embeddings."
)
@click.option("--show", is_flag=True, help="Print the settings in force as JSON and stop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    settings: str,
    data: Path | None,
    out: Path,
    overrides: tuple[str, ...],
    resume: bool,
    device: str | None,
    warm: Path | None,
    begin: Path | None,
    cache: Path,
    show: bool,
    as_json: bool,
) -> None:
    """Train h_gen on a folder of faces and write OUT/generator.onnx.

    Stages: distill (a shared trunk from the frozen backbone), hyper (h_gen by the paper's loss), or direct (f without
    h). Each has a section of the settings and a folder in OUT, with log.jsonl, tensorboard/ and checkpoints.

    The data set: a folder for each identity, tar shards with train.csv, WebDataset, InsightFace records or parquet.
    SIGTERM or Ctrl-C finishes the step and saves. Many processes or machines: under torchrun, with OUT shared.

    \b
    hyper-mcu train --data faces --out run
    hyper-mcu train --data faces --out run --resume
    hyper-mcu train --config paper --data ms1mv2 --out run --set hyper.beta=4 --set backbone.name=my.onnx
    torchrun --nproc-per-node 8 --no-python hyper-mcu train --config paper --data ms1mv2 --out run
    """
    import json

    from hyper_mcu import cli
    from hyper_mcu.codegen.errors import UserError

    cli.require_training("train")
    from hyper_mcu.hypertrain import config, pipeline, processes

    given = [*overrides]
    if data is not None:
        given.append(f"data.root={json.dumps(str(data))}")
    if device is not None:
        given.append(f"run.device={device}")
    begins = {"warm": warm, "generator" if begin and begin.suffix == ".onnx" else "trunk": begin}
    given += [f"start.{how}={json.dumps(str(path))}" for how, path in begins.items() if path is not None]
    c = config.read(config.find(settings), given)
    if show:
        click.echo(json.dumps(json.loads(c.to_json()), indent=2))
        return
    if not c.data.root:
        raise UserError("hyper-mcu train", "no training set", "--data FOLDER or data.root", "nothing")
    with processes.joined(), cli.bar(processes.rank() == 0) as (say, watch):
        trained = pipeline.run(c, out, cache, resume, say, watch)
        first = processes.rank() == 0
    if as_json and first:
        cli.emit_json({"generator": str(trained.generator) if trained.generator else None, **trained.measured})
    elif first:
        click.echo(f"{trained.generator or out}: " + ", ".join(f"{k} {v:.4f}" for k, v in trained.measured.items()))
