"""A .tflite file as plain values, and those as a flatbuffer, by the published schema package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError

SCHEMA = 3
IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # of constants in the file: the schema's force_align


@dataclass(frozen=True)
class Tensor:
    """A tensor: int8, and with data a constant, int8 or int32.

    scale: one number, or one for each channel of dimension `axis`; None where a tensor stands for no real numbers.
    """

    name: str
    shape: tuple[int, ...]
    scale: NDArray[np.float32] | None = None
    zero: int = 0
    axis: int = 0
    data: NDArray[Any] | None = None


@dataclass(frozen=True)
class Operator:
    """One operator: the numbers of its tensors. version: its own, and the first TensorFlow that has it; options: fields
    of the schema's table of that name."""

    kind: str
    version: tuple[int, str]
    inputs: tuple[int, ...]
    output: int
    table: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """What a .tflite says; its input is tensor 0."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(self, t: Tensor) -> int:
        """Adds a tensor; its number."""
        self.tensors.append(t)
        return len(self.tensors) - 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """The operators that a runtime must have."""
        return tuple(dict.fromkeys(o.kind for o in self.operators))

    @property
    def first_runtime(self) -> str:
        """The first TensorFlow that has all of its operators."""
        return max((o.version[1] for o in self.operators), key=lambda v: [int(n) for n in v.split(".")])


def write(g: Graph, description: str, metadata: Mapping[str, bytes]) -> bytes:
    """The flatbuffer of a graph, with metadata by name besides TFLite's own.

    Raises MissingToolError without the packages flatbuffers and tflite.
    """
    try:
        w = _Writer()
    except ImportError as e:
        raise MissingToolError(
            "tflite", "writing .tflite files needs it", install.extra("tflite"), f"no {e.name}"
        ) from None
    constants = [i for i, t in enumerate(g.tensors) if t.data is not None]
    contents = [_little_endian(t.data) for t in g.tensors if t.data is not None]
    said = {"min_runtime_version": g.first_runtime.encode().ljust(16, b"\0"), **metadata}
    buffers = [w.table("Buffer")] + [w.table("Buffer", Data=w.data(data)) for data in (*contents, *said.values())]
    numbers = {tensor: number for number, tensor in enumerate(constants, 1)}  # buffer 0 is for all without data
    tensors = [w.tensor(t, numbers.get(i, 0)) for i, t in enumerate(g.tensors)]
    codes = list(dict.fromkeys((o.kind, o.version[0]) for o in g.operators))
    operators = [w.operator(o, codes.index((o.kind, o.version[0]))) for o in g.operators]
    subgraph = w.table(
        "SubGraph",
        Tensors=w.offsets(tensors),
        Inputs=w.numbers([0]),
        Outputs=w.numbers(g.outputs),
        Operators=w.offsets(operators),
        Name=w.text("main"),
    )
    entries = [w.table("Metadata", Name=w.text(n), Buffer=i) for i, n in enumerate(said, len(buffers) - len(said))]
    model = w.table(
        "Model",
        Version=SCHEMA,
        OperatorCodes=w.offsets([w.code(*code) for code in codes]),
        Subgraphs=w.offsets([subgraph]),
        Description=w.text(description),
        Buffers=w.offsets(buffers),
        Metadata=w.offsets(entries),
    )
    w.builder.Finish(model, file_identifier=IDENTIFIER)
    return bytes(w.builder.Output())


class _Writer:
    """A flatbuffer in the making; methods return where in it things are. ImportError without the packages."""

    def __init__(self) -> None:
        import flatbuffers
        import tflite

        self.schema = tflite
        self.builder = flatbuffers.Builder(1 << 16)
        self.vectors: dict[bytes, int] = {}

    def tensor(self, t: Tensor, buffer: int) -> int:
        """A tensor, its content in a buffer of that number."""
        kinds = self.schema.TensorType
        kind = kinds.INT8 if t.data is None or t.data.dtype == np.int8 else kinds.INT32
        fields = {"Shape": self.numbers(t.shape), "Name": self.text(t.name), "Type": kind, "Buffer": buffer}
        if t.scale is not None:
            scale, zeros = self.numbers(t.scale, np.float32), self.numbers(np.full(t.scale.size, t.zero), np.int64)
            quantization = {"Scale": scale, "ZeroPoint": zeros, "QuantizedDimension": t.axis}
            fields["Quantization"] = self.table("QuantizationParameters", **quantization)
        return self.table("Tensor", **fields)

    def code(self, kind: str, version: int) -> int:
        """An operator's code, also where old runtimes look for it: all of ours are below 127."""
        code = getattr(self.schema.BuiltinOperator, kind)
        return self.table("OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=code, Version=version)

    def operator(self, o: Operator, code: int) -> int:
        """An operator, its code the one of that number."""
        options = {k: self.numbers(v) if isinstance(v, tuple) else v for k, v in o.options.items()}
        return self.table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self.numbers(o.inputs),
            Outputs=self.numbers([o.output]),
            BuiltinOptionsType=getattr(self.schema.BuiltinOptions, o.table),
            BuiltinOptions=self.table(o.table, **options),
        )

    def table(self, name: str, **fields: Any) -> int:
        """A table of the schema; what its fields refer to is there already."""
        getattr(self.schema, f"{name}Start")(self.builder)
        for key, value in fields.items():
            getattr(self.schema, f"{name}Add{key}")(self.builder, value)
        return int(getattr(self.schema, f"{name}End")(self.builder))

    def offsets(self, values: Sequence[int]) -> int:
        """A vector of tables."""
        self.builder.StartVector(4, len(values), 4)
        for v in reversed(values):
            self.builder.PrependUOffsetTRelative(v)
        return int(self.builder.EndVector())

    def numbers(self, values: Any, dtype: type[np.generic] = np.int32) -> int:
        """A vector of numbers; equal ones are kept once, as a channel's zero points are many."""
        array = np.asarray(values, dtype)
        key = array.dtype.str.encode() + array.tobytes()
        if key not in self.vectors:
            self.vectors[key] = int(self.builder.CreateNumpyVector(array))
        return self.vectors[key]

    def data(self, data: bytes) -> int:
        """A vector of bytes that begins at a multiple of ALIGNMENT: CreateByteVector sees to its length alone."""
        self.builder.Prep(ALIGNMENT, len(data))
        return int(self.builder.CreateByteVector(data))

    def text(self, text: str) -> int:
        """A string."""
        return int(self.builder.CreateString(text))


def _little_endian(a: NDArray[Any]) -> bytes:
    return a.astype(a.dtype.newbyteorder("<")).tobytes()
