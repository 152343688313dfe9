"""The float network in torch: padding, folding, the generator's tail, the exported file."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.hypertrain import evaluate, export, net
from hyper_mcu.hypertrain.hgen import HGen, Shape, tail

POINTWISE = NetSpec(
    "pointwise@1",
    (same(3, 3, 8, stride=2), same(3, 8, 8, 2, stride=2), same(1, 8, 12), same(1, 12, 4, relu=False)),
    Head("cosdot"),
    height=16,
    width=16,
    norm="train-statistics",
)


def trained_like(spec: NetSpec, shape: Shape, seed: int = 0) -> HGen:
    """An h_gen with no zeros left, as after training."""
    torch.manual_seed(seed)
    hgen = HGen(spec, shape)
    with torch.no_grad():
        for p in hgen.parameters():
            p.add_(0.05 * torch.randn_like(p))
        hgen.theta0.copy_(net.he_init(spec, torch.Generator().manual_seed(seed)))
        for s in spec.stages:
            if isinstance(s.layer, Conv):
                mean, var = hgen.stats.of(s.index)
                mean.copy_(torch.randn(s.layer.cout) * 0.1)
                var.copy_(torch.rand(s.layer.cout) + 0.5)
    return hgen


def unit(count: int, d: int, seed: int = 1) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_stride_two_pads_after_the_last_row_as_tflite_does() -> None:
    stage = NetSpec("pad", (same(3, 1, 1, stride=2),), Head("dot"), 4, 4, 1).stages[0]
    padded = net.pad_same(torch.ones(1, 1, 4, 4), stage)
    assert padded.shape == (1, 1, 5, 5)
    assert padded[0, 0, 0, 0] == 1
    assert padded[0, 0, 4].sum() == 0


def test_shuffle_is_the_transposition_of_groups() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert net.shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("name", ["nano", "paper"])
def test_folded_weights_compute_what_the_normalised_net_computes(name: str) -> None:
    spec = preset(name)
    hgen = trained_like(spec, Shape(16, 16, 2))
    x = torch.rand(2, 3, spec.height, spec.width) * 2 - 1
    theta = hgen.theta0.detach()
    with torch.no_grad():
        normalised = net.features(spec, theta, hgen.stats, x, training=False)
        folded = net.fold(spec, theta, hgen.stats).expand(2, -1)
        plain = evaluate.float_maps(spec, folded, x)[-1]
    assert torch.allclose(normalised, plain, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("spec", "first"), [(POINTWISE, 2), (POINTWISE, 1), (preset("nano"), 0)])
def test_batched_tail_equals_one_net_at_a_time(spec: NetSpec, first: int) -> None:
    hgen = trained_like(spec, Shape(16, 16, 2, first=first))
    e, x = unit(3, 16), torch.rand(5, 3, spec.height, spec.width) * 2 - 1
    with torch.no_grad():
        theta = hgen(e)
        shared = net.features(spec, hgen.theta0, hgen.stats, x, training=False, stop=first) if first else x
        got = tail(spec, theta, shared, first)
        for i in range(3):
            alone = evaluate.float_maps(spec, theta[i : i + 1].expand(5, -1), x)[-1]
            assert torch.allclose(got[i], net.flatten(spec, alone), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("shape", [Shape(16, 24, 3), Shape(16, 24, 0, first=2), Shape(16, 24, -1)], ids=str)
def test_exported_generator_equals_torch_and_restores(tmp_path, shape: Shape) -> None:
    import onnxruntime

    hgen = trained_like(POINTWISE, shape)
    with torch.no_grad():
        for p in hgen.parameters():
            p.copy_(p.half().float())
    path = tmp_path / "generator.onnx"
    export.save(hgen, path, {"backbone": "none"})
    e = unit(7, 16)
    session = onnxruntime.InferenceSession(str(path))
    got = session.run(None, {"embedding": e.numpy()})[0]
    want = hgen(e).detach().numpy()
    assert got.shape == (7, POINTWISE.params)
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    again, meta = export.restore(path)
    assert meta["backbone"] == "none"
    assert again.shape == shape
    assert all(torch.equal(a, b) for a, b in zip(hgen.state_dict().values(), again.state_dict().values(), strict=True))
    assert list(tmp_path.iterdir()) == [path]


def test_restore_refuses_a_file_that_is_no_generator(tmp_path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"not an onnx file")
    with pytest.raises(UserError, match=r"x\.onnx: not a generator; expected an ONNX file written by hyper-mcu, got "):
        export.restore(path)


def test_residual_form_starts_as_the_trunk() -> None:
    hgen = HGen(POINTWISE, Shape(16, 24, 3))
    with torch.no_grad():
        hgen.theta0.copy_(net.he_init(POINTWISE, torch.Generator().manual_seed(3)))
        raw = hgen.raw(unit(4, 16))
    assert torch.equal(raw, hgen.theta0.detach().expand(4, -1))
