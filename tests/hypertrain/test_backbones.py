"""Backbones whose official checkpoint a user brings: its keys and shapes, what the nets compute, what is refused."""

from __future__ import annotations

import hashlib
import sys
import threading
import types
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import backbone as product
from hyper_mcu.hypertrain import backbones
from hyper_mcu.hypertrain.backbones import adaface, checkpoint, export, face_transformer

CROPS = np.random.default_rng(3).integers(0, 256, (2, 112, 112, 3), np.uint8)
NARROW = ((8, 1), (8, 2), (16, 1), (16, 1))  # the same net with few maps and blocks
State = dict[str, torch.Tensor]


def norm(prefix: str, maps: int, affine: bool = True) -> dict[str, tuple[int, ...]]:
    names = ["weight", "bias"] * affine + ["running_mean", "running_var"]
    return {f"{prefix}.{n}": (maps,) for n in names} | {f"{prefix}.num_batches_tracked": ()}


def adaface_keys(stages: tuple[tuple[int, int], ...]) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of an official AdaFace checkpoint under `model.`, written down from its repository's net.py."""
    maps = stages[0][0]
    keys: dict[str, tuple[int, ...]] = {"input_layer.0.weight": (maps, 3, 3, 3), "input_layer.2.weight": (maps,)}
    keys |= norm("input_layer.1", maps)
    block = 0
    for wider, count in stages:
        for _ in range(count):
            at = f"body.{block}"
            if maps != wider:
                keys[f"{at}.shortcut_layer.0.weight"] = (wider, maps, 1, 1)
                keys |= norm(f"{at}.shortcut_layer.1", wider)
            keys |= norm(f"{at}.res_layer.0", maps) | norm(f"{at}.res_layer.2", wider)
            keys |= norm(f"{at}.res_layer.5", wider)
            keys[f"{at}.res_layer.1.weight"] = (wider, maps, 3, 3)
            keys[f"{at}.res_layer.3.weight"] = (wider,)
            keys[f"{at}.res_layer.4.weight"] = (wider, wider, 3, 3)
            maps, block = wider, block + 1
    keys |= norm("output_layer.0", maps) | norm("output_layer.4", 512, affine=False)
    return keys | {"output_layer.3.weight": (512, maps * 49), "output_layer.3.bias": (512,)}


def transformer_keys(patch: int, depth: int) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of an official Face Transformer checkpoint without its loss, from vit_face.py, vits_face.py."""
    keys: dict[str, tuple[int, ...]] = {"pos_embedding": (1, 197, 512), "cls_token": (1, 1, 512)}
    keys |= {"patch_to_embedding.weight": (512, 3 * patch * patch), "patch_to_embedding.bias": (512,)}
    keys |= {"mlp_head.0.weight": (512,), "mlp_head.0.bias": (512,)}
    for i in range(depth):
        one, two = f"transformer.layers.{i}.0.fn", f"transformer.layers.{i}.1.fn"
        keys |= {f"{p}.norm.{n}": (512,) for p in (one, two) for n in ("weight", "bias")}
        keys |= {f"{one}.fn.to_qkv.weight": (1536, 512), f"{one}.fn.to_out.0.weight": (512, 512)}
        keys |= {f"{one}.fn.to_out.0.bias": (512,), f"{two}.fn.net.0.weight": (2048, 512)}
        keys |= {f"{two}.fn.net.0.bias": (2048,), f"{two}.fn.net.3.weight": (512, 2048)}
        keys |= {f"{two}.fn.net.3.bias": (512,)}
    return keys


def values(keys: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Random values of a size that keeps maps in range; variances positive."""
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in keys.items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        v = torch.randn(shape, generator=g) / fan_in**0.5 if shape else torch.tensor(7)
        state[name] = v.abs() + 0.5 if name.endswith(("running_var", "norm.weight")) else v
    return state


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(v.shape) for name, v in module.state_dict().items()}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both nets at a size that a test can afford; the code is the same."""
    monkeypatch.setattr(adaface, "AdaFace", partial(adaface.AdaFace, NARROW))
    monkeypatch.setattr(face_transformer, "FaceTransformer", partial(face_transformer.FaceTransformer, depth=2))


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def official_adaface(path: Path, state: State | None = None) -> Path:
    """A checkpoint as Lightning writes it: the net under `model.`, the head beside it."""
    net = values(adaface_keys(NARROW)) if state is None else state
    head = {"head.kernel": torch.zeros(512, 9), "head.t": torch.zeros(1)}
    return saved(path, {"epoch": 25, "state_dict": {f"model.{k}": v for k, v in net.items()} | head})


def official_transformer(path: Path, patch: int = 8) -> Path:
    return saved(path, values(transformer_keys(patch, 2)) | {"loss.weight": torch.zeros(9, 512)})


def refused(name: str, path: Path | None) -> str:
    with pytest.raises(UserError) as e:
        backbones.load(name, path)
    return str(e.value).removeprefix(f"{path}: ")


def test_ir101_has_the_keys_and_shapes_of_the_official_checkpoint() -> None:
    module, own = adaface.build({"model.x": torch.zeros(1), "head.kernel": torch.zeros(1)})
    assert shapes(module) == adaface_keys(((64, 3), (128, 13), (256, 30), (512, 3)))
    assert list(own) == ["x"]
    assert sum(p.numel() for p in module.parameters()) == 65_150_912  # 65.2 M


@pytest.mark.parametrize("patch", [8, 12])
def test_transformer_has_the_keys_and_shapes_of_the_official_checkpoint(patch: int) -> None:
    given = {"patch_to_embedding.weight": torch.zeros(512, 3 * patch * patch), "loss.weight": torch.zeros(1)}
    module, own = face_transformer.build(given)
    assert shapes(module) == transformer_keys(patch, 20)
    assert "loss.weight" not in own


def batch_norm(x: NDArray[Any], state: State, at: str) -> NDArray[Any]:
    s = {n: state[f"{at}.{n}"].double().numpy() for n in ("weight", "bias", "running_mean", "running_var")}
    turned = (x.transpose(0, 2, 3, 1) - s["running_mean"]) / np.sqrt(s["running_var"] + 1e-5) * s["weight"] + s["bias"]
    return turned.transpose(0, 3, 1, 2)


def convolution(x: NDArray[Any], weight: torch.Tensor, stride: int, pad: int) -> NDArray[Any]:
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nchwab,kcab->nkhw", windows, weight.double().numpy())


def prelu(x: NDArray[Any], slope: torch.Tensor) -> NDArray[Any]:
    return np.where(x > 0, x, x * slope.double().numpy()[:, None, None])


def test_adaface_reads_bgr_and_computes_what_its_layers_say(narrow: None, tmp_path: Path) -> None:
    state = values(adaface_keys(NARROW))
    b = backbones.load("adaface-ir101", official_adaface(tmp_path / "a.ckpt", state))
    x = (CROPS[..., ::-1].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5
    x = batch_norm(convolution(x, state["input_layer.0.weight"], 1, 1), state, "input_layer.1")
    x = prelu(x, state["input_layer.2.weight"])
    for i, stride in enumerate((2, 2, 1, 2, 2)):
        at = f"body.{i}"
        y = convolution(batch_norm(x, state, f"{at}.res_layer.0"), state[f"{at}.res_layer.1.weight"], 1, 1)
        y = prelu(batch_norm(y, state, f"{at}.res_layer.2"), state[f"{at}.res_layer.3.weight"])
        y = batch_norm(convolution(y, state[f"{at}.res_layer.4.weight"], stride, 1), state, f"{at}.res_layer.5")
        if f"{at}.shortcut_layer.0.weight" in state:
            x = convolution(x, state[f"{at}.shortcut_layer.0.weight"], stride, 0)
            x = y + batch_norm(x, state, f"{at}.shortcut_layer.1")
        else:
            x = y + x[:, :, ::stride, ::stride]
    flat = batch_norm(x, state, "output_layer.0").reshape(2, -1)
    e = flat @ state["output_layer.3.weight"].double().numpy().T + state["output_layer.3.bias"].double().numpy()
    e = (e - state["output_layer.4.running_mean"].double().numpy()) / np.sqrt(
        state["output_layer.4.running_var"].double().numpy() + 1e-5
    )
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    assert (b.dimension, b.size, b.tokens) == (512, 512, 0)
    assert np.abs(b.embed(CROPS) - e).max() < 1e-4


def layer_norm(x: NDArray[Any], state: State, at: str) -> NDArray[Any]:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * state[f"{at}.weight"].double().numpy() + state[f"{at}.bias"].double().numpy()


def linear(x: NDArray[Any], state: State, at: str) -> NDArray[Any]:
    y = x @ state[f"{at}.weight"].double().numpy().T
    return y + state[f"{at}.bias"].double().numpy() if f"{at}.bias" in state else y


@pytest.mark.parametrize("patch", [8, 12])
def test_transformer_reads_raw_rgb_and_gives_its_tokens_the_embedding_first(
    narrow: None, tmp_path: Path, patch: int
) -> None:
    path = official_transformer(tmp_path / "t.pth", patch)
    state = torch.load(path, weights_only=True)
    b = backbones.load("face-transformer", path)
    rows = []
    for y in range(0, 112, 8):
        for x in range(0, 112, 8):
            if patch == 8:  # numbers of a patch: row, column, colour
                rows.append(CROPS[:, y : y + 8, x : x + 8].reshape(2, -1))
            else:  # colour, row, column, and a margin of 4
                padded = np.pad(CROPS, ((0, 0), (4, 4), (4, 4), (0, 0)))
                rows.append(padded[:, y : y + 12, x : x + 12].transpose(0, 3, 1, 2).reshape(2, -1))
    seen = linear(np.stack(rows, 1).astype(np.float64), state, "patch_to_embedding")
    cls = np.broadcast_to(state["cls_token"].double().numpy(), (2, 1, 512))
    t = np.concatenate([cls, seen], 1) + state["pos_embedding"].double().numpy()
    for i in range(2):
        at = f"transformer.layers.{i}.0.fn"
        q, k, v = np.split(linear(layer_norm(t, state, f"{at}.norm"), state, f"{at}.fn.to_qkv"), 3, -1)
        q, k, v = (m.reshape(2, 197, 8, 64).transpose(0, 2, 1, 3) for m in (q, k, v))
        dots = q @ k.transpose(0, 1, 3, 2) * 512**-0.5
        weights = np.exp(dots - dots.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        t = t + linear((weights @ v).transpose(0, 2, 1, 3).reshape(2, 197, 512), state, f"{at}.fn.to_out.0")
        at = f"transformer.layers.{i}.1.fn"
        h = torch.from_numpy(linear(layer_norm(t, state, f"{at}.norm"), state, f"{at}.fn.net.0"))
        t = t + linear((h * torch.special.ndtr(h)).numpy(), state, f"{at}.fn.net.3")  # exact GELU
    t = layer_norm(t, state, "mlp_head.0")
    t /= np.linalg.norm(t, axis=2, keepdims=True)
    assert (b.dimension, b.size, b.tokens) == (512, 197 * 512, 197)
    assert np.abs(b.embed(CROPS).reshape(2, 197, 512) - t).max() < 1e-4


def test_identity_is_the_hash_of_the_file(narrow: None, tmp_path: Path) -> None:
    path = official_adaface(tmp_path / "a.ckpt")
    b = backbones.load("adaface-ir101", path)
    assert (b.name, b.sha256) == ("adaface-ir101", hashlib.sha256(path.read_bytes()).hexdigest())
    assert "non-commercial" in b.licence


def test_safetensors_half_precision_and_no_counters_do_as_well(narrow: None, tmp_path: Path) -> None:
    state = values(adaface_keys(NARROW))
    kept = {k: v.half() for k, v in state.items() if not k.endswith(checkpoint.COUNTER)}
    save_file(kept, tmp_path / "a.safetensors")
    a = backbones.load("adaface-ir101", tmp_path / "a.safetensors").embed(CROPS)
    b = backbones.load("adaface-ir101", official_adaface(tmp_path / "a.ckpt", state)).embed(CROPS)
    assert (a * b).sum(1).min() > 0.999


def test_format_of_torch_before_1_6_is_read(narrow: None, tmp_path: Path) -> None:
    state = values(adaface_keys(NARROW))
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    a = backbones.load("adaface-ir101", tmp_path / "a.pth").embed(CROPS)
    assert np.array_equal(a, backbones.load("adaface-ir101", official_adaface(tmp_path / "a.ckpt", state)).embed(CROPS))


def test_classes_in_a_checkpoint_are_neither_imported_nor_run(
    narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("lightning_of_then")

    class ModelCheckpoint:
        def __init__(self) -> None:
            self.best = 0.5

        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("code of the checkpoint ran",))

    ModelCheckpoint.__module__, ModelCheckpoint.__qualname__ = "lightning_of_then", "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning_of_then", module)
    state = {f"model.{k}": v for k, v in values(adaface_keys(NARROW)).items()}
    content = {"callbacks": {ModelCheckpoint: {"best": 1}}, "extra": [ModelCheckpoint()], "state_dict": state}
    path = saved(tmp_path / "a.ckpt", content)
    monkeypatch.delitem(sys.modules, "lightning_of_then")
    monkeypatch.setattr("builtins.print", lambda *_: pytest.fail("code of the checkpoint ran"))
    assert backbones.load("adaface-ir101", path).embed(CROPS).shape == (2, 512)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("adaface-ir101", "adaface_ir101_*.ckpt, linked from the README of github.com/mk-minchul/AdaFace (R100)"),
        (
            "face-transformer",
            "Backbone_VIT*_checkpoint.pth, linked from the README of github.com/zhongyy/Face-Transformer",
        ),
    ],
)
def test_backbone_without_weights_is_an_error_that_says_where_they_are(tmp_path: Path, name: str, source: str) -> None:
    assert refused(name, None) == f"{name}: backbone without weights; expected its checkpoint: {source}, got none"
    assert refused(name, tmp_path / "none.ckpt") == f"no checkpoint; expected {source}, got no such file"


def test_first_difference_to_the_net_is_named(narrow: None, tmp_path: Path) -> None:
    state = values(adaface_keys(NARROW))
    less = {k: v for k, v in state.items() if k != "body.1.res_layer.4.weight"}
    path = official_adaface(tmp_path / "a.ckpt", less)
    want = "checkpoint of another net; expected body.1.res_layer.4.weight (8, 8, 3, 3), got none"
    assert refused("adaface-ir101", path) == want
    path = official_adaface(path, state | {"body.1.res_layer.4.weight": torch.zeros(8, 8, 1, 1)})
    assert refused("adaface-ir101", path) == want.replace("none", "(8, 8, 1, 1)")
    path = official_adaface(path, state | {"body.9.res_layer.0.weight": torch.zeros(8)})
    assert refused("adaface-ir101", path).endswith("got body.9.res_layer.0.weight besides")
    path = official_adaface(path, state | {"output_layer.3.bias": torch.full((512,), torch.nan)})
    assert refused("adaface-ir101", path).startswith("damaged checkpoint; expected finite numbers in output_layer.3")
    path = official_transformer(path)
    assert refused("adaface-ir101", path) == (
        "checkpoint of another net; expected input_layer.0.weight (8, 3, 3, 3), got none"
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x80\x02N.", b"<!DOCTYPE html>"])
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert refused("adaface-ir101", path).startswith("not a checkpoint; expected ")


def test_backbones_of_the_product_take_no_checkpoint(tmp_path: Path) -> None:
    assert backbones.load("mbf-w600k") == product.backbone("mbf-w600k")
    want = "takes no checkpoint; expected one of adaface-ir101, face-transformer, got a.ckpt"
    assert refused("sface", Path("a.ckpt")) == f"sface: {want}"
    assert refused("adaface-ir101:body", None).startswith("adaface-ir101:body: layers of a checkpoint; ")


class _Silent(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """The URL of a folder, and what was asked for."""
    (tmp_path / "served").mkdir()
    asked: list[str] = []
    handler = type("Handler", (_Silent,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "served"))) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{s.server_address[1]}", asked
        s.shutdown()


def test_checkpoint_is_fetched_once_and_checked(narrow: None, tmp_path: Path, server: Any) -> None:
    url, asked = server
    path = official_adaface(tmp_path / "served" / "a.ckpt")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(2):
        b = backbones.load("adaface-ir101", fetch=(f"{url}/a.ckpt", sha256), cache=tmp_path / "cache")
        assert b.sha256 == sha256
    assert asked == ["/a.ckpt"]


@pytest.mark.parametrize(("file", "pin"), [("a.ckpt", "0" * 64), ("none.ckpt", "0" * 64), ("a.ckpt", "")])
def test_what_is_not_the_pinned_file_is_refused_and_not_kept(tmp_path: Path, server: Any, file: str, pin: str) -> None:
    (tmp_path / "served" / "a.ckpt").write_bytes(b"something else")
    with pytest.raises(UserError) as e:
        backbones.load("adaface-ir101", fetch=(f"{server[0]}/{file}", pin), cache=tmp_path / "cache")
    want = f"cannot be fetched; expected a file of SHA-256 {'0' * 16}…" if pin else "64 digits of hex, got none"
    assert want in str(e.value)
    assert not list((tmp_path / "cache").glob("*"))


@pytest.mark.parametrize(
    ("name", "make"), [("adaface-ir101", official_adaface), ("face-transformer", official_transformer)]
)
def test_onnx_file_of_a_checkpoint_is_the_same_backbone(narrow: None, tmp_path: Path, name: str, make: Any) -> None:
    path, out = make(tmp_path / "c.ckpt"), tmp_path / f"{name}.onnx"
    export.export(name, path, out)
    a, b = backbones.load(name, path), backbones.load(str(out))
    assert a == b
    assert np.abs(a.embed(CROPS) - b.embed(CROPS)).max() < 1e-4
    assert {o.domain for o in onnx.load(out).opset_import} == {""}


def test_what_enrolment_needs_is_put_beside_the_generator(narrow: None, tmp_path: Path) -> None:
    path, one, two = official_adaface(tmp_path / "c.ckpt"), tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    export.beside("adaface-ir101", one, path)
    (one / "adaface-ir101.onnx").rename(one / "mine.onnx")
    (one / "adaface-ir101.json").rename(one / "mine.json")
    for _ in range(2):
        export.beside(str(one / "mine.onnx"), two)
    assert backbones.load(str(two / "adaface-ir101.onnx")) == backbones.load("adaface-ir101", path)
    export.beside("sface", one)
    assert sorted(p.name for p in (*one.iterdir(), *two.iterdir())) == [
        "adaface-ir101.json",
        "adaface-ir101.onnx",
        "mine.json",
        "mine.onnx",
    ]


def test_failed_export_writes_nothing(narrow: None, tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    with pytest.raises(UserError):
        export.export("adaface-ir101", tmp_path / "none.ckpt", out)
    with pytest.raises(UserError):
        export.export("sface", tmp_path / "none.ckpt", out)
    assert not list(tmp_path.iterdir())
