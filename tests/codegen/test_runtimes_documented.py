"""The Python of docs/runtimes.md, run as it stands there on files of small nets."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import OTHER, TINY, person
from quantised import quantised

from hyper_mcu import generator
from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_onnx import export as export_onnx
from hyper_mcu.codegen.emit_tflite import export as export_tflite
from hyper_mcu.codegen.presets import preset

PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
NEEDS = {"onnx": ("onnx", "onnxruntime"), "tflite": ("tflite", "flatbuffers", "ai_edge_litert")}
SPECS = {spec.id: spec for spec in (TINY, OTHER, preset("nano"))}  # CosDot and Dot, pooled or not, linear or not


def snippet(form):
    """The page's Python that reads a.FORM; skips the test where its runtime is not installed."""
    for module in NEEDS[form]:
        if not importlib.util.find_spec(module):
            pytest.skip(f"needs hyper-mcu[{form}]: {module}")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [b for b in blocks if f'"a.{form}"' in b]
    return compile(code, f"{PAGE.name}, {form}", "exec")


@pytest.mark.parametrize("form", NEEDS)
@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_the_pages_python_says_match_from_the_logit_on(form, spec, tmp_path, monkeypatch):
    code, export = snippet(form), {"onnx": export_onnx, "tflite": export_tflite}[form]
    monkeypatch.chdir(tmp_path)
    qnet = quantised(spec)
    for seed in (1, 2, 3):
        image = oracle.known_image(spec, seed)
        image.tofile("face.rgb")
        logit = oracle.run(qnet, image).logit
        for threshold, match in ((logit, True), (logit + 1, False)):
            Path(f"a.{form}").write_bytes(export(person(qnet, threshold=threshold)))
            names = {}
            exec(code, names)
            assert (names["logit"], names["match"]) == (logit, match)


def test_an_empty_map_never_matches(tmp_path, monkeypatch):
    """Where the last map is zero throughout, CosDot's logit is the smallest there is."""
    code = snippet("tflite")
    monkeypatch.chdir(tmp_path)
    qnet = quantised(TINY)
    last = qnet.stages[-1]
    empty = replace(last, weight=np.zeros_like(last.weight), bias=np.zeros_like(last.bias))
    qnet = replace(qnet, stages=(*qnet.stages[:-1], empty))
    oracle.known_image(TINY, 1).tofile("face.rgb")
    Path("a.tflite").write_bytes(export_tflite(person(qnet, threshold=-(2**31) + 1)))
    names = {}
    exec(code, names)
    assert (names["logit"], names["match"]) == (oracle.run(qnet, oracle.known_image(TINY, 1)).logit, False)
    assert names["logit"] == -(2**31)


def test_the_pages_table_is_that_of_the_shipped_network():
    spec = preset("paper")
    rows = re.findall(r"\| u?int8 \| \([1N], (\d+), (\d+), (\d+)\) \|", PAGE.read_text(encoding="utf-8"))
    image = (spec.height, spec.width, spec.channels)
    assert [tuple(map(int, shape)) for shape in rows] == [image, image, spec.map_shape]
    assert f"one scale, {generator.load().scales[-1]:.4f} by the shipped generator" in PAGE.read_text(encoding="utf-8")
