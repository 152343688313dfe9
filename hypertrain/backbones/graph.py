"""The graph of an ONNX file as a torch module: to run a frozen backbone where torch runs, a GPU or in bfloat16.

Only the operators that face recognisers of the mobile kind are made of; a graph with others is refused by their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.backbone import Look

Op = Callable[..., Tensor]
Numbers = float | tuple[float, ...]


def _conv(x: Tensor, w: Tensor, b: Tensor | None = None, **a: Any) -> Tensor:
    pads = a.get("pads", (0, 0, 0, 0))
    if tuple(pads[:2]) != tuple(pads[2:]) or a.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise UserError("backbone", "padding of a Conv", "the same on both sides", a.get("auto_pad", pads))
    dilations = tuple(a.get("dilations", (1, 1)))
    return F.conv2d(x, w, b, tuple(a.get("strides", (1, 1))), tuple(pads[:2]), dilations, a.get("group", 1))


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return F.prelu(x, slope.flatten())


def _gemm(x: Tensor, w: Tensor, b: Tensor | None = None, **a: Any) -> Tensor:
    if not a.get("transB") or a.get("transA") or a.get("alpha", 1.0) != 1 or a.get("beta", 1.0) != 1:
        raise UserError("backbone", "Gemm", "x·Wᵀ + b", a)
    return F.linear(x, w, b)


def _batch_norm(x: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, var: Tensor, **a: Any) -> Tensor:
    return F.batch_norm(x.float(), mean.float(), var.float(), gain.float(), shift.float(), eps=a.get("epsilon", 1e-5))


def _flatten(x: Tensor, **a: Any) -> Tensor:
    return x.contiguous().flatten(a.get("axis", 1))  # the order of channels-last memory is another one


OPS: dict[str, Op] = {
    "Add": torch.add,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "PRelu": _prelu,
    "Relu": F.relu,
}


class Graph(nn.Module):
    """The first output of the graph in an ONNX file, of pictures x (M, 3, 112, 112) as its input takes them."""

    def __init__(self, data: bytes) -> None:
        """Raises UserError for a graph of other operators."""
        super().__init__()
        graph = onnx.load_from_string(data).graph
        if unknown := sorted({n.op_type for n in graph.node} - set(OPS)):
            raise UserError("backbone", "operators in torch", ", ".join(OPS), ", ".join(unknown))
        self._place = {tensor.name: f"tensor{i}" for i, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            self.register_buffer(self._place[tensor.name], torch.from_numpy(numpy_helper.to_array(tensor).copy()))
        self._input = next(i.name for i in graph.input if i.name not in self._place)
        self._output = graph.output[0].name
        self._nodes = [
            (OPS[n.op_type], list(n.input), n.output[0], {a.name: helper.get_attribute_value(a) for a in n.attribute})
            for n in graph.node
        ]

    def forward(self, x: Tensor) -> Tensor:
        values = {self._input: x}
        for op, inputs, output, attributes in self._nodes:
            values[output] = op(
                *(values[i] if i in values else self.get_buffer(self._place[i]) for i in inputs), **attributes
            )
        return values[self._output]


def looking(data: bytes, device: str, dtype: torch.dtype, mean: Numbers, scale: Numbers) -> Look:
    """Crops uint8 (N, 112, 112, 3) RGB to embeddings float32 (N, d) of any length, by the graph on that device.

    It reads (pixel − mean)/scale, numbers for all colours or three, in channels-last memory.
    """
    low, unit = (torch.tensor(v, device=device).reshape(-1, 1, 1) for v in (mean, scale))
    module = Graph(data).eval().to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def look(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2)
        x = ((x.float() - low) / unit).to(dtype).contiguous(memory_format=torch.channels_last)
        found: NDArray[np.float32] = module(x).float().cpu().numpy()
        return found

    return look
