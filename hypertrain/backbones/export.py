"""A checkpoint's backbone as an ONNX file, so that enrolment, which has no torch, runs the very one of training."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import torch

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.backbone import CHECKPOINTS, backbone, split
from hyper_mcu.hypertrain import backbones

OPSET = 17


def beside(name: str, folder: Path, weights: Path | None = None, fetch: backbones.Fetched | None = None) -> None:
    """Puts what enrolment needs of a backbone, and no package has, into the folder of a generator trained with it.

    weights, fetch: the checkpoint of one of CHECKPOINTS, as `backbones.load` takes it. A user's own ONNX file is copied
    with its settings; the product's backbones need nothing. Raises UserError where it cannot be written.
    """
    plain, _ = split(name)
    if plain in CHECKPOINTS:
        export(plain, backbones.located(plain, weights, fetch), folder / f"{plain}.onnx")
    elif plain.endswith(".onnx"):
        known = split(backbone(name).name)[0]
        out = folder / f"{known.removesuffix('.onnx')}.onnx"
        for source, target in ((Path(plain), out), (Path(plain).with_suffix(".json"), out.with_suffix(".json"))):
            if source.is_file() and not (target.exists() and source.samefile(target)):
                files.write(target, source.read_bytes())


def export(name: str, weights: Path, out: Path) -> None:
    """Writes `out`, an ONNX file, and the JSON file beside it that says what it reads and which checkpoint it is.

    It goes by the checkpoint's name and SHA-256, so that a generator that was trained with the checkpoint accepts it;
    beside the generator and called NAME.onnx, it is found there. Raises UserError where either cannot be written.
    """
    if name not in CHECKPOINTS:
        raise UserError(name, "no backbone of a checkpoint", "one of " + ", ".join(CHECKPOINTS), name)
    if out.suffix != ".onnx":
        raise UserError(out, "output", "a name ending in .onnx", repr(out.name))
    for place in (out, out.with_suffix(".json")):
        files.check_place(place)
    net = backbones.official(name)
    module, sha256 = backbones.read(net, weights)
    with files.replacing(out) as part:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated, and says so
            torch.onnx.export(
                module,
                (torch.zeros(2, 3, 112, 112),),
                str(part),
                input_names=["pixels"],
                output_names=["embedding"],
                dynamic_axes={"pixels": {0: "N"}, "embedding": {0: "N"}},
                opset_version=OPSET,
                dynamo=False,
            )
        said = {
            "order": net.order,
            "mean": net.mean,
            "scale": net.scale,
            "tokens": net.tokens,
            "licence": net.licence,
            "name": name,
            "sha256": sha256,
            "of": hashlib.sha256(part.read_bytes()).hexdigest(),
        }
        files.write(out.with_suffix(".json"), json.dumps(said, indent=2) + "\n")
