"""From a QNet to a .tflite file: the very integers, without a converter that would quantise again.

TFLite computes multipliers from scales as it loads a file. The file holds the scales of the QNet, and a QNet whose
multipliers are not theirs is refused. Input `image` is int8: the bytes of the image with the top bit flipped, x − 128.
The output is the last map; TFLite has no operator for the head, which is for whoever runs the file (oracle.head).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.facts import verdict_facts
from hyper_mcu.codegen.fixedpoint import quantize_multiplier
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage
from hyper_mcu.codegen.oracle import shuffle_order
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.program import folds, reordered
from hyper_mcu.codegen.qnet import QConv, QNet
from hyper_mcu.codegen.quantize import INPUT_SCALE
from hyper_mcu.codegen.tflite_file import Graph, Operator, Tensor, write

# Versions for int8 and the first TensorFlow with them, as op_version.cc and runtime_version.cc of TFLite count them.
GROUPED = 6, "2.9.0"
VERSIONS = {
    "CONV_2D": (3, "1.14.0"),
    "DEPTHWISE_CONV_2D": (3, "1.14.0"),
    "ADD": (2, "1.14.0"),
    "RESHAPE": (1, "1.5.0"),
    "TRANSPOSE": (2, "1.14.0"),
}
TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ADD": "AddOptions",
    "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions",
}
METADATA = "hyper_mcu"
NO_ACTIVATION, RELU = 0, 1  # the schema's ActivationFunctionType
PADDING = {"same": 0, "valid": 1}
TINY, HUGE = np.finfo(np.float32).tiny, np.finfo(np.float32).max


def export(p: Person) -> bytes:
    """A person's .tflite: `emit`'s, and METADATA with `verdict_facts` and the head's weight, base64 of its int8, as
    JSON: all that makes a verdict of the output."""
    said = verdict_facts(p) | {"weight": base64.b64encode(p.qnet.head.weight.tobytes()).decode()}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return emit(p.qnet, tool=p.provenance.tool, metadata={METADATA: text.encode()})


def emit(
    qnet: QNet,
    taps: bool = False,
    tool: str = "hyper-mcu",
    metadata: Mapping[str, bytes] = MappingProxyType({}),
) -> bytes:
    """The .tflite of a net; with taps every stage's map, in canonical order, is an output. `tool` is named in the file,
    and metadata is in it, by name.

    Raises UserError as `graph` does and MissingToolError without the packages flatbuffers and tflite.
    """
    spec = qnet.spec
    made = f"{spec.id} by {tool}; architecture {spec.sha256[:16]}, integers {qnet.sha256()[:16]}"
    return write(graph(qnet, taps), f"{made}; input: the image's bytes XOR 0x80", metadata)


def graph(qnet: QNet, taps: bool = False) -> Graph:
    """The tensors and operators of a net.

    Raises UserError where a multiplier or shift is not what TFLite computes from the scales, for then no .tflite has
    these integers; what `quantize` makes always has.
    """
    spec, g = qnet.spec, Graph()
    x = g.tensor(Tensor("image", (1, spec.height, spec.width, spec.channels), _one(INPUT_SCALE)))
    maps: list[int] = []
    for stage, q in zip(spec.stages, qnet.stages, strict=True):
        name, shuffle = f"stage{stage.index}", stage.shuffle
        if isinstance(c := stage.layer, Add):
            x = _add(g, "ADD", (maps[c.of], x), _map(qnet, stage, name), {"FusedActivationFunction": NO_ACTIVATION})
        elif q is not None:
            s_in = qnet.scales[stage.index - 1] if stage.index else INPUT_SCALE
            _check(spec, stage, q, s_in)
            if folds(stage):
                q, shuffle = reordered(q, shuffle_order(c.cout, shuffle)), 1
            x = _conv(g, c, q, x, s_in, _map(qnet, stage, name))
        if shuffle > 1:
            x = _shuffle(g, x, shuffle)
        maps.append(x)
    g.outputs.extend(maps if taps else maps[-1:])
    return g


def grouped(spec: NetSpec) -> bool:
    """Whether a net has a Conv with groups of several input channels, for which not every runtime is fit."""
    return any(isinstance(s.layer, Conv) and 1 < s.layer.groups < s.layer.cin for s in spec.stages)


def _conv(g: Graph, c: Conv, q: QConv, x: int, s_in: np.float32, out: Tensor) -> int:
    """A Conv before its shuffle: DEPTHWISE_CONV_2D where each group has one input channel, else CONV_2D."""
    depthwise = c.groups == c.cin > 1
    weight = q.weight.transpose(3, 1, 2, 0) if depthwise else q.weight  # (1, k, k, cout), else (cout, k, k, cin/groups)
    axis, bias_scale = 3 if depthwise else 0, (q.weight_scale * np.float64(s_in)).clip(TINY, HUGE).astype(np.float32)
    inputs = (
        x,
        g.tensor(Tensor(f"{out.name}.weight", weight.shape, q.weight_scale, axis=axis, data=weight)),
        g.tensor(Tensor(f"{out.name}.bias", q.bias.shape, bias_scale, data=q.bias)),
    )
    options: dict[str, object] = {
        "Padding": PADDING[c.pad],
        "StrideW": c.stride,
        "StrideH": c.stride,
        "FusedActivationFunction": RELU if c.relu else NO_ACTIVATION,
    }
    if depthwise:
        return _add(g, "DEPTHWISE_CONV_2D", inputs, out, options | {"DepthMultiplier": c.cout_group})
    return _add(g, "CONV_2D", inputs, out, options, GROUPED if c.groups > 1 else None)


def _shuffle(g: Graph, x: int, groups: int) -> int:
    """A map (1, H, W, C) shuffled: as (1, H·W, groups, C/groups) its last two dimensions change places."""
    t = g.tensors[x]
    _, h, w, c = t.shape
    x = _reshape(g, x, Tensor(f"{t.name}.split", (1, h * w, groups, c // groups), t.scale, t.zero))
    order = g.tensor(Tensor(f"{t.name}.order", (4,), data=np.array([0, 1, 3, 2], np.int32)))
    turned = Tensor(f"{t.name}.turned", (1, h * w, c // groups, groups), t.scale, t.zero)
    x = _add(g, "TRANSPOSE", (x, order), turned, {})
    return _reshape(g, x, Tensor(f"{t.name}.shuffled", t.shape, t.scale, t.zero))


def _reshape(g: Graph, x: int, out: Tensor) -> int:
    shape = g.tensor(Tensor(f"{out.name}.shape", (4,), data=np.array(out.shape, np.int32)))
    return _add(g, "RESHAPE", (x, shape), out, {"NewShape": out.shape})


def _add(
    g: Graph,
    kind: str,
    inputs: tuple[int, ...],
    out: Tensor,
    options: Mapping[str, object],
    version: tuple[int, str] | None = None,
) -> int:
    """Adds an operator; the number of its output."""
    output = g.tensor(out)
    g.operators.append(Operator(kind, version or VERSIONS[kind], inputs, output, TABLES[kind], options))
    return output


def _map(qnet: QNet, stage: Stage, name: str) -> Tensor:
    linear = isinstance(c := stage.layer, Conv) and not c.relu
    return Tensor(name, (1, *stage.out_shape), _one(qnet.scales[stage.index]), 0 if linear else -128)


def _one(scale: np.float32) -> NDArray[np.float32]:
    return np.array([scale], np.float32)


def _check(spec: NetSpec, stage: Stage, q: QConv, s_in: np.float32) -> None:
    real = np.float64(s_in) * q.weight_scale.astype(np.float64) / np.float64(q.out_scale)
    multiplier, shift = quantize_multiplier(real)
    wrong = np.flatnonzero((multiplier != q.multiplier) | (shift != q.shift))
    if wrong.size:
        i = int(wrong[0])
        what = f"multiplier and shift of channel {i} are not what TFLite computes from the scales"
        expected, got = f"{multiplier[i]}, {shift[i]}", f"{q.multiplier[i]}, {q.shift[i]}"
        raise UserError(f"qnet {spec.id} stage {stage.index}", what, expected, got)
