"""Backbones that are an ONNX file: those of packages, and any that a user brings.

A user's file takes one input float N×3×112×112 and gives the embedding as its first output. What it expects of the
pixels stands in a JSON file of the same name beside it (`my.onnx`, `my.json`); without one they are RGB and
(x − 127.5)/127.5. JSON, for Python 3.10 reads no TOML.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyper_mcu import inference
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.backbone import Backbone, Limits, Look
from hyper_mcu.faces.onnx_graph import rebuilt
from hyper_mcu.faces.weights import locate, row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAGES = "stages"


@dataclass(frozen=True)
class Sidecar:
    """What a user says about an ONNX file.

    order: rgb or bgr; mean, scale: the net reads (pixel − mean)/scale, one number or three in its own order of colours;
    tokens: T where the output is T embeddings of one length, the first of them the face's; licence: terms of use.
    name, sha256: the backbone that the file was converted from, which it stands for; of: SHA-256 of the very ONNX file
    that this is true of, needed with them. norm, agree, same: as `Limits` has them.
    """

    order: str = "rgb"
    mean: float | tuple[float, ...] = 127.5
    scale: float | tuple[float, ...] = 127.5
    tokens: int = 0
    licence: str = "as its file says"
    name: str = ""
    sha256: str = ""
    of: str = ""
    norm: float = 0.0
    agree: float = 0.0
    same: float = 0.0

    @property
    def limits(self) -> Limits:
        """Where photos are no good by it."""
        return Limits(self.norm, self.agree, self.same)


@dataclass(frozen=True)
class Recipe:
    """What an ONNX file of a package expects and gives; stages: the tensors at which its maps are halved next."""

    sidecar: Sidecar
    dimension: int
    stages: tuple[str, ...]


# Measured by benchmarks/quality.py. Norm: nets of damaged photos whose embedding is shorter than 17 have an EER of 15
# to 33 %, of longer ones 8 to 12; shorter are 0.2 % of held-out photos and none of 1,000 frontal CFP photos. Agree: a
# cosine below 0.25 to the mean of the others is in 1.9, 0.6, 0.1 % of sets of 2, 3, 4 photos of one person, and in
# 99.9, 99.9, 99.7 % of those whose last photo is a stranger's. Same: 13 of 68,265 pairs of two held-out people
# reach 0.3 and 69 reach 0.25, of the pairs of photos of one person 94.4 and 97.9 %.
MBF = Sidecar(norm=17, agree=0.25, same=0.3)
RECIPES = {
    # 128×56×56, 128×28×28, 256×14×14, 256×7×7
    "mbf-w600k": Recipe(MBF, 512, ("343", "397", "473", "505")),
    # cv2.FaceRecognizerSF feeds it RGB as it is; 128×56×56, 256×28×28, 512×14×14, 1024×7×7
    "sface": Recipe(Sidecar(mean=0, scale=1), 128, ("conv_4_relu", "conv_6_relu", "conv_12_relu", "conv_14_relu")),
}


def packaged(name: str, layers: tuple[str, ...] = ()) -> Backbone:
    """The backbone of RECIPES under that name; its file is opened when the first crop is embedded, or for layers."""
    recipe, w = RECIPES[name], row(name)
    if layers == (STAGES,):
        layers = recipe.stages

    @functools.cache
    def session() -> Any:
        return _session(name, locate(name).read_bytes(), layers)

    look = _look(session, recipe.sidecar, bool(layers), True)
    size = _measure(name, look) if layers else recipe.dimension
    identity = _identity(w.sha256, layers)
    return Backbone(
        _full(name, layers), recipe.dimension, size, 0, w.terms, identity, look, limits=recipe.sidecar.limits
    )


def from_file(path: Path, layers: tuple[str, ...] = ()) -> Backbone:
    """The backbone that a user's ONNX file is, known by the file's name.

    Raises UserError where there is none or it does not run on crops, and where what is beside it says nothing about it.
    """
    if not path.is_file():
        raise UserError(path, "no backbone", "an ONNX file", "a folder" if path.is_dir() else "no such file")
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    said = sidecar(path.with_suffix(".json"), sha256)
    session = _session(str(path), data, layers)
    look = _look(lambda: session, said, bool(layers), True)
    try:
        size = _measure(str(path), look)
    except UserError:  # a graph that was made for one picture
        look = _look(lambda: session, said, bool(layers), False)
        size = _measure(str(path), look)
    own = _measure(str(path), _look(lambda: session, said, False, False)) if layers else size
    if own % max(said.tokens, 1) or (said.tokens and layers):
        want = "tokens of one length, and no layers beside them"
        raise UserError(path, "output does not divide into tokens", want, f"{size} numbers, {said.tokens} tokens")
    if not said.sha256:  # settings that the numbers depend on, where they are not those of a file alone
        asked = [said.order, said.mean, said.scale, said.tokens]
        sha256 = sha256 if asked == ["rgb", 127.5, 127.5, 0] else _identity(sha256, asked)
    name = _full(said.name or path.name, layers)
    identity = _identity(said.sha256 or sha256, layers)
    dimension = own // max(said.tokens, 1)
    return Backbone(name, dimension, size, said.tokens, said.licence, identity, look, limits=said.limits)


def sidecar(path: Path, of: str) -> Sidecar:
    """What the JSON file says about the ONNX file of SHA-256 `of`, defaults where there is none.

    Raises UserError for what is no such file, an unknown key, a value of another kind, and a claim about another file.
    """
    if not path.is_file():
        return Sidecar()
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        unknown = [key for key in stored if key not in {f.name for f in fields(Sidecar)}]
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        found = Sidecar(**{k: v for k, v in values.items() if k not in unknown})
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as e:
        raise UserError(path, "not the settings of a backbone", "a JSON object", type(e).__name__) from e
    if unknown:
        raise UserError(path, "unknown key", ", ".join(f.name for f in fields(Sidecar)), unknown[0])
    for key in ("licence", "name", "sha256", "of"):
        if not isinstance(getattr(found, key), str):
            raise UserError(path, key, "text", getattr(found, key))
    if Path(found.name).name != found.name:
        raise UserError(path, "name", "one without a folder", found.name)
    if found.order not in ("rgb", "bgr"):
        raise UserError(path, "order", "rgb or bgr", found.order)
    for key in ("mean", "scale"):
        given = getattr(found, key)
        numbers = given if isinstance(given, tuple) else (given,)
        if len(numbers) not in (1, 3) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in numbers):
            raise UserError(path, key, "one number or three", given)
        if key == "scale" and not all(numbers):
            raise UserError(path, key, "no zero", given)
    for key in ("norm", "agree", "same"):
        limit = getattr(found, key)
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0:
            raise UserError(path, key, "a number, not below 0", limit)
    if isinstance(found.tokens, bool) or not isinstance(found.tokens, int) or found.tokens < 0:
        raise UserError(path, "tokens", "a whole number", found.tokens)
    if (found.sha256 or found.name) and found.of != of:
        raise UserError(path, "speaks of another ONNX file", f"of = {of[:16]}…", found.of[:16] or "nothing")
    return found


def _full(name: str, layers: tuple[str, ...]) -> str:
    return f"{name}:{','.join(layers)}" if layers else name


def _identity(sha256: str, what: Any) -> str:
    """The SHA-256 of a file and of what else decides the numbers; the file's own where that is nothing."""
    if not what:
        return sha256
    return hashlib.sha256(json.dumps([sha256, what]).encode()).hexdigest()


def _session(where: str, data: bytes, layers: tuple[str, ...]) -> Any:
    try:
        return inference.session(rebuilt(data, layers))
    except ValueError as e:  # rebuilt's own words: expected …, got …
        expected, _, got = str(e).removeprefix("expected ").rpartition(", got ")
        raise UserError(where, "backbone", expected, got) from e
    except Exception as e:  # onnxruntime's exception types are its own
        raise UserError(where, "backbone does not load", "a graph that onnxruntime runs", type(e).__name__) from e


def _look(session: Callable[[], Any], said: Sidecar, layers: bool, batches: bool) -> Look:
    """Crops to the first output, and the layers' channels behind it where asked for; one by one without batches."""

    def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        import numpy as np

        if not batches and len(crops) > 1:
            return np.concatenate([look(crop[None]) for crop in crops])
        mean, scale = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (said.mean, said.scale))
        seen = crops[..., ::-1] if said.order == "bgr" else crops
        x = (seen.transpose(0, 3, 1, 2).astype(np.float32) - mean) / scale
        net = session()
        outputs = net.run(None, {net.get_inputs()[0].name: x})
        if len(x) > 1 and outputs[0].shape[:1] != (len(x),):
            raise UserError("backbone", "output of a batch", f"{len(x)} embeddings", f"shape {outputs[0].shape}")
        parts = [outputs[0].reshape(len(x), -1), *(_pooled(o) for o in outputs[1:] if layers)]
        return np.concatenate(parts, 1).astype(np.float32)

    return look


def _pooled(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, C) of maps (N, C, H, W), averaged over space: layers differ in size by orders of magnitude."""
    import numpy as np

    mean = maps.reshape(*maps.shape[:2], -1).mean(2)
    pooled: NDArray[np.float32] = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    return pooled


def _measure(where: str, look: Look) -> int:
    """How many numbers it gives of a crop, tried on two that differ; raises UserError where it gives none."""
    import numpy as np

    crops = np.stack([np.full((112, 112, 3), 96, np.uint8), np.full((112, 112, 3), 160, np.uint8)])
    try:
        found = look(crops)
    except UserError:
        raise
    except Exception as e:  # onnxruntime's exception types are its own, and a layer may be no map
        raise UserError(where, "backbone does not run", "a crop in, numbers out", type(e).__name__) from e
    if found.shape[1] < 2:
        raise UserError(where, "backbone", "two numbers or more of a crop", found.shape[1])
    return int(found.shape[1])
