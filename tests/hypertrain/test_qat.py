"""Fake quantisation against the integers: the same bytes on every stage, and gradients as if nothing were rounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from strategies import fitting_scales, images, log_uniform, net_specs, thetas
from torch import Tensor

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.codegen.quantize import INPUT_SCALE, quantize
from hyper_mcu.hypertrain import batched
from hyper_mcu.hypertrain.hgen import HGen, Shape
from hyper_mcu.hypertrain.net import he_init, pad_same, shuffle, split
from hyper_mcu.hypertrain.qat import Quantiser

NANO = preset("nano")


def forward(quantiser: Quantiser, folded: Tensor, image: NDArray[np.uint8]) -> tuple[list[Tensor], Tensor]:
    """Maps (1, C, H, W) of every stage and the score of one net θ (params,) on one image, all in θ's type."""
    spec, x = quantiser.spec, (torch.from_numpy(image).permute(2, 0, 1)[None].to(folded.dtype) - 128) / 128
    theta = quantiser.theta(folded[None])[0]
    named, maps = split(spec, theta), list[Tensor]()
    for s in spec.stages:
        shift = None
        if isinstance(c := s.layer, Conv):
            w, b = named[f"stage{s.index}.weight"].permute(0, 3, 1, 2), named[f"stage{s.index}.bias"]
            x = F.conv2d(pad_same(x, s), w, b, c.stride, 0, 1, c.groups)
            shift = None if c.relu else quantiser.shifts(folded[None])[0][:, None, None]
        else:
            x = x + maps[c.of]
        x = shuffle(quantiser.activation(s, x, shift), s.shuffle)
        maps.append(x)
    u = x.sum((2, 3))[0] if spec.head.pool else x[0].permute(1, 2, 0).flatten()
    num = u @ named["head.weight"]
    if spec.head.kind == "dot":
        return maps, num + named["head.bias"][0]
    return maps, num / (u.norm() * named["head.weight"].norm()).clamp(min=1e-300)


def stored(quantiser: Quantiser, maps: list[Tensor]) -> list[NDArray[np.int64]]:
    """The bytes that fake-quantised maps stand for, (H, W, C) each, as the oracle counts them."""
    out = []
    for s, m in zip(quantiser.spec.stages, maps, strict=True):
        u = m[0].permute(1, 2, 0).detach().double().numpy() / np.float64(quantiser.scales()[s.index])
        assert np.abs(u - np.rint(u)).max() < 1e-3  # on the grid
        out.append(np.rint(u).astype(np.int64) - (128 if getattr(s.layer, "relu", True) else 0))
    return out


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_fake_quantised_nets_have_the_bytes_of_the_integers(data: st.DataObject) -> None:
    spec = data.draw(net_specs())
    theta, image = data.draw(thetas(spec)), data.draw(images(spec))
    if any(isinstance(s.layer, Add) for s in spec.stages) or data.draw(st.booleans()):
        with np.errstate(over="ignore"):  # wild nets; what is too large is clipped below
            scales = fitting_scales(spec, oracle.run_float(spec, theta, image).maps)
    else:
        scales = log_uniform(np.random.default_rng(data.draw(st.integers(0, 99))), 1e-3, 1.0, len(spec.stages))
    quantiser = Quantiser(spec, np.clip(scales, 1e-14, 1e14))
    qnet = quantize(spec, theta, quantiser.scales())
    want = oracle.run(qnet, image)
    with torch.no_grad():
        maps, score = forward(quantiser, torch.from_numpy(theta).double(), image)
    for stage, (w, g) in enumerate(zip(want.layers, stored(quantiser, maps), strict=True)):
        assert np.array_equal(w, g), f"stage {stage}"
    if spec.head.kind == "dot":
        assert float(score) == pytest.approx(qnet.score(want.logit), rel=1e-6)
    elif want.logit != -(2**31) and qnet.head.norm2:
        assert abs(float(score) ** 2 - qnet.score(want.logit) ** 2) <= 1.01 * float(qnet.unit)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_fake_quantised_weights_are_the_integers_times_their_steps(data: st.DataObject) -> None:
    spec = data.draw(net_specs())
    theta, s_in = data.draw(thetas(spec)), np.float64(INPUT_SCALE)
    scales = np.full(len(spec.stages), 10.0 ** data.draw(st.integers(-12, 6)), np.float32)
    quantiser = Quantiser(spec, scales)
    qnet, s_out = quantize(spec, theta, quantiser.scales()), np.float64(quantiser.scales()[0])
    want = list[NDArray[np.float64]]()
    for stage, q in qnet.convs:
        s_in = s_out if stage.index else s_in
        real, shift = q.multiplier * 2.0 ** (-31.0 - q.shift), q.shift.astype(np.float64)
        twice = np.where((shift > 0) & stage.layer.relu, 2.0 ** (-shift - 1), 0)
        want += [q.weight * (real / s_in)[:, None, None, None] * s_out, (q.bias * real + twice) * s_out]
    head = np.float64(qnet.head.weight_scale)
    want += [qnet.head.weight * head, np.array([qnet.head.bias * head * s_out])][: 1 + (spec.head.kind == "dot")]
    got = split(spec, quantiser.theta(torch.from_numpy(theta).double()[None])[0].detach())
    for t, w in zip(spec.tensors, want, strict=True):
        assert np.allclose(got[t.name].numpy(), w, rtol=1e-9, atol=0), t.name


def he(spec: NetSpec, seed: int) -> NDArray[np.float32]:
    """A θ of He-normal weights and small biases."""
    g = torch.Generator().manual_seed(seed)
    return (he_init(spec, g) + 0.05 * torch.randn(spec.params, generator=g)).numpy()


def test_in_float32_hardly_a_byte_is_off_and_none_by_more_than_one() -> None:
    off = total = 0
    for seed in range(6):
        theta, image = he(NANO, seed), oracle.known_image(NANO, seed + 1)
        scales = fitting_scales(NANO, oracle.run_float(NANO, theta, image).maps)
        quantiser = Quantiser(NANO, scales)
        want = oracle.run(quantize(NANO, theta, quantiser.scales()), image)
        for w, g in zip(
            want.layers, stored(quantiser, forward(quantiser, torch.from_numpy(theta), image)[0]), strict=True
        ):
            assert np.abs(w - g).max() <= 1
            off, total = off + int((w != g).sum()), total + w.size
    assert off <= 1e-3 * total


def test_without_its_shift_a_linear_end_is_seldom_off_by_one() -> None:
    spec = NetSpec("end", (same(3, 3, 16, stride=2), same(1, 16, 64, relu=False)), Head("dot"), 32, 32)
    theta, image = he(spec, 0), oracle.known_image(spec, 5)
    quantiser = Quantiser(spec, fitting_scales(spec, oracle.run_float(spec, theta, image).maps))
    want = oracle.run(quantize(spec, theta, quantiser.scales()), image).layers[-1]
    x = forward(quantiser, torch.from_numpy(theta).double(), image)[0][0]
    named = split(spec, quantiser.theta(torch.from_numpy(theta).double()[None])[0])
    y = F.conv2d(x, named["stage1.weight"].permute(0, 3, 1, 2), named["stage1.bias"])
    once = stored(quantiser, [x, quantiser.activation(spec.stages[1], y)])[1]
    off = np.abs(once - want)
    assert off.max() == 1
    assert 0 < (off > 0).mean() < 0.02


def test_weights_pass_gradients_unchanged() -> None:
    quantiser = Quantiser(NANO, np.full(len(NANO.stages), 0.03, np.float32))
    theta = torch.from_numpy(np.stack([he(NANO, 1), he(NANO, 2)])).requires_grad_()
    toward = torch.randn(theta.shape, generator=torch.Generator().manual_seed(0))
    (quantiser.theta(theta) * toward).sum().backward()
    assert torch.equal(theta.grad, toward)
    changed = (quantiser.theta(theta) - theta).detach().abs()
    assert 0 < changed.max() < 0.1


@pytest.mark.parametrize(("relu", "low", "high"), [(True, 0, 255), (False, -128, 127)])
def test_activation_passes_gradients_inside_its_range_alone(relu: bool, low: int, high: int) -> None:
    spec = NetSpec("one", (same(1, 3, 4), same(1, 4, 4, relu=relu)), Head("dot"), 2, 2)
    quantiser = Quantiser(spec, np.array([0.1, 0.05], np.float32))
    v = torch.linspace(-300, 300, 2001).double()
    y = (v * float(quantiser.scales()[1])).requires_grad_()
    out = quantiser.activation(spec.stages[1], y)
    out.sum().backward()
    assert torch.equal(y.grad, ((v >= low) & (v <= high)).double())
    steps = out.detach() / float(quantiser.scales()[1])
    assert torch.allclose(steps, (v + 0.5).floor().clamp(low, high), atol=1e-9)


def test_scales_learn_by_the_gradient_of_lsq() -> None:
    """Inside, the derivative of scale·(v + what rounding added, held fixed); outside, of scale·bound."""
    spec = NetSpec("one", (same(1, 3, 4),), Head("dot"), 2, 2)
    quantiser = Quantiser(spec, np.array([0.07], np.float32))
    y = torch.linspace(-3, 25, 501).double()
    toward = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).double()
    (quantiser.activation(spec.stages[0], y) * toward).sum().backward()
    scale = float(quantiser.scales()[0])
    added = (y / scale + 0.5).floor() - y / scale
    inside, above = (y >= 0) & (y <= 255 * scale), y > 255 * scale

    def surrogate(s: float) -> float:
        moved = torch.where(inside, s * (y / s + added), torch.where(above, 255 * s, 0.0))
        return float((moved * toward).sum())

    slope = (surrogate(scale * 1.01) - surrogate(scale * 0.99)) / 0.02  # by the scale's logarithm
    assert float(quantiser.log_scale.grad) == pytest.approx(slope, rel=1e-4)
    assert int(above.sum()) > 10


def test_scales_of_a_saturating_net_grow_and_of_an_idle_one_shrink() -> None:
    """Forty steps by the gradient's sign towards the map before quantisation, from 8 times too small and too large."""
    spec = replace(NANO, layers=NANO.layers[:2], head=Head("dot"))
    image = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0)).relu()
    fitting = float(image.max()) / 255
    ends = []
    for factor in (1 / 8, 8):
        quantiser = Quantiser(spec, np.full(2, fitting * factor, np.float32))
        for _ in range(40):
            quantiser.zero_grad()
            (quantiser.activation(spec.stages[0], image) - image).square().sum().backward()
            with torch.no_grad():
                quantiser.log_scale.sub_(0.1 * quantiser.log_scale.grad.sign())
        ends.append(float(quantiser.scales()[0]) / fitting)
    assert all(0.5 < end < 2 for end in ends)


def test_an_add_and_its_inputs_have_one_scale_that_learns_as_one() -> None:
    scales = np.linspace(0.02, 0.05, len(NANO.stages)).astype(np.float32)
    with pytest.raises(UserError, match=r"netspec nano@1: scales of an Add and its inputs; expected equal ones, got "):
        Quantiser(NANO, scales)
    add = next(s for s in NANO.stages if isinstance(s.layer, Add))
    members = [add.layer.of, add.index - 1, add.index]
    scales[members] = 0.03
    quantiser = Quantiser(NANO, scales)
    with torch.no_grad():
        quantiser.log_scale.add_(torch.linspace(-1, 1, len(quantiser.log_scale)))
    found = quantiser.scales()
    assert len(set(found[members].tolist())) == 1
    assert len(set(found.tolist())) == len(quantiser.log_scale) == len(NANO.stages) - 2
    quantize(NANO, he(NANO, 0), found)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_scales_that_are_none_are_refused(bad: float) -> None:
    scales = np.full(len(NANO.stages), 0.03, np.float32)
    scales[1] = bad
    with pytest.raises(UserError, match=r"netspec nano@1: scale of stage 1; expected 1e-15…1e\+15, got "):
        Quantiser(NANO, scales)


def test_normalisation_at_run_time_is_refused() -> None:
    with pytest.raises(
        UserError, match="netspec nano@1: normalisation at run time has no integers; expected one that "
    ):
        Quantiser(replace(NANO, norm="instance"), np.full(len(NANO.stages), 0.03, np.float32))


def test_many_nets_are_quantised_as_each_alone() -> None:
    quantiser = Quantiser(NANO, np.full(len(NANO.stages), 0.03, np.float32))
    theta = torch.from_numpy(np.stack([he(NANO, i) * (i + 1) for i in range(3)]))
    together = quantiser.theta(theta)
    assert all(torch.equal(together[i], quantiser.theta(theta[i : i + 1])[0]) for i in range(3))


def test_generated_nets_in_one_batch_score_as_their_integers_and_teach_their_generator() -> None:
    torch.manual_seed(0)
    hgen = HGen(NANO, Shape(16, 24, 4))
    with torch.no_grad():
        hgen.theta0.copy_(torch.from_numpy(he(NANO, 0)))
        hgen.linear.normal_()
        for p in hgen.up.parameters():
            p.normal_(std=0.02)
    shots = np.stack([oracle.known_image(NANO, seed) for seed in range(1, 5)])
    theta = hgen(torch.nn.functional.normalize(torch.randn(3, 16), dim=1))
    scales = fitting_scales(NANO, oracle.run_float(NANO, theta[0].detach().numpy(), shots[0]).maps)
    quantiser = hgen.quantiser = Quantiser(NANO, scales)
    shift = quantiser.shifts(theta)[:, :, None, None]
    x = (torch.from_numpy(shots).permute(0, 3, 1, 2).float() - 128) / 128
    found = batched.scores(
        NANO, quantiser.theta(theta), x, activation=lambda stage, y: quantiser.activation(stage, y, shift)
    )
    nets = [quantize(NANO, t, quantiser.scales()) for t in theta.detach().numpy()]
    want = [[q.score(oracle.run(q, shot).logit) for shot in shots] for q in nets]
    assert float((found.detach() - torch.tensor(want)).abs().max()) < 2e-3
    found.square().sum().backward()
    for name, p in hgen.named_parameters():
        assert p.grad is not None, name
        assert bool(p.grad.isfinite().all()), name
    assert bool((quantiser.log_scale.grad != 0).all())
