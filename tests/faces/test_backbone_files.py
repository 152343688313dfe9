"""ONNX files that a user brings as a backbone: preprocessing, batches, layers, identity, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hyper_mcu import enroll, generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.backbone import Backbone, Limits, backbone
from hyper_mcu.faces.weights import demo_photo

RNG = np.random.default_rng(7)
KERNEL = RNG.normal(size=(8, 3, 16, 16)).astype(np.float32)
PROJECTION = RNG.normal(size=(8 * 49, 512)).astype(np.float32)
CROPS = RNG.integers(0, 256, (5, 112, 112, 3), np.uint8)


FLOAT = TensorProto.FLOAT


def model(
    batch: int | str = "N",
    flat: tuple[int, int] = (0, -1),
    old: bool = False,
    reads: int = FLOAT,
    gives: int = FLOAT,
    **inputs: Any,
) -> bytes:
    """Patches → ReLU `maps` → 512 numbers; flat: the shape behind the maps; old: initialisers are inputs too; reads,
    gives: element types of input and output."""
    constants = [
        numpy_helper.from_array(v, n)
        for n, v in (("kernel", KERNEL), ("projection", PROJECTION), ("flat", np.array(flat, np.int64)))
    ]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=FLOAT),
        helper.make_node("Conv", ["x", "kernel"], ["patches"], strides=[16, 16]),
        helper.make_node("Relu", ["patches"], ["maps"]),
        helper.make_node("Reshape", ["maps", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "projection"], ["e"]),
        helper.make_node("Cast", ["e"], ["embedding"], to=gives),
    ]
    shape = inputs.get("shape", [batch, 3, 112, 112])
    entries = [helper.make_tensor_value_info("pixels", reads, shape)]
    entries += [helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in constants if old]
    out = helper.make_tensor_value_info("embedding", gives, [batch, 512])
    graph = helper.make_graph(nodes, "net", entries, [out], constants)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def written(folder: Path, content: bytes, **sidecar: Any) -> Path:
    path = folder / "my.onnx"
    path.write_bytes(content)
    if sidecar:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path


def loaded(path: Path, layers: str = "") -> Backbone:
    backbone.cache_clear()
    return backbone(f"{path}{layers}")


def reference(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit embeddings and maps (N, 8, 7, 7) of what the net reads, (N, 112, 112, 3)."""
    patches = x.astype(np.float64).reshape(-1, 7, 16, 7, 16, 3)
    maps = np.einsum("nyaxbc,kcab->nkyx", patches, KERNEL.astype(np.float64)).clip(0)
    e = maps.reshape(len(maps), -1) @ PROJECTION
    return e / np.linalg.norm(e, axis=1, keepdims=True), maps


def refused(path: Path, layers: str = "") -> str:
    with pytest.raises(UserError) as e:
        loaded(path, layers)
    return str(e.value).removeprefix(f"{path}: ").removeprefix(f"{path.with_suffix('.json')}: ")


def test_file_is_known_by_its_name_and_its_own_hash(tmp_path: Path) -> None:
    b = loaded(written(tmp_path, model()))
    sha256 = hashlib.sha256(model()).hexdigest()
    assert (b.name, b.dimension, b.size, b.tokens, b.sha256) == ("my.onnx", 512, 512, 0, sha256)
    assert b.licence == "as its file says"


@pytest.mark.parametrize(
    "content",
    [model(), model(batch=1), model(batch=1, flat=(1, -1)), model(batch=1, old=True)],
    ids=["free batch", "batch of one", "flattened to one row", "initialisers as inputs"],
)
def test_pixels_are_rgb_around_zero_by_default_and_every_batch_size_runs(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    b = loaded(written(tmp_path, content))
    want, _ = reference((CROPS - 127.5) / 127.5)
    assert np.abs(b.embed(CROPS) - want).max() < 1e-5
    assert np.abs(b.embed(CROPS[:1]) - want[:1]).max() < 1e-5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("gives", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_output_of_another_precision_is_taken(tmp_path: Path, gives: int) -> None:
    e = loaded(written(tmp_path, model(gives=gives))).embed(CROPS)
    assert e.dtype == np.float32
    assert np.abs(e - reference((CROPS - 127.5) / 127.5)[0]).max() < 1e-3


def test_what_it_reads_stands_beside_it(tmp_path: Path) -> None:
    plain = loaded(written(tmp_path, model()))
    mean, scale = (10.0, 20.0, 30.0), 50.0
    path = written(tmp_path, model(), order="bgr", mean=mean, scale=scale, licence="mine")
    b = loaded(path)
    want, _ = reference((CROPS[..., ::-1] - np.array(mean)) / scale)
    assert np.abs(b.embed(CROPS) - want).max() < 1e-5
    assert b.licence == "mine"
    assert b.sha256 not in (plain.sha256, loaded(written(tmp_path, model(), order="bgr")).sha256)


def test_limits_stand_beside_it_and_do_not_make_it_another_backbone(tmp_path: Path) -> None:
    plain = loaded(written(tmp_path, model()))
    assert plain.limits == Limits(0, 0, 0)
    b = loaded(written(tmp_path, model(), norm=12.5, agree=0.3, same=0.4))
    assert (b.limits, b.sha256) == (Limits(12.5, 0.3, 0.4), plain.sha256)


def test_layers_of_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, model())
    b = loaded(path, ":maps,embedding")
    want, maps = reference((CROPS - 127.5) / 127.5)
    pooled = maps.mean((2, 3))
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert (b.name, b.dimension, b.size) == ("my.onnx:maps,embedding", 512, 512 + 8 + 512)
    assert np.abs(b.embed(CROPS) - np.concatenate([want, pooled, want], 1)).max() < 1e-5
    assert b.sha256 != loaded(path).sha256


def test_tokens_are_of_one_length_and_the_first_is_the_embedding(tmp_path: Path) -> None:
    b = loaded(written(tmp_path, model(), tokens=4))
    assert (b.dimension, b.size, b.tokens) == (128, 512, 4)
    e = b.embed(CROPS)
    assert np.allclose(np.linalg.norm(e[:, :128], axis=1), 1, atol=1e-5)
    assert refused(written(tmp_path, model(), tokens=5)).startswith("output does not divide into tokens; ")
    assert refused(written(tmp_path, model(), tokens=4), ":maps").startswith("output does not divide into tokens; ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "backbone; expected an ONNX model, got something else"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "backbone; expected an ONNX model, got something else"),
        (model()[:-100], "backbone; expected an ONNX model, got something else"),
        (model(shape=["N", 3, 224, 224]), "backbone; expected one input N×3×112×112, got [[0, 3, 224, 224]]"),
        (model(shape=["N", 112, 112, 3]), "backbone; expected one input N×3×112×112, got [[0, 112, 112, 3]]"),
        (model(reads=TensorProto.UINT8), "backbone; expected an input of float32, got uint8"),
        (model(reads=TensorProto.FLOAT16), "backbone; expected an input of float32, got float16"),
        (model(flat=(0, 49)), "backbone does not load; expected a graph that onnxruntime runs, got Fail"),
        (model(flat=(5, -1)), "backbone does not run; expected a crop in, numbers out, got Fail"),
    ],
    ids=["empty", "a picture", "cut off", "larger", "channels last", "bytes", "half", "does not load", "does not run"],
)
def test_what_is_no_backbone_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert refused(written(tmp_path, content)) == said


def test_net_that_gives_as_many_numbers_for_any_batch_looks_at_one_crop_at_a_time(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["pixels"], ["sum"], keepdims=0)]
    nodes += [helper.make_node("Add", ["weights", "sum"], ["embedding"])]
    weights = numpy_helper.from_array(np.arange(6, dtype=np.float32), "weights")
    pixels = helper.make_tensor_value_info("pixels", FLOAT, ["N", 3, 112, 112])
    graph = helper.make_graph(
        nodes, "net", [pixels], [helper.make_tensor_value_info("embedding", FLOAT, [6])], [weights]
    )
    made = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    b = loaded(written(tmp_path, made))
    assert b.size == 6
    assert np.array_equal(b.embed(CROPS), np.concatenate([b.embed(c[None]) for c in CROPS]))


def test_data_in_another_file_are_refused(tmp_path: Path) -> None:
    m = onnx.load_from_string(model())
    onnx.save(m, tmp_path / "my.onnx", save_as_external_data=True, location="data", size_threshold=0)
    assert refused(tmp_path / "my.onnx") == "backbone; expected one file, got a model with its data in another"


def test_missing_file_and_missing_layer_are_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.onnx") == "no backbone; expected an ONNX file, got no such file"
    want = "backbone; expected names of tensors in the graph as layers, got 'nowhere'"
    assert refused(written(tmp_path, model()), ":nowhere") == want


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        (
            {"colour": "bgr"},
            "unknown key; expected order, mean, scale, tokens, licence, name, sha256, of, norm, agree, same, "
            "got colour",
        ),
        ({"order": "gbr"}, "order; expected rgb or bgr, got gbr"),
        ({"mean": [1, 2]}, "mean; expected one number or three, got (1, 2)"),
        ({"mean": "1"}, "mean; expected one number or three, got 1"),
        ({"scale": 0}, "scale; expected no zero, got 0"),
        ({"norm": -1}, "norm; expected a number, not below 0, got -1"),
        ({"agree": "0.3"}, "agree; expected a number, not below 0, got 0.3"),
        ({"same": -0.3}, "same; expected a number, not below 0, got -0.3"),
        ({"tokens": -1}, "tokens; expected a whole number, got -1"),
        ({"sha256": 5}, "sha256; expected text, got 5"),
        ({"name": "../x"}, "name; expected one without a folder, got ../x"),
    ],
)
def test_settings_that_say_nothing_are_refused(tmp_path: Path, sidecar: dict[str, Any], said: str) -> None:
    assert refused(written(tmp_path, model(), **sidecar)) == said


def test_settings_that_are_no_object_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, model())
    for content, got in (("[1", "JSONDecodeError"), ("[" * 100_000, "RecursionError"), ("[1]", "AttributeError")):
        path.with_suffix(".json").write_text(content)
        assert refused(path) == f"not the settings of a backbone; expected a JSON object, got {got}"


def test_claim_to_stand_for_a_checkpoint_holds_for_the_very_file_alone(tmp_path: Path) -> None:
    of = hashlib.sha256(model()).hexdigest()
    claim = {"name": "adaface-ir101", "sha256": "ab" * 32, "of": of}
    b = loaded(written(tmp_path, model(), **claim))
    assert (b.name, b.sha256) == ("adaface-ir101", "ab" * 32)
    other = model(old=True)
    said = refused(written(tmp_path, other, **claim))
    want = hashlib.sha256(other).hexdigest()[:16]
    assert said == f"speaks of another ONNX file; expected of = {want}…, got {of[:16]}"


def test_embedding_without_a_direction_is_refused(tmp_path: Path) -> None:
    b = loaded(written(tmp_path, model(), mean=0, scale=1))
    with pytest.raises(UserError) as e:
        b.embed(np.zeros((1, 112, 112, 3), np.uint8))
    assert str(e.value) == "my.onnx: embedding; expected finite numbers that are not all zero, got others"


def of_another_backbone(path: Path, name: str, sha256: str) -> Path:
    """The shipped generator with another backbone in its metadata."""
    m = onnx.load(generator.SHIPPED)
    kept = {p.key: p.value for p in m.metadata_props} | {"backbone": name, "backbone_sha256": sha256}
    helper.set_model_props(m, kept)
    onnx.save(m, path)
    return path


def test_person_is_enrolled_with_the_file_beside_the_generator(tmp_path: Path) -> None:
    b = loaded(written(tmp_path, model()))
    g = generator.load(of_another_backbone(tmp_path / "g.onnx", b.name, b.sha256))
    clock = enroll.Stopwatch()
    e = enroll.embedding(face_crops(demo_photo("yaoming.jpg"), None, "enrol")[0], g.backbone, clock)
    p = enroll.person("yao", e, g, clock)
    assert (p.provenance.backbone, p.provenance.backbone_sha256) == ("my.onnx", b.sha256)


def test_generator_finds_the_onnx_file_of_its_checkpoint(tmp_path: Path) -> None:
    claim = {"name": "adaface-ir101", "sha256": "ab" * 32, "of": hashlib.sha256(model()).hexdigest()}
    path = of_another_backbone(tmp_path / "g.onnx", "adaface-ir101", "ab" * 32)
    with pytest.raises(UserError) as e:
        generator.load(path)
    want = "adaface-ir101.onnx beside it"
    assert str(e.value) == f"{path}: generator of the backbone adaface-ir101; expected {want}, got no such file"
    (tmp_path / "adaface-ir101.onnx").write_bytes(model())
    (tmp_path / "adaface-ir101.json").write_text(json.dumps(claim))
    assert generator.load(path).backbone == str(tmp_path / "adaface-ir101.onnx")


@pytest.mark.parametrize("name", ["my.onnx", "my.onnx:maps"])
def test_generator_of_another_file_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path, model())
    with pytest.raises(UserError) as e:
        generator.load(of_another_backbone(tmp_path / "g.onnx", name, "ab" * 32))
    assert f"generator of another backbone {name}; expected " in str(e.value)


def test_generator_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        generator.load(of_another_backbone(tmp_path / "g.onnx", "../my.onnx", "ab" * 32))
    assert "generator's backbone; expected the name of a file, without a folder, got ../my.onnx" in str(e.value)
