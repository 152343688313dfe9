"""The .tflite file: what it says, and that TFLite Micro and LiteRT compute from it the bytes of the oracle."""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people import TINY, net, person
from quantised import EVERY_KIND, quantised
from strategies import images, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import tflite as backends
from hyper_mcu.codegen.emit_tflite import METADATA, emit, export, graph, grouped
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.presets import PRESETS, preset
from hyper_mcu.codegen.tflite_file import ALIGNMENT

tflite = pytest.importorskip("tflite", reason="needs hyper-mcu[tflite]: tflite")
pytest.importorskip("flatbuffers", reason="needs hyper-mcu[tflite]: flatbuffers")

PACKAGES = {"tflm": "tflite_micro", "litert_reference": "ai_edge_litert", "litert_xnnpack": "ai_edge_litert"}


def asked(name):
    """The backend of that name; skips the test where its package is not here."""
    if not importlib.util.find_spec(PACKAGES[name]):
        pytest.skip(f"needs hyper-mcu[tflite]: {PACKAGES[name]}")
    return getattr(backends, name)


def check(answers, qnet, shown):
    """Every byte of every stage, and the logit."""
    assert len(answers.results) == len(shown)
    for result, image in zip(answers.results, shown, strict=True):
        expected = oracle.run(qnet, image)
        for i, (a, b) in enumerate(zip(result.layers, expected.layers, strict=True)):
            assert a.dtype == np.int8
            assert np.array_equal(a, b), f"stage {i} of {qnet.spec.to_json()}"
        assert result.logit == expected.logit
        assert result.layers_sha256 == expected.layers_sha256


@pytest.mark.parametrize("name", ["tflm", "litert_reference"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_reference_kernels_give_the_oracles_bytes_on_random_nets(name, data):
    qnet = data.draw(qnets())
    shown = [data.draw(images(qnet.spec)) for _ in range(2)]
    check(asked(name)(person(qnet), shown), qnet, shown)


@pytest.mark.parametrize("name", ["tflm", "litert_reference"])
@pytest.mark.parametrize("spec", PRESETS.values(), ids=list(PRESETS))
def test_reference_kernels_give_the_oracles_bytes_on_the_presets(name, spec):
    qnet = quantised(spec)
    shown = [oracle.known_image(spec, seed) for seed in (1, 2)]
    check(asked(name)(person(qnet), shown), qnet, shown)
    assert len({*oracle.run(qnet, shown[0]).layers[-1].ravel().tolist()}) > 16  # else equality says little


def test_answers_name_the_runtime_and_its_version():
    answers = asked("tflm")(person(quantised(preset("nano"))), [])
    assert answers.tool == f"tflite-micro {importlib.metadata.version('tflite-micro')}"
    assert (answers.results, answers.compile_seconds > 0) == ((), True)


def test_kernels_that_litert_takes_by_itself_are_within_one_of_the_oracle_on_the_first_stage():
    spec = preset("nano")
    qnet, image = quantised(spec), oracle.known_image(spec, 3)
    (result,) = asked("litert_xnnpack")(person(qnet), [image]).results
    first = oracle.run(qnet, image).layers[0].astype(int)
    assert np.abs(result.layers[0] - first).max() <= 1  # both round acc·s_in·s_w/s_out, once or twice


def parsed(data):
    model = tflite.Model.GetRootAs(data)
    return model, model.Subgraphs(0)


def test_file_holds_depthwise_and_grouped_convolutions_a_sum_and_one_shuffle():
    model, subgraph = parsed(emit(quantised(EVERY_KIND), tool="hyper-mcu 1.2.3"))
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    versions = {(names[c.BuiltinCode()], c.Version()) for c in codes}
    assert versions == {
        ("CONV_2D", 3), ("CONV_2D", 6), ("DEPTHWISE_CONV_2D", 3), ("ADD", 2), ("RESHAPE", 1), ("TRANSPOSE", 2),
    }  # fmt: skip
    assert all(c.DeprecatedBuiltinCode() == c.BuiltinCode() for c in codes)
    kinds = [names[codes[subgraph.Operators(i).OpcodeIndex()].BuiltinCode()] for i in range(subgraph.OperatorsLength())]
    shuffle = ["RESHAPE", "TRANSPOSE", "RESHAPE"]  # the one behind a dense Conv went into its weights
    assert kinds == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", *shuffle, "CONV_2D", "ADD", "DEPTHWISE_CONV_2D"]
    assert model.Description().decode().startswith("every kind by hyper-mcu 1.2.3; architecture ")
    metadata = model.Metadata(0)
    runtime = model.Buffers(metadata.Buffer()).DataAsNumpy().tobytes()
    assert (metadata.Name(), runtime) == (b"min_runtime_version", b"2.9.0" + bytes(11))


@pytest.mark.parametrize("name", ["tflm", "litert_reference"])
def test_net_with_every_kind_of_operator_gives_the_oracles_bytes(name):
    qnet = quantised(EVERY_KIND)
    shown = [oracle.known_image(EVERY_KIND, 4)]
    check(asked(name)(person(qnet), shown), qnet, shown)


def test_export_says_whose_it_is_and_what_makes_a_verdict():
    p = person(quantised(EVERY_KIND))
    model, _ = parsed(export(p))
    data = {model.Metadata(i).Name(): model.Buffers(model.Metadata(i).Buffer()) for i in range(model.MetadataLength())}
    assert list(data) == [b"min_runtime_version", METADATA.encode()]
    said = json.loads(data[METADATA.encode()].DataAsNumpy().tobytes())
    assert base64.b64decode(said.pop("weight")) == p.qnet.head.weight.tobytes()
    assert said == {
        "name": "alice", "netspec": "every kind", "netspec_sha256": EVERY_KIND.sha256, "head": "dot", "pool": True,
        "bias": p.qnet.head.bias, "threshold": 0, "fmr": 0.001, "fnmr": 0.0625, "rates_on": "200 people",
    }  # fmt: skip
    assert export(p) == export(p)


def test_what_export_says_takes_no_room_in_tflite_micros_arena():
    asked("tflm")
    from hyper_mcu.codegen.arena import arena_bytes

    p = person(quantised(preset("nano")))
    plain, said = emit(p.qnet, tool=p.provenance.tool), export(p)
    assert len(said) > len(plain)
    arena = arena_bytes(said, p.qnet.spec)
    assert arena == arena_bytes(plain, p.qnet.spec)
    runtime = backends.interpreter(said, arena)
    image = oracle.known_image(p.qnet.spec, 5)
    runtime.set_input((image ^ 0x80).view(np.int8)[None], 0)
    runtime.invoke()
    assert np.array_equal(runtime.get_output(0)[0], oracle.run(p.qnet, image).layers[-1])


def test_constants_begin_at_multiples_of_16_and_all_maps_share_the_empty_buffer():
    data = emit(quantised(EVERY_KIND))
    model, subgraph = parsed(data)
    assert (data[4:8], model.Version(), model.BuffersLength() > 10) == (b"TFL3", 3, True)
    for i in range(1, model.BuffersLength()):
        vector = model.Buffers(i)._tab
        assert vector.Vector(vector.Offset(4)) % ALIGNMENT == 0
    constant = [subgraph.Tensors(i).Buffer() > 0 for i in range(subgraph.TensorsLength())]
    assert constant.count(True) == model.BuffersLength() - 2  # all but the empty one and the metadata
    assert model.Buffers(0).DataLength() == 0


def test_scales_and_zero_points_are_the_qnets():
    qnet = quantised(EVERY_KIND)
    _, subgraph = parsed(emit(qnet))
    all_tensors = [subgraph.Tensors(i) for i in range(subgraph.TensorsLength())]
    tensors = {t.Name().decode(): t.Quantization() for t in all_tensors}
    assert (tensors["image"].Scale(0), tensors["image"].ZeroPoint(0)) == (1 / 128, 0)
    zeros = {name: q.ZeroPoint(0) for name, q in tensors.items() if name.removeprefix("stage").isdigit()}
    assert zeros == {f"stage{i}": -128 for i in range(5)} | {"stage5": 0}
    depthwise = tensors["stage1.weight"]
    assert depthwise.QuantizedDimension() == 3
    assert np.array_equal(depthwise.ScaleAsNumpy(), qnet.stages[1].weight_scale)
    assert tensors["stage3"].Scale(0) == qnet.scales[3]


def test_only_the_last_map_is_an_output_unless_all_are_tapped():
    qnet = quantised(EVERY_KIND)
    names = []
    for taps in (False, True):
        _, subgraph = parsed(emit(qnet, taps))
        names.append([subgraph.Tensors(i).Name() for i in subgraph.OutputsAsNumpy()])
    assert names[0] == [b"stage5"]
    assert names[1] == [b"stage0", b"stage1", b"stage2.shuffled", b"stage3", b"stage4", b"stage5"]


def test_file_is_the_same_every_time():
    qnet = quantised(EVERY_KIND)
    assert emit(qnet, taps=True) == emit(qnet, taps=True)


def test_integers_that_no_scales_give_are_refused():
    with pytest.raises(UserError, match=r"^qnet tiny@1 stage 0: multiplier and shift of channel 0 are not what TFLite"):
        graph(net(TINY))


@pytest.mark.parametrize(
    ("layers", "is_grouped"),
    [
        ((Conv(3, 1, "same", 3, 4), Conv(3, 1, "same", 4, 8, 4)), False),
        ((Conv(3, 1, "same", 3, 4), Conv(3, 1, "same", 4, 8, 2)), True),
    ],
    ids=["depthwise", "grouped"],
)
def test_depthwise_convolutions_are_not_called_grouped(layers, is_grouped):
    assert grouped(NetSpec("some", layers, Head("dot"), height=4, width=4)) is is_grouped


@pytest.mark.parametrize(
    ("name", "module", "distribution"),
    [
        ("tflm", "tflite", "tflite"),
        ("tflm", "tflite_micro.python.tflite_micro", "tflite-micro"),
        ("litert_reference", "ai_edge_litert", "ai-edge-litert"),
        ("litert_xnnpack", "ai_edge_litert", "ai-edge-litert"),
        ("tensorflow", "tensorflow", "tensorflow"),
    ],
)
def test_missing_package_is_a_missing_tool_with_its_install_line(monkeypatch, name, module, distribution):
    monkeypatch.setitem(sys.modules, module, None)
    extra = "tensorflow" if name == "tensorflow" else "tflite"
    with pytest.raises(MissingToolError, match=rf"^{distribution}: .*\[{extra}\]"):
        getattr(backends, name)(person(quantised(preset("nano"))), [])
