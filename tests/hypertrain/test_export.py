"""The generator as a file: the exported graph and the module that comes back from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")

import onnx
import torch
from generators import POINTWISE, VARIANTS, parameters_of, trained_like, unit

from hyper_mcu import generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Head, Norm
from hyper_mcu.hypertrain import export
from hyper_mcu.hypertrain.hgen import NOTES, HGen, Shape
from hyper_mcu.hypertrain.qat import Quantiser


def check_graph(hgen: HGen, path: Path) -> None:
    """Writes the generator and runs it on seven embeddings and on one."""
    import onnxruntime

    export.as_stored(hgen)
    export.save(hgen, path, {"backbone": "none"})
    session = onnxruntime.InferenceSession(str(path))
    for count in (7, 1):
        e = unit(count, hgen.shape.dimension)
        got, want = session.run(None, {"embedding": e.numpy()})[0], hgen(e).detach().numpy()
        assert got.shape == (count, hgen.spec.params)
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_exported_generator_equals_torch_and_restores(tmp_path: Path, shape: Shape) -> None:
    hgen, path = trained_like(POINTWISE, shape), tmp_path / "generator.onnx"
    check_graph(hgen, path)
    again, meta = export.restore(path)
    assert meta["backbone"] == "none"
    assert (again.shape, again.quantiser) == (shape, None)
    kept = again.state_dict()
    assert kept.keys() == hgen.state_dict().keys()
    assert all(torch.equal(v, kept[k]) for k, v in hgen.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("norm", ["none", "weight-standardised", "train-statistics"])
@pytest.mark.parametrize("form", [{"first": 2}, {"rank": -1, "residual": False}], ids=str)
def test_exported_generator_folds_its_normalisation(tmp_path: Path, norm: Norm, form: dict[str, Any]) -> None:
    spec = replace(POINTWISE, norm=norm, head=Head("dot"))
    check_graph(trained_like(spec, replace(Shape(16, 24, 3), **form)), tmp_path / "generator.onnx")


@pytest.mark.parametrize("norm", ["instance", "pixel-channel"])
def test_generator_of_nets_that_normalise_at_run_time_is_refused(tmp_path: Path, norm: Norm) -> None:
    hgen = HGen(replace(POINTWISE, norm=norm), Shape(16, 24, 3))
    with pytest.raises(UserError) as e:
        export.save(hgen, tmp_path / "generator.onnx", {})
    assert str(e.value) == (
        "netspec pointwise@1: no generator for normalisation at run time; expected one that folds into the weights "
        f"(none, weight-standardised, train-statistics), got {norm}"
    )
    assert list(tmp_path.iterdir()) == []


def test_weights_are_stored_in_half_precision(tmp_path: Path) -> None:
    shape = Shape(512, 64, 4, refine=2)
    export.save(HGen(POINTWISE, shape), tmp_path / "generator.onnx", {})
    numbers = parameters_of(POINTWISE, shape) + NOTES * POINTWISE.params
    assert 2 * numbers < (tmp_path / "generator.onnx").stat().st_size < 2 * numbers + 40_000


def test_learned_scales_come_back_with_the_generator(tmp_path: Path) -> None:
    hgen, path = HGen(POINTWISE, Shape(16, 24, 3)), tmp_path / "generator.onnx"
    scales = np.linspace(0.01, 0.07, len(POINTWISE.stages)).astype(np.float32)
    hgen.quantiser = Quantiser(POINTWISE, scales)
    export.save(hgen, path, {"qat": True, "scales": hgen.quantiser.scales().tolist()})
    again = export.restore(path)[0].quantiser
    assert again is not None
    assert np.allclose(again.scales(), scales, rtol=1e-6)


def test_shipped_generator_goes_on_loading() -> None:
    hgen, meta = export.restore(generator.SHIPPED)
    assert hgen.shape == Shape(512, 512, 16, first=8)
    e = unit(2, 512)
    with torch.no_grad():
        theta = hgen(e).numpy()
    assert np.abs(generator.load().weights(e.numpy()) - theta).max() <= 1e-5 * np.abs(theta).max()
    assert (meta["backbone"], hgen.quantiser) == ("mbf-w600k", None)


def test_restore_refuses_a_file_that_is_no_generator(tmp_path: Path) -> None:
    path, expected = tmp_path / "x.onnx", "expected an ONNX file written by hyper-mcu train, got"
    with pytest.raises(UserError) as e:
        export.restore(path)
    assert str(e.value) == f"{path}: no generator; {expected} no such file"
    scope = "importing networks of other tools is out of scope"
    foreign = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), producer_name="pytorch")
    for content, what in (
        (b"not an onnx file", f"not a generator; {expected} text"),
        (foreign.SerializeToString(), f"not a generator; {scope}; {expected} an ONNX graph"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError) as e:
            export.restore(path)
        assert str(e.value) == f"{path}: {what}"
