"""N nets on M images: the fast path against one net at a time, in values, gradients, memory layout and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import net_specs
from torch import Tensor
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle, Stage
from hyper_mcu.codegen.presets import PRESETS, preset, same
from hyper_mcu.hypertrain import batched, net
from hyper_mcu.hypertrain.module import Net

pytestmark = pytest.mark.usefixtures("one_thread")

NORMS = ("none", "weight-standardised", "train-statistics", "instance", "pixel-channel")
ALL_KINDS = NetSpec(
    "all kinds",
    (
        same(3, 3, 8, 1, 2),
        Shuffle(4),
        same(3, 8, 8, 8),
        Add(0),
        Conv(3, 2, "valid", 8, 12, 2),
        same(1, 12, 12, 3, 2),
        same(5, 12, 6, 1, 2, relu=False),
    ),
    Head("cosdot"),
    height=22,
    width=19,
)
N, M = 3, 5


def nets(spec: NetSpec, count: int = N, seed: int = 0) -> Tensor:
    """θ (N, params) in float64 with no zeros, biases included."""
    g = torch.Generator().manual_seed(seed)
    theta = torch.stack([net.he_init(spec, g) for _ in range(count)]).double()
    return theta + 0.05 * torch.randn(theta.shape, generator=g, dtype=torch.float64)


def photos(spec: NetSpec, count: int = M, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand((count, 3, spec.height, spec.width), generator=g, dtype=torch.float64) * 2 - 1


def scored(function: Callable[..., Tensor], spec: NetSpec, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, and the gradients of a sum of them with unequal weights to θ and to x."""
    theta, x = theta.clone().requires_grad_(), x.clone().requires_grad_()
    s = function(spec, theta, x)
    (s * torch.linspace(-1, 1, s.numel(), dtype=s.dtype).view_as(s)).sum().backward()
    assert theta.grad is not None
    assert x.grad is not None
    return s.detach(), theta.grad, x.grad


def assert_equal(got: tuple[Tensor, ...], want: tuple[Tensor, ...], tolerance: float = 1e-9) -> None:
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        assert (g - w).abs().max() <= tolerance * w.abs().max().clamp(min=1)


@settings(deadline=None, max_examples=60)
@given(net_specs(), st.sampled_from(NORMS), st.integers(0, 2**31))
def test_any_net_scores_and_learns_as_one_at_a_time(spec: NetSpec, norm: str, seed: int) -> None:
    spec = replace(spec, norm=norm)
    theta, x = nets(spec, seed=seed), photos(spec, seed=seed + 1)
    want = scored(batched.scores_loop, spec, theta, x)
    assert_equal(scored(batched.scores, spec, theta, x), want)


@pytest.mark.parametrize("norm", NORMS)
def test_vmap_gives_the_same(norm: str) -> None:
    spec = replace(ALL_KINDS, norm=norm)
    theta, x = nets(spec), photos(spec)
    assert_equal(scored(batched.scores_vmap, spec, theta, x), scored(batched.scores_loop, spec, theta, x))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tile", [1, 40_000, 1 << 30], ids=["pair by pair", "in between", "at once"])
def test_every_tile_gives_the_same(monkeypatch, norm: str, tile: int) -> None:
    monkeypatch.setitem(batched.TILE, "cpu", tile)
    spec = replace(ALL_KINDS, norm=norm)
    theta, x = nets(spec), photos(spec)
    assert_equal(scored(batched.scores, spec, theta, x), scored(batched.scores_loop, spec, theta, x))


@pytest.mark.parametrize("name", ["paper", "large", "nano"])
def test_presets_in_float32_equal_the_references(name: str) -> None:
    spec = replace(preset(name), height=32, width=32)
    theta, x = nets(spec, 2).float(), photos(spec, 3).float()
    want = scored(batched.scores_loop, spec, theta, x)
    assert_equal(scored(batched.scores_vmap, spec, theta, x), want, 1e-5)
    assert_equal(scored(batched.scores, spec, theta, x), want, 1e-5)


@pytest.mark.parametrize("head", [Head("dot"), Head("dot", True), Head("cosdot", True)], ids=str)
def test_own_images_are_entries_of_the_whole_matrix(monkeypatch, head: Head) -> None:
    monkeypatch.setitem(batched.TILE, "cpu", 40_000)
    spec = replace(ALL_KINDS, head=head)
    theta, x, columns = nets(spec), photos(spec), torch.tensor([[4, 0, 4], [1, 2, 3], [0, 0, 2]])

    def own(*arguments: object) -> Tensor:
        return batched.pair_scores(*arguments, columns)  # type: ignore[arg-type]

    def picked(*arguments: object) -> Tensor:
        return batched.scores_loop(*arguments).gather(1, columns)  # type: ignore[arg-type]

    assert_equal(scored(own, spec, theta, x), scored(picked, spec, theta, x))


@pytest.mark.parametrize("first", [3, 4, 5])
def test_personal_tail_reads_the_shared_map(first: int) -> None:
    """The stages before `first` are those of every net here, so the whole nets score the same."""
    spec = ALL_KINDS
    start = next(t.offset for t in spec.tensors if t.name == f"stage{first}.weight")
    theta, x = nets(spec), photos(spec)
    theta[:, :start] = theta[0, :start].clone()
    shared = net.features(spec, theta[0], net.Statistics(spec), x, training=False, stop=first)
    columns = torch.tensor([[1], [0], [3]])
    want = batched.scores_loop(spec, theta, x)
    got = batched.scores(spec, theta, shared, first), batched.pair_scores(spec, theta, shared, columns, first)
    assert_equal(got, (want, want.gather(1, columns)))


def test_nets_that_differ_in_the_head_alone_share_the_last_map() -> None:
    theta, x = nets(ALL_KINDS), photos(ALL_KINDS)
    last = net.features(ALL_KINDS, theta[0], net.Statistics(ALL_KINDS), x, training=False)
    theta[:, : ALL_KINDS.tensors[-1].offset] = theta[0, : ALL_KINDS.tensors[-1].offset].clone()
    got = batched.scores(ALL_KINDS, theta, last, len(ALL_KINDS.stages))
    assert_equal((got,), (batched.scores_loop(ALL_KINDS, theta, x),))


def test_activation_sees_every_stage_of_all_nets(monkeypatch) -> None:
    monkeypatch.setitem(batched.TILE, "cpu", 1)
    seen = []

    def activation(stage: Stage, y: Tensor) -> Tensor:
        seen.append((stage.index, y.shape))
        assert y.shape[1:] == (N, stage.out_shape[2], *stage.out_shape[:2])
        linear = isinstance(stage.layer, Conv) and not stage.layer.relu
        return y if linear else y.clamp(min=0)

    theta, x = nets(ALL_KINDS), photos(ALL_KINDS)
    got = batched.scores(ALL_KINDS, theta, x, activation=activation)
    assert_equal((got,), (batched.scores(ALL_KINDS, theta, x),))
    assert [i for i, _ in seen] == [s.index for s in ALL_KINDS.stages] * M


def test_cached_gradients_are_those_of_one_pass() -> None:
    """Through what made θ, in chunks that do not divide the nets, and with a further loss of what made it."""
    maker, x = torch.nn.Linear(4, ALL_KINDS.params).double(), photos(ALL_KINDS)
    e = torch.randn(N, 4, dtype=torch.float64)
    weight = torch.linspace(-1, 2, N * M, dtype=torch.float64).view(N, M)
    found = []
    for chunk in (N, 2):
        maker.zero_grad()
        theta = maker(e)
        batched.backward(
            theta,
            chunk,
            lambda rows, part: (batched.scores(ALL_KINDS, part, x) * weight[rows]).sum(),
            beside=theta.square().mean(),
        )
        assert maker.weight.grad is not None
        found.append((maker.weight.grad.clone(),))
    assert_equal(found[1], found[0])
    theta = maker(e)
    s = (batched.scores(ALL_KINDS, theta, x) * weight).sum()
    (direct,) = torch.autograd.grad(s + theta.square().mean(), [maker.weight])
    assert_equal(found[0], (direct,))


def test_chunks_in_threads_give_the_same_and_give_the_threads_back() -> None:
    theta, x, slope = nets(ALL_KINDS, 5).requires_grad_(), photos(ALL_KINDS), torch.tensor(2.0)
    slope.requires_grad_()
    torch.set_num_threads(2)

    def loss(rows: slice, part: Tensor) -> Tensor:
        return (batched.scores(ALL_KINDS, part, x) * slope).square().sum()

    found = []
    for workers in (1, 3, 3):
        theta.grad = slope.grad = None
        batched.backward(theta, 1, loss, workers=workers, loose=[slope])
        assert theta.grad is not None
        assert slope.grad is not None
        found.append((theta.grad, slope.grad))
    assert_equal(found[1], found[0])
    assert all(torch.equal(a, b) for a, b in zip(found[1], found[2], strict=True))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_tiles_without_gradient_are_shared_by_threads_and_keep_their_modes(monkeypatch) -> None:
    monkeypatch.setitem(batched.TILE, "cpu", 1)
    theta, x, columns = nets(ALL_KINDS).float(), photos(ALL_KINDS).float(), torch.tensor([[1, 2], [0, 0], [4, 3]])
    with torch.autocast("cpu", torch.bfloat16):
        want = batched.scores(ALL_KINDS, theta.requires_grad_(), x).detach()
    torch.set_num_threads(3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = batched.scores(ALL_KINDS, theta, x)
        own = batched.pair_scores(ALL_KINDS, theta, x, columns)
    torch.set_num_threads(1)
    assert_equal((got, own), (want, want.gather(1, columns)), 1e-2)
    assert not got.requires_grad


def test_a_failure_in_a_thread_is_a_failure() -> None:
    def broken(rows: slice, part: Tensor) -> Tensor:
        raise ArithmeticError(rows.start)

    with pytest.raises(ArithmeticError):
        batched.backward(nets(ALL_KINDS), 1, broken, workers=2)


def test_chunks_hold_the_maps_of_one_chunk_alone() -> None:
    """What autograd keeps between forward and backward pass, in bytes, is that of two nets and not of eight."""
    spec, held = preset("nano"), [0, 0]
    theta, x = nets(spec, 8).float().requires_grad_(), photos(spec, 16).float()

    def grows(t: Tensor) -> Tensor:
        held[0] += t.numel()
        held[1] = max(held)
        return t

    def loss(rows: slice, part: Tensor) -> Tensor:
        held[0] = 0
        return batched.scores(spec, part, x).sum()

    peaks = []
    for chunk in (8, 2):
        held[:] = [0, 0]
        with torch.autograd.graph.saved_tensors_hooks(grows, lambda t: t):
            batched.backward(theta, chunk, loss)
        peaks.append(held[1])
    assert peaks[1] < 0.4 * peaks[0]


def test_bfloat16_scores_are_near_those_of_float32() -> None:
    spec = preset("nano")
    theta, x = nets(spec).float(), photos(spec).float()
    with torch.autocast("cpu", torch.bfloat16):
        got = batched.scores(spec, theta, x)
    assert got.dtype == torch.float32
    assert 0 < (got - batched.scores(spec, theta, x)).abs().max() < 0.03


@pytest.mark.parametrize("tile", [1, 1 << 30])
def test_moments_are_those_of_the_convolutions_before_normalisation(monkeypatch, tile: int) -> None:
    monkeypatch.setitem(batched.TILE, "cpu", tile)
    spec = replace(ALL_KINDS, norm="train-statistics")
    stats, x, raw = net.Statistics(spec).double(), photos(spec), nets(spec)
    stats.calibrate(spec, raw[0], x)
    theta = net.fold(spec, raw, stats)
    seen: dict[int, list[Tensor]] = {}
    for t in raw:
        x_in: dict[int, Tensor] = {0: x}
        for s in spec.stages:
            x_in[s.index + 1] = net.features(spec, t, stats, x, training=False, stop=s.index + 1)
            if isinstance(c := s.layer, Conv):
                w = net.split(spec, t)[f"stage{s.index}.weight"].permute(0, 3, 1, 2)
                y = torch.nn.functional.conv2d(net.pad_same(x_in[s.index], s), w, None, c.stride, 0, 1, c.groups)
                seen.setdefault(s.index, []).append(y)
    got = batched.moments(spec, theta, stats, x)
    assert got.keys() == seen.keys()
    for index, maps in seen.items():
        var, mean = torch.var_mean(torch.stack(maps), (0, 1, 3, 4), correction=0)
        assert_equal(got[index], (mean, var), 1e-8)


def test_moments_are_none_where_nothing_is_shared() -> None:
    assert batched.moments(ALL_KINDS, nets(ALL_KINDS), net.Statistics(ALL_KINDS), photos(ALL_KINDS)) == {}


@pytest.mark.parametrize("spec", [*PRESETS.values(), ALL_KINDS], ids=lambda s: s.id)
def test_multiply_accumulates_are_those_that_others_count(spec: NetSpec) -> None:
    """torch counts every operation, two for a product and its sum; thop counts modules, and a CosDot head is none."""
    thop = pytest.importorskip("thop", reason="needs hyper-mcu[test]: thop")
    module, x = Net(spec), photos(spec, 1).float()
    named = module.named(nets(spec, 1)[0].float())
    with FlopCounterMode(display=False) as counter:
        functional_call(module, named, (x,))
    assert counter.get_total_flops() == 2 * spec.macs
    macs, params = thop.profile(module, (x,), verbose=False)
    head = spec.head_size if spec.head.kind == "dot" else 0
    assert macs == spec.macs - spec.head_size + head
    assert params == sum(t.size for t in spec.tensors[: -1 if spec.head.kind == "cosdot" else None])
