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
@click.option("--trunk", type=click.Path(path_type=Path), help="A trunk.pt to start stage 2 from, instead of stage 1.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    data: Path, out: Path, netspec: str, cache: Path, settings: tuple[str, ...], trunk: Path | None, as_json: bool
) -> None:
    """Distil the shared trunk from the frozen backbone, train the personal tail, write OUT/generator.onnx.

    \b
    hyper-mcu train --data faces --out run --set trunk.steps=20000 --set personal.steps=2000
    """
    from hyper_mcu import cli
    from hyper_mcu.codegen.errors import UserError
    from hyper_mcu.codegen.presets import preset
    from hyper_mcu.faces.weights import locate, sha256_of

    try:
        import torch

        from hyper_mcu.hypertrain import data as reader
        from hyper_mcu.hypertrain import distill, finish, train
        from hyper_mcu.hypertrain.hgen import Shape
    except ImportError as e:
        raise UserError(
            "hyper-mcu train", "needs torch and onnx", "pip install 'hyper-mcu[train]'", e.name or ""
        ) from e
    for s in settings:
        if s.partition(".")[0] not in ("trunk", "personal", "shape"):
            raise UserError("--set", f"unknown stage in {s}", "trunk.…, personal.… or shape.…", s.partition(".")[0])
    spec = preset(netspec)
    first = override(distill.Config(), "trunk", settings)
    second = override(train.Config(), "personal", settings)
    shape = override(Shape(first=len(spec.stages) - 2), "shape", settings)
    faces = reader.load(data, "train.csv", locate("mbf-w600k"), cache)
    if trunk is None:
        shared = distill.train(spec, faces, first, out / "trunk")
    else:
        shared = distill.Trunk(spec, faces.embeddings.shape[2], 0)
        shared.load_state_dict(torch.load(trunk))
    hgen = train.train(shared, shape, faces, second, out / "personal")
    trained = {"trunk": vars(first) if trunk is None else str(trunk.name), "personal": vars(second)}
    measured = finish.finish(hgen, faces, ("mbf-w600k", sha256_of("mbf-w600k")), trained, out / "generator.onnx")
    if as_json:
        cli.emit_json({"generator": str(out / "generator.onnx"), **measured})
    else:
        click.echo(f"{out / 'generator.onnx'}: " + ", ".join(f"{k} {v:.4f}" for k, v in measured.items()))
