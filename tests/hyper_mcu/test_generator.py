"""Loading a generator: what is refused, and with which words."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")

import onnx

from hyper_mcu import generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.rates import Curve, Rates, Strangers
from hyper_mcu.faces.weights import sha256_of
from hyper_mcu.hypertrain import export
from hyper_mcu.hypertrain.hgen import HGen, Shape

SPEC = preset("nano")
POINTS = tuple((0.1 * i, 400 >> i, 2 * i) for i in range(9))
RATES = Rates(
    9, Strangers((0.25,) * 512, 0.1, 0.5, 0.07, 50.0, 60.0), Curve(20, 800, POINTS), Curve(20, 800, POINTS), 4
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A generator of random weights with honest metadata."""
    file = tmp_path / "g.onnx"
    meta: dict[str, object] = {
        "backbone": "mbf-w600k",
        "backbone_sha256": sha256_of("mbf-w600k"),
        "scales": [0.02] * len(SPEC.stages),
        "rates": RATES.to_json(),
    }
    export.save(HGen(SPEC, Shape(512, 16, 2)), file, meta)
    return file


def changed(path: Path, key: str, value: str) -> str:
    """What loading says after one metadata entry was changed."""
    model = onnx.load(str(path))
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
    onnx.save(model, str(path))
    with pytest.raises(UserError) as e:
        generator.load(path)
    return str(e.value)


def test_loaded_generator_writes_weights(path: Path) -> None:
    g = generator.load(path)
    assert (g.spec, g.rates) == (SPEC, RATES)
    assert g.weights(np.ones((2, 512), np.float32)).shape == (2, SPEC.params)


def test_generator_of_another_backbone_is_refused(path: Path) -> None:
    want = sha256_of("mbf-w600k")[:16]
    said = changed(path, "backbone_sha256", "0" * 64)
    assert said == f"{path}: generator of another backbone mbf-w600k; expected {want}, got {'0' * 16}"


def test_generator_of_what_is_no_backbone_is_refused(path: Path) -> None:
    assert changed(path, "backbone", "scrfd-500m") == (
        "scrfd-500m: unknown backbone; expected one of mbf-w600k, sface, dlib, or an ONNX file, got scrfd-500m"
    )


def test_generator_of_another_netspec_is_refused(path: Path) -> None:
    said = changed(path, "netspec_sha256", "f" * 64)
    assert said == f"{path}: generator of another NetSpec; expected {'f' * 16}, got {SPEC.sha256[:16]}"


def test_generator_of_another_format_is_refused(path: Path) -> None:
    assert changed(path, "format", "1") == f"{path}: generator format; expected 2, got 1"


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.onnx"
    with pytest.raises(UserError) as e:
        generator.load(missing)
    assert (
        str(e.value) == f"{missing}: no generator; expected an ONNX file written by hyper-mcu train, got no such file"
    )
    foreign = tmp_path / "foreign.onnx"
    for content, got in ((bytes(100), "other data"), (b"", "an empty file"), (b"none", "text")):
        foreign.write_bytes(content)
        with pytest.raises(UserError) as e:
            generator.load(foreign)
        assert (
            str(e.value) == f"{foreign}: not a generator; expected an ONNX file written by hyper-mcu train, got {got}"
        )


def test_damaged_generator_is_not_called_a_foreign_one(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"netspec_sha256", b"netspec_sha255"))
    with pytest.raises(UserError) as e:
        generator.load(path)
    said = "not a generator; expected an ONNX file written by hyper-mcu train, got one that is damaged, KeyError"
    assert str(e.value) == f"{path}: {said}"


@pytest.mark.parametrize("rates", ["{}", "[]", '{"people": 1}', RATES.to_json() | {"faces": "many"}])
def test_rates_that_are_none_are_refused(path: Path, rates: object) -> None:
    text = rates if isinstance(rates, str) else json.dumps(rates)
    assert "not a generator; expected an ONNX file written by hyper-mcu train, got one that is damaged" in changed(
        path, "rates", text
    )


def test_shipped_generator_keeps_its_promises() -> None:
    g = generator.load()
    assert g.path.stat().st_size <= 15e6
    assert (g.spec.id, g.backbone) == ("paper@1", "mbf-w600k")
    point = g.rates.at()
    assert 0.9e-3 < point.fmr <= 1e-3 < point.fmr_high < 1.2e-3
    assert 0 < point.fnmr < 0.6
    assert 0 < g.rates.at(cohort=True).fnmr < point.fnmr  # what strangers score corrects what the embedding tells
    assert len(g.scales) == len(g.spec.stages)


def test_inspect_tells_what_a_generator_holds(
    path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("inspect", path, "--json") == 0
    told, g = json.loads(capsys.readouterr().out), generator.load(path)
    assert (told["schema_version"], told["sha256"]) == (1, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (told["netspec"], told["norm"], told["params"]) == (SPEC.id, SPEC.norm, SPEC.params)
    assert (told["backbone"], told["backbone_sha256"]) == ("mbf-w600k", sha256_of("mbf-w600k"))
    assert told["rates_on"] == "20 genuine and 800 impostor pairs of 9 held-out people"
    assert [r["target"] for r in told["rates"]] == [0.1, 0.01]  # 800 pairs show no rate below 3/800
    assert told["rates"][1]["alone"] == {"z": pytest.approx(0.6), "fmr": 6 / 800, "fmr_high": ANY, "fnmr": 0.6}
    assert (told["scales_learned"], told["trained"], told["first"]) == (False, {}, 0)
    assert told["personal"] == g.personal == SPEC.params
    assert command("inspect", path) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{path}: writes {SPEC.id}, {SPEC.params:,} parameters, ")
    assert f"personal: {SPEC.params:,} of {SPEC.params:,} weights, all of them\n" in said
    assert said.endswith(f"SHA-256 {told['sha256']}\n")


def test_personal_weights_are_those_that_differ_between_people() -> None:
    g = generator.load()
    a, b = g.weights(np.eye(512, dtype=np.float32)[:2])
    assert g.personal == np.count_nonzero(a != b)
    assert 0 < g.personal < g.spec.params


def test_inspect_of_what_is_no_generator_is_one_line(
    tmp_path: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.onnx").write_bytes(b"none")
    assert command("inspect", tmp_path / "g.onnx") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    expected = "not a generator; expected an ONNX file written by hyper-mcu train, got text"
    assert said.err == f"{tmp_path}/g.onnx: {expected}\n"
