"""The float network in torch: padding, folding, the generator's tail."""

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from generators import POINTWISE, trained_like, unit

from hyper_mcu.codegen.netspec import Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.hypertrain import evaluate, net
from hyper_mcu.hypertrain.hgen import Shape, tail


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
