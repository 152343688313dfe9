"""`hyper-mcu train`: the shared trunk, then what is personal, then the generator file."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click


def override(config: Any, stage: str, settings: tuple[str, ...]) -> Any:
    """The frozen config with the `stage.key=value` settings of its stage applied; raises UserError for an unknown key
    or a value of another type."""
    from hyper_mcu.codegen.errors import UserError

    types = {f.name: type(getattr(config, f.name)) for f in fields(config)}
    for setting in settings:
        key, _, value = setting.partition("=")
        head, _, name = key.partition(".")
        if head != stage:
            continue
        if name not in types:
            raise UserError("--set", f"unknown key {key}", ", ".join(f"{stage}.{t}" for t in types), name or "nothing")
        try:
            config = replace(config, **{name: types[name](value)})
        except ValueError as e:
            raise UserError("--set", key, types[name].__name__, value) from e
    return config


@click.command("train")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Folder with train.csv and its tar shards."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for logs, checkpoints and generator.onnx."
)
@click.option("--netspec", default="paper", show_default=True, help="Preset of the architecture of f.")
@click.option(
    "--cache", default=Path(".cache/hypertrain"), type=click.Path(path_type=Path), help="Decoded crops and embeddings."
)
@click.option(
    "--set", "settings", multiple=True, metavar="STAGE.KEY=VALUE", help="trunk.…, personal.… or shape.…; repeatable."
)
@click.option("--from", "start", type=click.Path(path_type=Path), help="A trunk.pt or generator.onnx: no stage 1.")
@click.option("--warm", type=click.Path(path_type=Path), help="A trunk.pt that stage 1 goes on from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    data: Path,
    out: Path,
    netspec: str,
    cache: Path,
    settings: tuple[str, ...],
    start: Path | None,
    warm: Path | None,
    as_json: bool,
) -> None:
    """Distil the shared trunk from the frozen backbone, train what is personal, write OUT/generator.onnx.

    OUT/trunk/log.jsonl and OUT/personal/log.jsonl tell how it goes. personal.steps=0 leaves stage 2 out. From a
    generator.onnx, training goes on from its own weights; a lower shape.first then makes more stages personal.

    \b
    hyper-mcu train --data faces --out run --set trunk.steps=20000 --set personal.steps=2000
    hyper-mcu train --data faces --out more --from run/generator.onnx --set personal.steps=500
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.presets import preset
    from hyper_mcu.faces.backbone import backbone

    cli.require_training("train")
    from hyper_mcu.hypertrain import checkpoint, distill, export, finish, train
    from hyper_mcu.hypertrain import data as reader
    from hyper_mcu.hypertrain.hgen import Shape

    for s in settings:
        if s.partition(".")[0] not in ("trunk", "personal", "shape"):
            raise UserError("--set", f"unknown stage in {s}", "trunk.…, personal.… or shape.…", s.partition(".")[0])
    if start is not None and (warm is not None or any(s.startswith("trunk.") for s in settings)):
        raise UserError("--from", "leaves stage 1 out", "neither --warm nor --set trunk.…", "one of them")
    spec = preset(netspec)
    first = override(distill.Config(), "trunk", settings)
    second = override(train.Config(), "personal", settings)
    shape = override(Shape(first=max(len(spec.stages) - 2, 0)), "shape", settings)
    expected = backbone(reader.BACKBONE)
    train.check_shape(spec, shape, expected.dimension)
    trunk = distill.Trunk(spec, expected.dimension, 0)
    hgen = None
    if start is not None and start.suffix == ".onnx":
        found, meta = export.restore(start)
        if found.spec.sha256 != spec.sha256:
            want, got = (f"{s.id} {s.sha256[:16]}" for s in (spec, found.spec))
            raise UserError(start, "generator of another NetSpec", want, got)
        backbone_sha256 = meta.get("backbone_sha256", "")
        if backbone_sha256 != expected.sha256:
            want, got = (h[:16] for h in (expected.sha256, backbone_sha256))
            raise UserError(start, "generator of another backbone", want, got)
        hgen = train.grown(found, override(found.shape, "shape", settings), second.seed)
    elif start is not None:
        checkpoint.load(start, trunk, spec, expected.sha256)
    with cli.status() as progress:
        faces = reader.load(data, "train.csv", cache, progress)
        reader.check_people(faces)
        if start is None:
            trunk = distill.train(spec, faces, first, out / "trunk", warm, progress)
        if hgen is None:
            hgen = train.from_trunk(trunk, shape, second.seed)
        hgen = train.train(hgen, faces, second, out / "personal", progress)
        progress("scales and threshold")
        ran = {"trunk": vars(first) if start is None else {}, "personal": vars(second) if second.steps else {}}
        trained = {"from": start.name if start else warm.name if warm else "", **ran}
        measured = finish.finish(hgen, faces, (reader.BACKBONE, faces.backbone_sha256), trained, out / "generator.onnx")
    if as_json:
        cli.emit_json({"generator": str(out / "generator.onnx"), **measured})
    else:
        click.echo(f"{out / 'generator.onnx'}: " + ", ".join(f"{k} {v:.4f}" for k, v in measured.items()))
