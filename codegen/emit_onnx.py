"""From a QNet to an ONNX file with integer operators only: f to the byte, in any runtime that keeps to the standard.

Maps are u (see oracle.py), uint8 (N, C, H, W) between stages: bytes + 128 behind a ReLU, and in a linear last stage
too. Sums are ConvInteger's int32; what comes after is int64. ONNX's Div of integers truncates towards zero, so that its
dividends are kept from being negative.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.facts import verdict_facts
from hyper_mcu.codegen.fixedpoint import INT32_MIN
from hyper_mcu.codegen.netspec import Add, Conv, Stage, cosdot_bits
from hyper_mcu.codegen.oracle import shuffle_order
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.program import folds, reordered
from hyper_mcu.codegen.qnet import QConv, QNet
from hyper_mcu.codegen.quantize import INPUT_SCALE

if TYPE_CHECKING:
    import onnx

OPSET, IR = 14, 7  # Div of integers as it is needed, and no more
FIRST = 2**31  # divisor of the first rounding
LIFT = 2**61  # a multiple of FIRST above every |acc·m|


def export(p: Person) -> bytes:
    """A person's ONNX file: `emit`'s, with `verdict_facts` as metadata, texts as they are, everything else as JSON."""
    said = {key: v if isinstance(v, str) else json.dumps(v) for key, v in verdict_facts(p).items()}
    return emit(p.qnet, metadata=said)


def emit(
    qnet: QNet, taps: bool = False, qlinear: bool = False, metadata: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The ONNX file of a net. Input `image` uint8 (N, H, W, C); output `logit` int32 (N,) and, with taps, `stageI` int8
    (N, H, W, C) for every stage, in canonical order.

    qlinear: convolutions as QLinearConv, which requantises by a float32 factor. That is what other tools write, and its
    bytes are not those of the other backends. Raises MissingToolError where the onnx package is not here.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise MissingToolError(
            "onnx", "writing ONNX files needs it", install.extra("onnx"), "no such package"
        ) from None
    spec, g = qnet.spec, Graph()
    u = g.op("Transpose", "image", perm=[0, 3, 1, 2])
    maps: list[str] = []
    outputs: list[onnx.ValueInfoProto] = []
    for stage, q in zip(spec.stages, qnet.stages, strict=True):
        shuffle = stage.shuffle
        if isinstance(c := stage.layer, Add):
            u = g.bytes(g.op("Add", g.cast(u, "INT64"), g.cast(maps[c.of], "INT64")))
        elif q is not None:
            if folds(stage):
                q, shuffle = reordered(q, shuffle_order(c.cout, shuffle)), 1
            s_in = qnet.scales[stage.index - 1] if stage.index else INPUT_SCALE
            u = _qlinear_conv(g, stage, c, q, u, s_in) if qlinear else _conv(g, stage, c, q, u)
        if shuffle > 1:
            u = g.op("Gather", u, g.const(shuffle_order(stage.out_shape[2], shuffle)), axis=1)
        maps.append(u)
        if taps:
            name, (h, w, channels) = f"stage{stage.index}", stage.out_shape
            signed = g.cast(g.add(g.cast(u, "INT64"), -128), "INT8")
            g.op("Transpose", signed, out=name, perm=[0, 2, 3, 1])
            outputs.append(helper.make_tensor_value_info(name, TensorProto.INT8, ["N", h, w, channels]))
    last = g.add(g.cast(u, "INT64"), -128 if spec.linear_end else 0)
    g.op("Cast", _head(g, qnet, last), out="logit", to=TensorProto.INT32)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", spec.height, spec.width, spec.channels])
    outputs.append(helper.make_tensor_value_info("logit", TensorProto.INT32, ["N"]))
    graph = helper.make_graph(g.nodes, "hyper-mcu", [image], outputs, list(g.constants.values()))
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="hyper-mcu", opset_imports=[opset], ir_version=IR)
    helper.set_model_props(model, dict(metadata))
    return bytes(model.SerializeToString(deterministic=True))


class Graph:
    """Nodes and constants in the making; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[bytes, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """A node with one output."""
        from onnx import helper

        out = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def const(self, value: ArrayLike, dtype: type[np.generic] = np.int64) -> str:
        """A constant; equal ones are kept once."""
        from onnx import numpy_helper

        array = np.asarray(value, dtype)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        made = self.constants.setdefault(key, numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return str(made.name)

    def cast(self, x: str, kind: str) -> str:
        """x as another type, named as in TensorProto."""
        from onnx import TensorProto

        return self.op("Cast", x, to=getattr(TensorProto, kind))

    def add(self, x: str, value: ArrayLike) -> str:
        """x plus a constant, int64."""
        return self.op("Add", x, self.const(value))

    def divide(self, x: str, value: ArrayLike) -> str:
        """⌊x / a positive constant⌋ of x ≥ 0, int64."""
        return self.op("Div", x, self.const(value))

    def bytes(self, x: str) -> str:
        """x, int64, clamped to 0…255, as uint8."""
        return self.cast(self.op("Min", self.op("Max", x, self.const(0)), self.const(255)), "UINT8")


def _conv(g: Graph, stage: Stage, c: Conv, q: QConv, u: str) -> str:
    """A Conv stage before its shuffle, as oracle.py has it."""
    # weights + 128 as uint8: on processors without VNNI onnxruntime saturates the 16-bit sums of uint8 by int8
    weight = g.const(q.weight.transpose(0, 3, 1, 2) + np.int16(128), np.uint8)
    zeros = g.const(_zero(stage), np.uint8), g.const(128, np.uint8)
    acc = g.op("ConvInteger", u, weight, *zeros, **_window(stage, c))
    acc = g.add(g.cast(acc, "INT64"), _channels(q.bias))
    half = _channels((np.int64(1) << q.shift.astype(np.int64)) >> 1)
    power = _channels(np.int64(1) << q.shift.astype(np.int64))
    if c.relu:
        product = g.op("Mul", g.op("Max", acc, g.const(0)), g.const(_channels(q.multiplier)))
        return g.bytes(g.divide(g.add(g.divide(g.add(product, FIRST // 2), FIRST), half), power))
    product = g.op("Mul", acc, g.const(_channels(q.multiplier)))
    x = g.add(g.divide(g.add(product, LIFT + FIRST // 2), FIRST), -(LIFT // FIRST))  # halves upwards
    y = g.op("Mul", g.op("Sign", x), g.divide(g.add(g.op("Abs", x), half), power))  # halves away from zero
    return g.bytes(g.add(y, 128))


def _qlinear_conv(g: Graph, stage: Stage, c: Conv, q: QConv, u: str, s_in: np.float32) -> str:
    """A Conv stage before its shuffle, as quantisation tools write it; s_in: real value of one step of its input."""
    pixels = g.const(s_in, np.float32), g.const(_zero(stage), np.uint8)
    weight = g.const(q.weight.transpose(0, 3, 1, 2), np.int8)
    weights = weight, g.const(q.weight_scale, np.float32), g.const(0, np.int8)
    out = g.const(q.out_scale, np.float32), g.const(0 if c.relu else 128, np.uint8)
    return g.op("QLinearConv", u, *pixels, *weights, *out, g.const(q.bias, np.int32), **_window(stage, c))


def _zero(stage: Stage) -> int:
    """The byte that stands for zero in a stage's input."""
    return 0 if stage.index else 128


def _window(stage: Stage, c: Conv) -> dict[str, Any]:
    """Strides, padding (top, left, bottom, right) and groups as attributes."""
    return {"strides": [c.stride] * 2, "pads": [*stage.pad_before, *stage.pad_after], "group": c.groups}


def _channels(values: NDArray[Any]) -> NDArray[np.int64]:
    """One number a channel, (C, 1, 1)."""
    return values.astype(np.int64)[:, None, None]


def _head(g: Graph, qnet: QNet, u: str) -> str:
    """The logit, int64 (N,), of the last map, int64 (N, C, H, W)."""
    spec = qnet.spec
    if spec.head.pool:
        v = g.op("ReduceSum", u, g.const([2, 3]), keepdims=0)
    else:
        v = g.op("Flatten", g.op("Transpose", u, perm=[0, 2, 3, 1]))
    num = g.op("MatMul", v, g.const(qnet.head.weight))
    if spec.head.kind == "dot":
        return g.add(num, qnet.head.bias)
    norm = g.op("ReduceSum", g.op("Mul", v, v), g.const([1]), keepdims=0)
    scaled = g.op("Mul", g.op("Mul", num, num), g.const(1 << cosdot_bits(spec.head_size)))
    logit = g.op("Mul", g.op("Sign", num), g.op("Div", scaled, g.op("Max", norm, g.const(1))))
    return g.op("Where", g.op("Equal", norm, g.const(0)), g.const(INT32_MIN), logit)
