"""`hyper-mcu train`: a data set and settings in, a generator file out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyper_mcu.cli.inspect import rates_text

if TYPE_CHECKING:
    from hyper_mcu.hypertrain.pipeline import Trained

RESULT = "trained.json"  # in OUT, once a run is complete
CACHE = Path(".cache/hypertrain")


@click.command("train")
@click.option(
    "--config",
    "settings",
    show_default="product; of OUT with --resume",
    help="TOML file of settings, or one that comes along: product, paper, tiny (a first try, in minutes), ablation.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the training set; the same as data.root.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Over the file's settings; repeatable."
)
@click.option(
    "--resume", is_flag=True, help="Go on with the run in OUT, with its settings, or begin it where there is none."
)
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
    "--cache", default=CACHE, show_default=True, type=click.Path(path_type=Path), help="Decoded crops and embeddings."
)
@click.option("--show", is_flag=True, help="Print the settings in force as JSON and stop.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    settings: str | None,
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
    SIGTERM or Ctrl-C finishes the step and saves. Many processes or machines: under torchrun, with OUT shared. When all
    is done, OUT/trained.json has what --json prints.

    \b
    hyper-mcu train --data faces --out run
    hyper-mcu train --out run --resume
    hyper-mcu train --config paper --data ms1mv2 --out run --set hyper.beta=4 --set backbone.name=my.onnx
    torchrun --nproc-per-node 8 --no-python hyper-mcu train --config paper --data ms1mv2 --out run
    """
    import json

    from hyper_mcu import cli
    from hyper_mcu.codegen import files
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.progress import Event

    cli.require_training("train")
    from hyper_mcu.hypertrain import config, loop, pipeline, processes

    given = [*overrides]
    if data is not None:
        given.append(f"data.root={json.dumps(str(data))}")
    if device is not None:
        given.append(f"run.device={device}")
    begins = {"warm": warm, "generator" if begin and begin.suffix == ".onnx" else "trunk": begin}
    given += [f"start.{how}={json.dumps(str(path))}" for how, path in begins.items() if path is not None]
    before = pipeline.began(out) if resume else None
    file = None if settings is None and before else config.find(settings or "product")
    c = config.read(file, given, before)
    if before:
        pipeline.agree(c, before)
    if show:
        click.echo(json.dumps(json.loads(c.to_json()), indent=2))
        return
    if not c.data.root and resume:
        raise UserError(out, "no run to go on with", "--data FOLDER, to begin one", f"no {pipeline.CONFIG}")
    if not c.data.root:
        raise UserError("hyper-mcu train", "no training set", "--data FOLDER or data.root", "nothing")
    with processes.joined(), cli.bar(processes.rank() == 0) as (say, watch):
        first = processes.rank() == 0
        told = _complete(out) if before else None
        if told:
            say(Event(f"{out}: complete, nothing is left to do"))
        else:
            try:
                trained = pipeline.run(c, out, cache, resume, say, watch)
            except loop.StoppedError as e:
                again = ["hyper-mcu", "train", "--out", str(out), "--resume"]
                again += ["--cache", str(cache)] if cache != CACHE else []
                launch = "torchrun … --no-python " if processes.size() > 1 else ""
                raise UserError(e.where, f"{e.what}; go on with: {launch}{shlex.join(again)}") from e
            if first:  # it alone has written and measured
                told = _told(out, trained)
                files.write(out / RESULT, cli.as_json(told) + "\n")
    if told and first and as_json:
        cli.emit_json(told)
    elif told and first:
        click.echo(text(told))


def _told(out: Path, trained: Trained) -> dict[str, Any]:
    """What a run made, as plain values; rates 0…1."""
    from dataclasses import asdict

    path, m = trained.generator, trained.measured
    return {
        "out": str(out),
        "generator": str(path) if path else None,
        "generator_sha256": _sha256(path) if path else None,
        "stages": [asdict(stage) for stage in trained.stages],
        "broken_images": len(trained.faces.broken),
        "held_out": {**m.rates.told(), "eer_int8": m.eer_int8, "eer_float": m.eer_float} if m else None,
    }


def _complete(out: Path) -> dict[str, Any] | None:
    """What is known of the run in OUT, if it is complete and its generator is still the one that it made."""
    import json

    path = out / RESULT
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if told["generator"] is None:
        return {**told, "out": str(out)}
    made = out / Path(told["generator"]).name
    if not made.is_file() or _sha256(made) != told["generator_sha256"]:
        return None
    return {**told, "out": str(out), "generator": str(made)}


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def text(told: dict[str, Any]) -> str:
    """The end of a run for people; rates in percent."""
    held_out = told["held_out"]
    made = f"{told['generator']}: SHA-256 {told['generator_sha256']}"
    lines = [made if held_out else f"{told['out']}: no generator, as these nets are for comparison"]
    for s in told["stages"]:
        best = f"best at step {s['best_step']:,}, EER {s['check_eer']:.2%} by its own check"
        lines.append(f"{s['stage']}: {s['steps']:,} steps in {_duration(s['seconds'])}, {best}")
    if held_out:
        lines += [
            f"generator, on held-out people: EER {held_out['eer_int8']:.2%} int8, {held_out['eer_float']:.2%} float",
            rates_text(held_out),
        ]
    lines.append(f"broken images left out: {told['broken_images']:,}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
