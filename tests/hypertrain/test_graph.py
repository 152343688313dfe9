"""A backbone's ONNX graph as a torch module: the same numbers, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")

import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import backbone as product
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.weights import demo_photo
from hyper_mcu.hypertrain import backbones
from hyper_mcu.hypertrain.backbones import graph


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    crop = face_crops(demo_photo("yaoming.jpg"), None, "probe")[0].pixels
    return np.stack([crop, crop[:, ::-1]])


def test_torch_gives_what_onnxruntime_gives(crops: NDArray[np.uint8]) -> None:
    """In length too: enrolment refuses what is short."""
    ours, theirs = backbones.load("mbf-w600k", device="cpu"), product.backbone("mbf-w600k")
    assert ours == theirs  # by name, size and hash: the same backbone
    for a, b in zip(ours.enrol_and_norm(crops), theirs.enrol_and_norm(crops), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_keeps_the_direction(crops: NDArray[np.uint8]) -> None:
    half, whole = backbones.load("mbf-w600k", half=True), product.backbone("mbf-w600k")
    assert half == whole
    cosines = (half.embed(crops) * whole.embed(crops)).sum(1)
    assert (cosines > 0.998).all()
    assert (cosines < 1 - 1e-6).any()  # it is not the whole one


def test_what_torch_does_not_run_is_not_run_in_bfloat16() -> None:
    with pytest.raises(UserError, match=r"sface: does not run in bfloat16; expected mbf-w600k"):
        backbones.load("sface", half=True)


def model(*nodes: onnx.NodeProto, **constants: NDArray[np.float32]) -> bytes:
    """A model of these nodes from x (N, 3, 8, 8) to y."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "y"))
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made: bytes = helper.make_model(helper.make_graph(list(nodes), "g", [x], [y], held)).SerializeToString()
    return made


def test_other_operators_are_named() -> None:
    data = model(helper.make_node("Softmax", ["x"], ["t"]), helper.make_node("Erf", ["t"], ["y"]))
    with pytest.raises(UserError, match=r"backbone: operators in torch; expected Add, .*, Relu, got Erf, Softmax"):
        graph.Graph(data)


def test_padding_on_one_side_is_refused() -> None:
    w = np.ones((4, 3, 3, 3), np.float32)
    for pads, fine in (([1, 1, 1, 1], True), ([0, 0, 1, 1], False)):
        net = graph.Graph(model(helper.make_node("Conv", ["x", "w"], ["y"], pads=pads), w=w))
        if fine:
            assert net(torch.ones(2, 3, 8, 8)).shape == (2, 4, 8, 8)
            continue
        with pytest.raises(UserError, match="padding of a Conv"):
            net(torch.ones(2, 3, 8, 8))
