"""Backbones of training: those of the product, and nets whose official checkpoint a user brings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import backbone as product
from hyper_mcu.faces.backbone import Backbone

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

CACHE = Path("~/.cache/hyper-mcu/backbones")
Fetched = tuple[str, str]  # URL, SHA-256 in hex
TORCH = ("mbf-w600k",)  # of the product's those whose graph `backbones.graph` makes a module of


@dataclass(frozen=True)
class Official:
    """A published net: where its checkpoint is, its terms, what it reads, and how its module is made of a state.

    order: of the colours; mean, scale: it reads (pixel − mean)/scale; tokens: T, or 0; build: of the checkpoint's
    tensors, the module without values and those of them that are its own.
    """

    source: str
    licence: str
    order: str
    mean: float
    scale: float
    dimension: int
    tokens: int
    build: Callable[[dict[str, Any]], tuple[nn.Module, dict[str, Any]]]


def official(name: str) -> Official:
    """The description of one of product.CHECKPOINTS."""
    from hyper_mcu.hypertrain.backbones import adaface, face_transformer

    if name == "adaface-ir101":
        return Official(
            "adaface_ir101_*.ckpt, linked from the README of github.com/mk-minchul/AdaFace (R100)",
            "AdaFace: MIT; weights under the terms of MS1MV2, MS1MV3 or WebFace, non-commercial research",
            "bgr", 127.5, 127.5, adaface.DIMENSION, 0, adaface.build,
        )  # fmt: skip
    return Official(
        "Backbone_VIT*_checkpoint.pth, linked from the README of github.com/zhongyy/Face-Transformer",
        "Face-Transformer: MIT; weights under the terms of MS1M-RetinaFace, non-commercial research",
        "rgb", 0, 1, face_transformer.DIMENSION, face_transformer.TOKENS, face_transformer.build,
    )  # fmt: skip


def load(
    name: str,
    weights: Path | None = None,
    fetch: Fetched | None = None,
    device: str = "",
    cache: Path = CACHE,
    half: bool = False,
) -> Backbone:
    """The backbone of that name.

    The product's, ONNX files and layers of them: as hyper_mcu.faces.backbone has them, with neither weights nor fetch;
    device: where torch runs those of TORCH instead, whose numbers differ by rounding alone; half: in bfloat16, which
    moves an embedding by a cosine of about 0.9997.
    Those of product.CHECKPOINTS read the checkpoint `weights`, or the one that `fetch` names, which is downloaded into
    `cache` once. Raises UserError where there are no weights, or other ones: none are ever made up.
    """
    plain, layers = product.split(name)
    if half and name not in TORCH:
        raise UserError(name, "does not run in bfloat16", " or ".join(TORCH), name)
    if plain not in product.CHECKPOINTS:
        if weights is not None or fetch is not None:
            raise UserError(name, "takes no checkpoint", "one of " + ", ".join(product.CHECKPOINTS), weights or fetch)
        if plain not in product.NAMES and not plain.endswith(".onnx"):
            others = " or ".join(product.CHECKPOINTS)
            known = f"{', '.join(product.NAMES)}, an ONNX file, or with backbone.weights {others}"
            raise UserError(name, "unknown backbone", known, name)
        found = product.backbone(name)
        by_torch = (device or half) and name in TORCH
        return replace(found, look=_by_torch(plain, device or "cpu", half)) if by_torch else found
    net = official(plain)
    if layers:
        raise UserError(name, "layers of a checkpoint", "those of its ONNX file, which backbones.export writes", name)
    module, sha256 = read(net, located(plain, weights, fetch, cache))
    size = net.dimension * max(net.tokens, 1)
    return Backbone(name, net.dimension, size, net.tokens, net.licence, sha256, _look(net, module, device or "cpu"))


def located(name: str, weights: Path | None, fetch: Fetched | None, cache: Path = CACHE) -> Path:
    """The checkpoint of one of product.CHECKPOINTS: the file given, or the one to be fetched; UserError for neither."""
    if weights is not None:
        return weights
    if fetch is not None:
        return fetched(*fetch, cache)
    raise UserError(name, "backbone without weights", f"its checkpoint: {official(name).source}", "none")


def read(net: Official, path: Path) -> tuple[nn.Module, str]:
    """The net with the values of its checkpoint, and the file's SHA-256."""
    from hyper_mcu.hypertrain.backbones import checkpoint

    if not path.is_file():
        raise UserError(path, "no checkpoint", net.source, "a folder" if path.is_dir() else "no such file")
    module = checkpoint.fill(*net.build(checkpoint.read(path)), path)
    with path.open("rb") as f:
        sha256 = hashlib.sha256()
        while part := f.read(1 << 20):
            sha256.update(part)
    return module, sha256.hexdigest()


def fetched(url: str, sha256: str, cache: Path = CACHE) -> Path:
    """The file behind a URL in `cache`, downloaded unless it is there; raises UserError where it has another hash."""
    import pooch

    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UserError(url, "SHA-256 of what is to be fetched", "64 digits of hex", sha256 or "none")
    name = Path(urlsplit(url).path).name or "checkpoint"
    try:
        return Path(
            pooch.retrieve(url, f"sha256:{sha256}", f"{sha256[:16]}-{name}", cache.expanduser(), progressbar=False)
        )
    except (ValueError, OSError) as e:
        raise UserError(url, "cannot be fetched", f"a file of SHA-256 {sha256[:16]}…", str(e).splitlines()[0]) from e


def _by_torch(name: str, device: str, half: bool) -> product.Look:
    import torch

    from hyper_mcu.faces.onnx_backbone import RECIPES
    from hyper_mcu.faces.weights import locate
    from hyper_mcu.hypertrain.backbones import graph

    said, kind = RECIPES[name].sidecar, torch.bfloat16 if half else torch.float32
    return graph.looking(locate(name).read_bytes(), device, kind, said.mean, said.scale)


def _look(net: Official, module: nn.Module, device: str) -> product.Look:
    import torch

    module = module.to(device)

    @torch.inference_mode()
    def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(crops.copy()).to(device).permute(0, 3, 1, 2).float()
        x = ((x.flip(1) if net.order == "bgr" else x) - net.mean) / net.scale
        return module(x).cpu().numpy()

    return look
