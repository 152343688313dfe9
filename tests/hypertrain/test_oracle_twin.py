"""The torch twin and the compiled engine against the NumPy oracle, on random nets."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from strategies import images, net_specs, qnets, thetas

from hyper_mcu.codegen import engine, fixedpoint, oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.codegen.qnet import QConv, QHead, QNet
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.hypertrain import oracle as twin

NANO = preset("nano")
KNOWN = np.full(len(NANO.stages), 0.03, np.float32)
EASY = {"max_examples": 40, "deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def random_nets(count: int, seed: int = 0) -> list[QNet]:
    rng = np.random.default_rng(seed)
    return [quantize(NANO, rng.normal(0, 0.3, NANO.params).astype(np.float32), KNOWN) for _ in range(count)]


def shots(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, NANO.height, NANO.width, 3), dtype=np.uint8)


def logits(nets: list[QNet], pictures: np.ndarray) -> list[int]:
    """What the NumPy oracle says, one at a time."""
    return [oracle.run(n, s).logit for n, s in zip(nets, pictures, strict=True)]


@settings(**EASY)
@given(data=st.data())
def test_twin_equals_the_oracle_on_every_stage(data: st.DataObject) -> None:
    net = data.draw(qnets())
    image = data.draw(images(net.spec))
    want, got = oracle.run(net, image), twin.run([net], image[None], keep_layers=True)
    for w, g in zip(want.layers, got.layers, strict=True):
        assert np.array_equal(w, g[0])
    assert want.logit == got.logits[0]


@settings(**EASY)
@given(data=st.data())
def test_nets_that_share_their_first_stages_equal_the_oracle_on_every_stage(data: st.DataObject) -> None:
    spec = data.draw(net_specs())
    first, other, third = (data.draw(qnets(st.just(spec))) for _ in range(3))
    common = data.draw(st.integers(0, len(spec.stages)))
    mixed = [replace(n, stages=first.stages[:common] + n.stages[common:]) for n in (first, other, third)]
    nets, pictures = twin.stack(mixed), np.stack([data.draw(images(spec)) for _ in range(3)])
    got = twin.run(nets, pictures, keep_layers=True)
    for i, net in enumerate(mixed):
        want = oracle.run(net, pictures[i])
        assert all(np.array_equal(w, g[i]) for w, g in zip(want.layers, got.layers, strict=True))
        assert want.logit == got.logits[i]
    middle = twin.maps(nets, twin.pixels(pictures), 0, nets.shared)[0]
    assert np.array_equal(twin.run(nets, middle, nets.shared).logits, got.logits)


def test_many_nets_at_once_equal_one_at_a_time() -> None:
    nets, pictures = random_nets(5), shots(5)
    want = logits(nets, pictures)
    assert twin.run(nets, pictures).logits.tolist() == want
    assert engine.logits(nets, pictures).tolist() == want


def test_chosen_nets_come_in_the_order_asked_for() -> None:
    nets, pictures, index = random_nets(3), shots(4), np.array([2, 0, 2, 1])
    got = twin.run(twin.stack(nets).take(index), pictures).logits
    assert got.tolist() == logits([nets[i] for i in index], pictures)


def test_shared_stages_end_where_the_integers_differ() -> None:
    a, b = random_nets(2)
    for common in range(len(NANO.stages)):
        mixed = replace(b, stages=a.stages[:common] + b.stages[common:])
        nets = twin.stack([a, mixed])
        different = [s.index for s in NANO.stages[common:] if isinstance(s.layer, Conv)]
        assert nets.shared <= different[0]
        assert twin.run(nets, shots(2)).logits.tolist() == logits([a, mixed], shots(2))
    assert twin.stack([a, a]).shared == len(NANO.stages)


def test_an_add_from_the_shared_stages_moves_their_end_before_it() -> None:
    layers = (same(1, 3, 4), same(1, 4, 4), same(3, 4, 4), same(3, 4, 4), Add(1), same(1, 4, 4))
    spec = NetSpec("residual", layers, Head("dot", True), 6, 6)
    scales = np.full(6, 0.05, np.float32)
    theta = np.random.default_rng(0).normal(0, 0.4, (2, spec.params)).astype(np.float32)
    apart = next(t.offset for t in spec.tensors if t.name == "stage3.weight")
    theta[1, :apart] = theta[0, :apart]
    nets = twin.quantize_all(spec, theta, scales)
    assert nets.shared == 1  # stages 0 to 2 are equal, but the Add behind stage 3 reads stage 1
    pictures = np.random.default_rng(1).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    middle = twin.maps(nets, twin.pixels(pictures), 0, 1)[0]
    want = [oracle.run(quantize(spec, t, scales), p).logit for t, p in zip(theta, pictures, strict=True)]
    assert twin.run(nets, middle, 1).logits.tolist() == want


@settings(**EASY)
@given(data=st.data())
def test_quantising_many_nets_at_once_equals_one_at_a_time(data: st.DataObject) -> None:
    spec = data.draw(net_specs())
    theta = np.stack([data.draw(thetas(spec)) for _ in range(3)])
    common = spec.tensors[data.draw(st.integers(0, len(spec.tensors) - 1))].offset
    theta[1:, :common] = theta[0, :common]
    scales = np.full(len(spec.stages), 0.02, np.float32)
    want, got = twin.stack([quantize(spec, t, scales) for t in theta]), twin.quantize_all(spec, theta, scales)
    for a, b in zip(want.stages, got.stages, strict=True):
        assert (a is None) == (b is None)
        assert a is None or a.equals(b)
    assert torch.equal(want.head, got.head)
    assert torch.equal(want.head_bias, got.head_bias)
    assert torch.equal(want.head_scale, got.head_scale)


def test_a_theta_that_is_no_number_is_named() -> None:
    theta = np.zeros((3, NANO.params), np.float32)
    theta[1, 5] = np.nan
    with pytest.raises(UserError, match=r"netspec nano@1: theta stage0\.weight; expected numbers up to"):
        twin.quantize_all(NANO, theta, KNOWN)


@pytest.mark.parametrize("name", ["nano", "paper"])
def test_scores_are_those_of_each_net(name: str) -> None:
    spec = preset(name)
    scales = np.full(len(spec.stages), 0.03, np.float32)
    theta = np.random.default_rng(3).normal(0, 0.3, (4, spec.params)).astype(np.float32)
    theta[3, spec.tensors[-1].offset :] = 0  # a head of zeros has no cosine
    nets = [quantize(spec, t, scales) for t in theta]
    some = np.array([12345, -678901, 0, 5])
    got = twin.stack(nets).scores(some, float(nets[0].scales[-1]))
    assert got.tolist() == [n.score(int(v)) for n, v in zip(nets, some, strict=True)]


def requantised(acc: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
    """What the twin makes of these sums, each with its own multiplier and shift."""
    q = twin.Convs(torch.zeros(1), torch.zeros(1), torch.from_numpy(m)[None], torch.from_numpy(s)[None])
    return twin.requantise_relu(torch.from_numpy(acc).double()[None, :, None, None], q).flatten().numpy()


def test_one_floor_equals_two_roundings_around_the_steps_of_the_output() -> None:
    rng = np.random.default_rng(0)
    s, k, m = rng.integers(0, 14, 1 << 20), rng.integers(0, 257, 1 << 20), rng.integers(2**30, 2**31, 1 << 20)
    acc = np.ceil((2 * k - 1) * 2.0 ** (30 + s) / m).astype(np.int64) + rng.integers(-1, 2, 1 << 20)
    assert np.array_equal(requantised(acc, m, s), fixedpoint.requantise_relu(acc, m, s))


def test_sums_closer_to_a_step_than_float64_can_tell_are_requantised_in_integers() -> None:
    acc, m = (
        np.array(v) for v in ((909551094, 990562491, 463328212), (1648833897, 1977730688, 1812799885))
    )  # found by search: one floor in float64 gets all three wrong
    s = np.array([22, 22, 21])
    assert requantised(acc, m, s).tolist() == fixedpoint.requantise_relu(acc, m, s).tolist() == [166, 217, 186]


def test_sums_beyond_float32_are_exact() -> None:
    spec = NetSpec("wide", (same(1, 3, 1),), Head("dot"), 1, 1)
    weight, bias = np.array([1, 0, 0], np.int8).reshape(1, 1, 1, 3), np.array([255 << 20], np.int32)
    one, scale = np.float32(1), np.array([1], np.float32)
    conv = QConv(weight, bias, np.array([2**30], np.int32), np.array([20], np.uint8), scale, one)
    net = QNet(spec, (conv,), QHead(np.array([1], np.int8), 0, one))
    pictures = np.array([126, 127], np.uint8).repeat(3).reshape(2, 1, 1, 3)  # the bias is on a step of the output
    assert twin.run([net, net], pictures).logits.tolist() == logits([net, net], pictures) == [127, 128]
