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
from hyper_mcu.codegen.netspec import from_json
from hyper_mcu.generator import FORMAT
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.net import EPS

OPSET, IR = 20, 9  # Gelu and LayerNormalization as single operators; read by onnxruntime ≥ 1.17


class _Graph:
    """Nodes and initialisers in the making; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        out = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def half(self, name: str, value: torch.Tensor) -> str:
        """A float32 value whose stored initialiser is float16."""
        return self.op("Cast", self.constant(name, value.detach().numpy().astype(np.float16)), to=TensorProto.FLOAT)

    def linear(self, name: str, x: str, layer: torch.nn.Module) -> str:
        """x·Wᵀ + b of a torch Linear whose parameters are stored under its name."""
        p = dict(layer.named_parameters())
        bias = [self.half(f"{name}.bias", p["bias"])] if "bias" in p else []
        return self.op("Gemm", x, self.half(f"{name}.weight", p["weight"]), *bias, transB=1)


def build(hgen: HGen) -> onnx.GraphProto:
    """The graph of `HGen.forward`; initialisers carry the names of the torch state."""
    g, spec = _Graph(), hgen.spec
    h = "embedding"
    for i, (linear, norm) in enumerate(zip(hgen.hidden, hgen.norms, strict=True)):
        h = g.linear(f"hidden.{i}", h, linear)
        gain, lift = (g.half(f"norms.{i}.{k}", p) for k, p in norm.named_parameters())
        h = g.op("Gelu", g.op("LayerNormalization", h, gain, lift, axis=-1, epsilon=1e-5))
    count = g.op("Shape", "embedding", start=0, end=1)
    one = g.constant("one", np.float32(1))
    parts = []
    for t in spec.tensors:
        where, what = t.name.split(".")
        key = where.removeprefix("stage")
        v = g.half(f"theta0.{t.name}", hgen.theta0[t.offset : t.offset + t.size].reshape(1, t.size))
        if where != "head" and what == "weight":
            rows = g.constant(f"{t.name}.cout", np.array([0, t.shape[0], -1], np.int64))
        if where == "head" and what == "weight":
            v = g.op("Add", v, g.linear("head", h, hgen.head))
            v = g.op("Add", v, g.op("Gemm", "embedding", g.half("linear", hgen.linear), transB=1))
        elif key in hgen.scale and what == "weight":
            gain = g.op("Add", g.linear(f"scale.{key}", h, hgen.scale[key]), one)
            gain = g.op("Reshape", gain, rows)
            v = g.op("Mul", g.op("Reshape", v, rows), gain)
            if key in hgen.up:
                inner = g.linear(f"down.{key}", h, hgen.down[key]) if key in hgen.down else h
                low = g.linear(f"up.{key}", inner, hgen.up[key])
                v = g.op("Add", v, g.op("Reshape", low, rows))
        elif key in hgen.scale:
            v = g.op("Add", v, g.linear(f"shift.{key}", h, hgen.shift[key]))
        if where != "head":
            mean, var = hgen.stats.of(int(key))
            if what == "weight":
                g.constant(f"stats.mean{key}", mean.numpy())
                g.constant(f"stats.var{key}", var.numpy())
                eps = g.constant("epsilon", np.float32(EPS))
                inv = g.op("Reciprocal", g.op("Sqrt", g.op("Add", f"stats.var{key}", eps)))
                inv_of = g.op("Reshape", inv, g.constant(f"{t.name}.inv", np.array([1, t.shape[0], 1], np.int64)))
                v = g.op("Mul", g.op("Reshape", v, rows), inv_of)
            else:
                v = g.op("Sub", v, g.op("Mul", f"stats.mean{key}", inv))
        size = g.constant(f"{t.name}.size", np.array([t.size], np.int64))
        flat = g.op("Reshape", v, g.constant(f"{t.name}.flat", np.array([-1, t.size], np.int64)))
        parts.append(g.op("Expand", flat, g.op("Concat", count, size, axis=0)))
    g.nodes.append(helper.make_node("Concat", parts, ["theta"], axis=1))
    return helper.make_graph(
        g.nodes,
        "hyper-mcu generator",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", hgen.shape.dimension])],
        [helper.make_tensor_value_info("theta", TensorProto.FLOAT, ["N", spec.params])],
        list(g.constants.values()),
    )


def save(hgen: HGen, path: Path, metadata: dict[str, object]) -> None:
    """Writes the generator. `metadata`: backbone, backbone_sha256, scales, threshold, fmr, fnmr,
    rates_on, trained (see hyper_mcu.generator for their meaning)."""
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
    try:
        model = onnx.load(str(path), load_external_data=False)
        meta = {p.key: p.value for p in model.metadata_props}
        hgen = HGen(from_json(meta["netspec"]), Shape(**json.loads(meta["shape"])))
        constants = {i.name: numpy_helper.to_array(i).astype(np.float32) for i in model.graph.initializer}
        stored = {name: torch.from_numpy(value) for name, value in constants.items()}
        state = {k: stored[k] for k in hgen.state_dict() if k != "theta0"}
        state["theta0"] = torch.cat([stored[f"theta0.{t.name}"].flatten() for t in hgen.spec.tensors])
        hgen.load_state_dict(state)
    except UserError:
        raise
    except Exception as e:  # protobuf and torch have their own exception types for a damaged file
        raise UserError(path, "not a generator", "an ONNX file written by hyper-mcu", type(e).__name__) from e
    return hgen, meta
