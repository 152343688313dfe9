"""What `enroll --permute` is worth: how often its order is found again. It is obfuscation and no more, in figures.

Nets of the shipped generator, permuted by a key each. Two ways back: sorting channels by what no order changes, for
whoever has two copies of a net; and aligning them, to θ0, the weights that all nets of the generator share or vary
from, for whoever has the generator, or to any other net of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from hyper_mcu.codegen.permute import Order, apply, drawn
from hyper_mcu.codegen.qnet import QConv, QNet
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.device.keys import PERMUTE, Key
from hyper_mcu.generator import SHIPPED, load

NETS = 20


@pytest.fixture(scope="module")
def nets() -> list[QNet]:
    """Nets of random embeddings, which are further apart than those of faces; the last is the attacker's own."""
    generator, rng = load(), np.random.default_rng(5)
    e = rng.normal(size=(NETS + 1, 512))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    return [quantize(generator.spec, theta, generator.scales) for theta in generator.weights(e.astype(np.float32))]


def disguised(net: QNet, number: int) -> tuple[QNet, list[Order]]:
    """The net in the order of a key of that number, as enrolment permutes it, and the order."""
    key = Key(1, (number + 1).to_bytes(32, "big"))
    orders = drawn(net.spec, key.derived(PERMUTE, bytes.fromhex(net.sha256())))
    return apply(net, orders), orders


def marks(q: QConv) -> list[tuple[int, ...]]:
    """Of each channel what no order changes: bias, multiplier, shift, its weights sorted."""
    words = zip(q.bias.tolist(), q.multiplier.tolist(), q.shift.tolist(), strict=True)
    weights = np.sort(q.weight.reshape(len(q.bias), -1)).tolist()
    return [(*w, *row) for w, row in zip(words, weights, strict=True)]


def by_sorting(net: QNet, other: QNet) -> Iterator[Order]:
    """For each stage the order in which `other` has the channels of `net`: both sorted, place by place."""
    for (_, a), (_, b) in zip(net.convs, other.convs, strict=True):
        mine, theirs = marks(a), marks(b)
        order = np.empty(len(mine), np.int64)
        order[sorted(range(len(theirs)), key=theirs.__getitem__)] = sorted(range(len(mine)), key=mine.__getitem__)
        yield order


def rows(net: QNet, stage: int, before: Order) -> NDArray[np.float64]:
    """Of each channel of a stage real weights and bias over all channels before it, these put back from `before`."""
    s, q = net.convs[stage]
    c = s.layer
    full = np.zeros((c.cout, c.k, c.k, c.cin))
    for i in range(c.cout):
        group = i // c.cout_group
        full[i][..., before[group * c.cin_group : (group + 1) * c.cin_group]] = q.weight[i]
    real = np.concatenate([full.reshape(c.cout, -1), q.bias[:, None]], axis=1) * q.weight_scale[:, None]
    return real / np.linalg.norm(real, axis=1, keepdims=True).clip(1e-12)


def by_aligning(reference: QNet, other: QNet) -> Iterator[Order]:
    """The same against another person's net, stage by stage: which channels are most alike, all of a stage together."""
    from scipy.optimize import linear_sum_assignment

    before = still = np.arange(other.spec.channels)
    for stage in range(len(other.convs)):
        likeness = rows(other, stage, before) @ rows(reference, stage, still).T
        before, still = linear_sum_assignment(-likeness)[1], np.arange(len(likeness))
        yield before


def found(recovered: Iterator[Order], orders: list[Order]) -> list[bool]:
    """Which stages are back in order."""
    return [np.array_equal(a, b) for a, b in zip(recovered, orders, strict=True)]


def test_sorting_undoes_it_for_who_has_two_copies(nets: list[QNet], capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for i, net in enumerate(nets[:NETS]):
        other, orders = disguised(net, i)
        told.append(found(by_sorting(net, other), orders))
    whole = sum(map(all, told))
    with capsys.disabled():
        print(f"\nsorting: {whole} of {NETS} nets back in order, stages {np.mean(told, 0)}")
    assert whole == NETS


def theta0() -> QNet:
    """The generator's θ0 as a net of nobody, normalised as it normalises all."""
    onnx = pytest.importorskip("onnx", reason="needs hyper-mcu[onnx]: onnx")
    generator = load()
    stored = {i.name: onnx.numpy_helper.to_array(i).astype(np.float32) for i in onnx.load(SHIPPED).graph.initializer}
    written = {t.name: stored[f"theta0.{t.name}"].ravel() for t in generator.spec.tensors}
    for stage in range(len(generator.spec.stages)):
        factor = 1 / np.sqrt(stored[f"stats.var{stage}"] + np.float32(1e-5))
        written[f"stage{stage}.weight"] *= np.repeat(factor, written[f"stage{stage}.weight"].size // len(factor))
        written[f"stage{stage}.bias"] -= stored[f"stats.mean{stage}"] * factor
    return quantize(generator.spec, np.concatenate(list(written.values())), generator.scales)


@pytest.mark.parametrize("reference", ["theta0", "another net"])
def test_aligning_undoes_it_for_who_has_the_generator_or_a_net_of_it(
    nets: list[QNet], reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("scipy", reason="needs hyper-mcu[train]: scipy")
    known, told = theta0() if reference == "theta0" else nets[-1], []
    for i, net in enumerate(nets[:NETS]):
        other, orders = disguised(net, i)
        assert not any(found(iter(np.arange(len(o)) for o in orders), orders))
        told.append(found(by_aligning(known, other), orders))
    whole = sum(map(all, told))
    with capsys.disabled():
        print(f"\naligning to {reference}: {whole} of {NETS} nets back in order, stages {np.mean(told, 0)}")
    assert whole >= (NETS if reference == "another net" else NETS // 2)  # who has the generator has its nets too
