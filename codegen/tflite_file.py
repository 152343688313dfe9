"""A .tflite file as plain values, and those as a flatbuffer, by the published schema package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingTool

if TYPE_CHECKING:
    import flatbuffers

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


def write(g: Graph, description: str) -> bytes:
    """The flatbuffer of a graph. Raises MissingTool without the packages flatbuffers and tflite."""
    try:
        import flatbuffers
        import tflite
    except ImportError as e:
        raise MissingTool("tflite", "writing .tflite files needs it", install.extra("tflite"), f"no {e.name}") from None
    b = flatbuffers.Builder(1 << 16)
    constants = [i for i, t in enumerate(g.tensors) if t.data is not None]
    contents = [_little_endian(t.data) for t in g.tensors if t.data is not None]
    runtime = g.first_runtime.encode().ljust(16, b"\0")
    buffers = [_table(b, "Buffer")] + [_table(b, "Buffer", Data=_data(b, data)) for data in (*contents, runtime)]
    numbers = {tensor: number for number, tensor in enumerate(constants, 1)}  # buffer 0 is for all without data
    tensors = [_tensor(b, t, numbers.get(i, 0)) for i, t in enumerate(g.tensors)]
    codes = list(dict.fromkeys((o.kind, o.version[0]) for o in g.operators))
    operators = [_operator(b, o, codes.index((o.kind, o.version[0]))) for o in g.operators]
    subgraph = _table(
        b,
        "SubGraph",
        Tensors=_offsets(b, tensors),
        Inputs=_numbers(b, [0]),
        Outputs=_numbers(b, g.outputs),
        Operators=_offsets(b, operators),
        Name=b.CreateString("main"),
    )
    metadata = _table(b, "Metadata", Name=b.CreateString("min_runtime_version"), Buffer=len(buffers) - 1)
    model = _table(
        b,
        "Model",
        Version=SCHEMA,
        OperatorCodes=_offsets(b, [_code(b, getattr(tflite.BuiltinOperator, kind), v) for kind, v in codes]),
        Subgraphs=_offsets(b, [subgraph]),
        Description=b.CreateString(description),
        Buffers=_offsets(b, buffers),
        Metadata=_offsets(b, [metadata]),
    )
    b.Finish(model, file_identifier=IDENTIFIER)
    return bytes(b.Output())


def _tensor(b: flatbuffers.Builder, t: Tensor, buffer: int) -> int:
    import tflite

    kind = tflite.TensorType.INT8 if t.data is None or t.data.dtype == np.int8 else tflite.TensorType.INT32
    fields = {"Shape": _numbers(b, t.shape), "Name": b.CreateString(t.name), "Type": kind, "Buffer": buffer}
    if t.scale is not None:
        scale, zeros = _numbers(b, t.scale, np.float32), _numbers(b, np.full(t.scale.size, t.zero), np.int64)
        fields["Quantization"] = _table(
            b, "QuantizationParameters", Scale=scale, ZeroPoint=zeros, QuantizedDimension=t.axis
        )
    return _table(b, "Tensor", **fields)


def _code(b: flatbuffers.Builder, code: int, version: int) -> int:
    """An operator's code, also where old runtimes look for it: all of ours are below 127."""
    return _table(b, "OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=code, Version=version)


def _operator(b: flatbuffers.Builder, o: Operator, code: int) -> int:
    import tflite

    options = {k: _numbers(b, v) if isinstance(v, tuple) else v for k, v in o.options.items()}
    return _table(
        b,
        "Operator",
        OpcodeIndex=code,
        Inputs=_numbers(b, o.inputs),
        Outputs=_numbers(b, [o.output]),
        BuiltinOptionsType=getattr(tflite.BuiltinOptions, o.table),
        BuiltinOptions=_table(b, o.table, **options),
    )


def _table(b: flatbuffers.Builder, name: str, **fields: Any) -> int:
    """A table of the schema; what its fields refer to is there already."""
    import tflite

    getattr(tflite, f"{name}Start")(b)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(b, value)
    return int(getattr(tflite, f"{name}End")(b))


def _offsets(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for v in reversed(values):
        b.PrependUOffsetTRelative(v)
    return int(b.EndVector())


def _numbers(b: flatbuffers.Builder, values: Any, dtype: type[np.generic] = np.int32) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, dtype)))


def _data(b: flatbuffers.Builder, data: bytes) -> int:
    """A vector of bytes that begins at a multiple of ALIGNMENT: CreateByteVector sees to its length alone."""
    b.Prep(ALIGNMENT, len(data))
    return int(b.CreateByteVector(data))


def _little_endian(a: NDArray[Any]) -> bytes:
    return a.astype(a.dtype.newbyteorder("<")).tobytes()
