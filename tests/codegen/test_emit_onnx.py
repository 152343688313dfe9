"""ONNX files against the oracle, in onnxruntime and, for small nets, in the standard's own reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import OTHER, TINY, net, person
from strategies import images, net_specs, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import onnx as backend
from hyper_mcu.codegen.emit_onnx import emit, export
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec

onnx = pytest.importorskip("onnx", reason="needs hyper-mcu[onnx]: onnx")

FLOATS = {"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"}


def check(result, expected, spec):
    for i, (a, b) in enumerate(zip(result.layers, expected.layers, strict=True)):
        assert np.array_equal(a, b), f"stage {i} of {spec.to_json()}"
    assert result.logit == expected.logit, spec.to_json()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_onnxruntime_gives_the_oracles_bytes(data):
    q = data.draw(qnets())
    shown = [data.draw(images(q.spec)) for _ in range(2)]
    said = backend.integer(person(q), shown)
    for result, image in zip(said.results, shown, strict=True):
        check(result, oracle.run(q, image), q.spec)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_standards_reference_evaluator_gives_the_oracles_logit(data):
    from onnx.reference import ReferenceEvaluator

    q = data.draw(qnets(net_specs(max_side=5, max_channels=4, max_stages=3)))
    x = data.draw(images(q.spec))
    (logit,) = ReferenceEvaluator(onnx.load_from_string(emit(q))).run(None, {"image": x[None]})
    assert logit.tolist() == [oracle.run(q, x).logit]


@pytest.mark.parametrize("spec", [TINY, OTHER], ids=lambda s: s.id)
def test_file_has_integers_only_and_is_the_same_every_time(spec):
    q = net(spec)
    data = emit(q, taps=True)
    assert data == emit(q, taps=True)
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    kinds = {onnx.TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in values}
    kinds |= {onnx.TensorProto.DataType.Name(c.data_type) for c in model.graph.initializer}
    assert len(values) > 20
    assert not kinds & FLOATS


def test_taps_are_the_stages_and_without_them_the_logit_is_the_only_output():
    q = net(TINY)
    names = [[o.name for o in onnx.load_from_string(emit(q, taps=t)).graph.output] for t in (False, True)]
    assert names == [["logit"], ["stage0", "stage1", "stage2", "stage3", "logit"]]


@pytest.mark.parametrize(
    ("spec", "head"),
    [
        (TINY, {"head": "cosdot", "pool": "false", "K": "9"}),
        (OTHER, {"head": "dot", "pool": "true", "bias": str(net(OTHER).head.bias)}),
    ],
    ids=["cosdot", "dot"],
)
def test_export_says_whose_it_is_and_what_makes_a_verdict(spec, head):
    import onnxruntime as ort

    p = person(net(spec), threshold=-3)
    said = ort.InferenceSession(export(p), providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    assert said == head | {
        "name": "alice", "netspec": spec.id, "netspec_sha256": spec.sha256, "threshold": "-3", "fmr": "0.001",
        "fnmr": "0.0625", "rates_on": "200 people",
    }  # fmt: skip
    assert export(p) == export(p)
    bare = onnx.load_from_string(export(p))
    del bare.metadata_props[:]
    assert bare == onnx.load_from_string(emit(p.qnet))


def test_several_images_go_in_at_once():
    import onnxruntime as ort

    q = net(OTHER)
    batch = np.stack([oracle.known_image(OTHER, seed) for seed in (1, 2, 3)])
    (logits,) = ort.InferenceSession(emit(q), providers=["CPUExecutionProvider"]).run(["logit"], {"image": batch})
    assert logits.tolist() == [oracle.run(q, x).logit for x in batch]


def test_qlinear_rounds_once_where_the_oracle_rounds_twice():
    """By 2^-3: the oracle makes 11·½ a whole number first, 6, and 6/4 two; QLinearConv rounds 1.375 to one."""
    spec = NetSpec("t", (Conv(1, 1, "same", 1, 1),), Head("dot"), 1, 1, 1)
    eighth = oracle.QConv(
        np.ones((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), np.full(1, 2**30, np.int32), np.full(1, 2, np.uint8),
        np.full(1, 16, np.float32), np.float32(1),
    )  # fmt: skip
    q = oracle.QNet(spec, (eighth,), net(spec).head)
    image = np.full((1, 1, 1), 128 + 11, np.uint8)
    (rounded,), (once,) = backend.integer(person(q), [image]).results, backend.qlinear(person(q), [image]).results
    assert rounded.layers[0].ravel().tolist() == oracle.run(q, image).layers[0].ravel().tolist() == [2 - 128]
    assert once.layers[0].ravel().tolist() == [1 - 128]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_qlinear_differs_by_little_in_the_first_stage(data):
    q = data.draw(qnets(net_specs(max_stages=1)))
    x = data.draw(images(q.spec))
    (result,) = backend.qlinear(person(q), [x]).results
    off = result.layers[0].astype(int) - oracle.run(q, x).layers[0]
    assert np.abs(off).max() <= 1
