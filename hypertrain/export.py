"""The generator as one ONNX file: h_gen's weights in half precision, what enrolment must know as metadata.

`save` writes a graph e (N, d) → θ (N, params), folded, computed in float32; `restore` rebuilds the torch module from
the file's own initialisers, so that the shipped file is also the checkpoint that training restarts from.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kinds import no_generator
from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, NetSpec, Tensor, from_json
from hyper_mcu.generator import FORMAT, read
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.net import EPS, GAIN
from hyper_mcu.hypertrain.qat import Quantiser

OPSET, IR = 20, 9  # Gelu and LayerNormalization as single operators; read by onnxruntime ≥ 1.17


class _Graph:
    """Nodes and initialisers in the making; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.halves: dict[str, str] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number {value}", np.float32(value))

    def sizes(self, *value: int) -> str:
        """A shape, axes or bounds, as the operators want them."""
        return self.constant(f"sizes {value}", np.array(value, np.int64))

    def half(self, name: str, value: torch.Tensor) -> str:
        """A float32 value whose stored initialiser is float16."""
        if name not in self.halves:
            stored = self.constant(name, value.detach().cpu().numpy().astype(np.float16))
            self.halves[name] = self.op("Cast", stored, to=TensorProto.FLOAT)
        return self.halves[name]

    def linear(self, name: str, x: str, layer: torch.nn.Module) -> str:
        """x·Wᵀ + b of a torch Linear whose parameters are stored under its name."""
        p = dict(layer.named_parameters())
        bias = [self.half(f"{name}.bias", p["bias"])] if "bias" in p else []
        return self.op("Gemm", x, self.half(f"{name}.weight", p["weight"]), *bias, transB=1)

    def normalised(self, name: str, x: str, norm: torch.nn.Module) -> str:
        """LayerNorm over the last axis."""
        gain, lift = (self.half(f"{name}.{k}", p) for k, p in norm.named_parameters())
        return self.op("LayerNormalization", x, gain, lift, axis=-1, epsilon=1e-5)

    def slice(self, x: str, start: int, stop: int) -> str:
        """Columns start…stop − 1 of x (N, …)."""
        return self.op("Slice", x, self.sizes(start), self.sizes(stop), self.sizes(1))


def check_norm(spec: NetSpec) -> None:
    """Raises UserError for a normalisation that no weights can hold: nets with it are for comparison only."""
    if spec.norm in RUN_TIME_NORMS:
        folds = "one that folds into the weights (none, weight-standardised, train-statistics)"
        raise UserError(f"netspec {spec.id}", "no generator for normalisation at run time", folds, spec.norm)


@torch.no_grad()
def as_stored(hgen: HGen) -> None:
    """Rounds the weights to what a file holds of them: half precision. Scales that a quantiser learned stay."""
    for name, p in hgen.named_parameters():
        if not name.startswith("quantiser."):
            p.copy_(p.half().float())


def build(hgen: HGen) -> onnx.GraphProto:
    """The graph of `HGen.forward`; initialisers carry the names of the torch state. Raises UserError for a
    normalisation that no weights can hold."""
    g, spec, shape = _Graph(), hgen.spec, hgen.shape
    check_norm(spec)
    e = g.slice("embedding", 0, shape.embedding) if shape.embedding < shape.dimension else "embedding"
    x = _read(g, hgen, e)
    total = _hidden(g, hgen, x, 0, None)
    for step in range(1, shape.refine):
        written = _joined(g, spec, [g.op("Sub", v, b) if b else v for v, b in _write(g, hgen, total, e)])
        total = g.op("Add", total, _hidden(g, hgen, x, step, written))
    folded = [_folded(g, hgen, t, v) for t, (v, _) in zip(spec.tensors, _write(g, hgen, total, e), strict=True)]
    g.nodes.append(helper.make_node("Identity", [_joined(g, spec, folded)], ["theta"]))
    return helper.make_graph(
        g.nodes,
        "hyper-mcu generator",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", shape.dimension])],
        [helper.make_tensor_value_info("theta", TensorProto.FLOAT, ["N", spec.params])],
        list(g.constants.values()),
    )


def _read(g: _Graph, hgen: HGen, first: str) -> str:
    """`Reader.forward`: what the hidden layers read; first: the embedding."""
    shape, reader = hgen.shape, hgen.reader
    parts, start = [first], shape.embedding
    for i, size in enumerate(shape.layers):
        part = g.slice("embedding", start, start + size)
        parts.append(g.normalised(f"reader.norms.{i}", part, reader.norms[i]))
        start += size
    if not reader.convs:
        return g.op("Concat", *parts, axis=1) if shape.layers else first
    tokens = g.op("Reshape", "embedding", g.sizes(0, shape.tokens, shape.embedding))
    x = g.op("Transpose", g.normalised("reader.norms.0", tokens, reader.norms[0]), perm=[0, 2, 1])
    for i, conv in enumerate(reader.convs):
        weight, bias = (g.half(f"reader.convs.{i}.{k}", p) for k, p in conv.named_parameters())
        x = g.op("Conv", g.op("Gelu", x) if i else x, weight, bias, strides=[2], pads=[1, 1])
    return g.op("Add", first, g.op("Squeeze", x, g.sizes(2)))


def _hidden(g: _Graph, hgen: HGen, x: str, step: int, written: str | None) -> str:
    """`HGen._hidden`."""
    for i, (linear, norm) in enumerate(zip(hgen.hidden, hgen.norms, strict=True)):
        x = g.linear(f"hidden.{i}", x, linear)
        if i == 0 and hgen.shape.refine > 1:
            x = g.op("Add", x, g.op("Gather", g.half("step", hgen.step), g.sizes(step)))
            if written is not None:
                seen = g.op("Gemm", written, g.half("projection", hgen.projection), transB=1)
                square = g.op("ReduceSum", g.op("Mul", seen, seen), g.sizes(1), keepdims=1)
                length = g.op("Sqrt", g.op("Add", g.number(1), square))
                x = g.op("Add", x, g.linear("note", g.op("Div", seen, length), hgen.note))
        x = g.op("Gelu", g.normalised(f"norms.{i}", x, norm))
    return x


def _write(g: _Graph, hgen: HGen, h: str, e: str) -> list[tuple[str, str]]:
    """`HGen._write`: for each tensor what is written and its part of the base ("" where that is zero), both (N, size)
    or (1, size)."""
    out = []
    for t in hgen.spec.tensors:
        where, what = t.name.split(".")
        key, base, changes = where.removeprefix("stage"), "", list[str]()
        if t.offset < len(hgen.theta0):
            base = g.half(f"theta0.{t.name}", hgen.theta0[t.offset : t.offset + t.size].reshape(1, t.size))
            changes.append(base)
        if what == "bias" and key in hgen.shift:
            changes.append(g.linear(f"shift.{key}", h, hgen.shift[key]))
        elif key == "head" and what == "weight":
            changes.append(g.linear("head", h, hgen.head))
            if hgen.linear is not None:
                changes.append(g.op("Gemm", e, g.half("linear", hgen.linear), transB=1))
        elif what == "weight":
            if key in hgen.scale:
                gain = g.op("Add", g.linear(f"scale.{key}", h, hgen.scale[key]), g.number(1))
                changes[0] = _by_channel(g, t, base, "Mul", gain)
            if key in hgen.up:
                inner = g.linear(f"down.{key}", h, hgen.down[key]) if key in hgen.down else h
                changes.append(g.linear(f"up.{key}", inner, hgen.up[key]))
        v = changes[0]
        for change in changes[1:]:
            v = g.op("Add", v, change)
        out.append((v, base))
    return out


def _by_channel(g: _Graph, t: Tensor, v: str, kind: str, factor: str) -> str:
    """v (N, size) of a weight tensor with an operation by factors (N, cout) or (1, cout)."""
    rows = g.op("Reshape", v, g.sizes(0, t.shape[0], -1))
    return _flat(g, t, g.op(kind, rows, g.op("Reshape", factor, g.sizes(-1, t.shape[0], 1))))


def _flat(g: _Graph, t: Tensor, v: str) -> str:
    return g.op("Reshape", v, g.sizes(-1, t.size))


def _folded(g: _Graph, hgen: HGen, t: Tensor, v: str) -> str:
    """One tensor (N, size) or (1, size) with the normalisation folded in, as `net.fold` does."""
    where, what = t.name.split(".")
    norm = hgen.spec.norm
    if where == "head" or norm == "none":
        return v
    if norm == "weight-standardised":
        return _standardised(g, t, v) if what == "weight" and t.size > t.shape[0] else v
    key = where.removeprefix("stage")
    mean, var = hgen.stats.of(int(key))
    g.constant(f"stats.mean{key}", mean.cpu().numpy())
    g.constant(f"stats.var{key}", var.cpu().numpy())
    inverse = g.op("Reciprocal", g.op("Sqrt", g.op("Add", f"stats.var{key}", g.number(EPS))))
    if what == "weight":
        return _by_channel(g, t, v, "Mul", inverse)
    return g.op("Sub", v, g.op("Mul", f"stats.mean{key}", inverse))


def _standardised(g: _Graph, t: Tensor, v: str) -> str:
    """`net.standardise` of a weight tensor (N, size) or (1, size)."""
    rows, fan_in = g.op("Reshape", v, g.sizes(0, t.shape[0], -1)), t.size // t.shape[0]
    centred = g.op("Sub", rows, g.op("ReduceMean", rows, g.sizes(2), keepdims=1))
    var = g.op("ReduceMean", g.op("Mul", centred, centred), g.sizes(2), keepdims=1)
    length = g.op("Sqrt", g.op("Add", g.op("Mul", var, g.number(fan_in)), g.number(EPS)))
    return _flat(g, t, g.op("Div", g.op("Mul", centred, g.number(GAIN)), length))


def _joined(g: _Graph, spec: NetSpec, parts: list[str]) -> str:
    """θ (N, params) of its tensors, each (N, size) or (1, size)."""
    count = g.op("Shape", "embedding", start=0, end=1)
    full = [
        g.op("Expand", v, g.op("Concat", count, g.sizes(t.size), axis=0))
        for t, v in zip(spec.tensors, parts, strict=True)
    ]
    return g.op("Concat", *full, axis=1)


def save(hgen: HGen, path: Path, metadata: dict[str, object]) -> None:
    """Writes the generator; raises UserError where it is none that enrolment can use.

    metadata: backbone, backbone_sha256, scales, threshold, fmr, fnmr, rates_on (see hyper_mcu.generator for their
    meaning), trained, and qat: whether the scales are learned ones.
    """
    model = helper.make_model(build(hgen), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    model.producer_name = "hyper-mcu"
    fixed = {
        "format": FORMAT,
        "netspec": hgen.spec.to_json(),
        "netspec_sha256": hgen.spec.sha256,
        "shape": asdict(hgen.shape),
    }
    for key, value in {**fixed, **metadata}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    onnx.checker.check_model(model, full_check=True)
    files.write(path, model.SerializeToString())


def restore(path: Path) -> tuple[HGen, dict[str, str]]:
    """The torch module and the metadata of a generator file; raises UserError where it is none."""
    data = read(path)
    try:
        model = onnx.load_from_string(data)
        meta = {p.key: p.value for p in model.metadata_props}
        shape = json.loads(meta["shape"])
        hgen = HGen(from_json(meta["netspec"]), Shape(**{**shape, "layers": tuple(shape.get("layers", ()))}))
        constants = {i.name: numpy_helper.to_array(i).astype(np.float32) for i in model.graph.initializer}
        stored = {name: torch.from_numpy(value) for name, value in constants.items()}
        state = {k: stored[k] for k in hgen.state_dict() if k != "theta0"}
        shared = [t for t in hgen.spec.tensors if t.offset < len(hgen.theta0)]
        state["theta0"] = torch.cat([torch.zeros(0), *(stored[f"theta0.{t.name}"].flatten() for t in shared)])
        hgen.load_state_dict(state)
        if meta.get("qat") == "true":
            hgen.quantiser = Quantiser(hgen.spec, np.array(json.loads(meta["scales"]), np.float32))
    except UserError:
        raise
    except Exception as e:  # protobuf and torch have their own exception types for a damaged file
        raise no_generator(path, data, e) from e
    return hgen, meta
