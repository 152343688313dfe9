"""The float network in torch: padding, the forms of normalisation, folding, statistics of one process and of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hyper_mcu.codegen.netspec import Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.hypertrain import batched, net

pytestmark = pytest.mark.usefixtures("one_thread")

NORMS = ("none", "weight-standardised", "train-statistics", "instance", "pixel-channel")
SMALL = NetSpec(
    "small",
    (same(3, 3, 8, stride=2), same(3, 8, 12, 4), same(1, 12, 6, relu=False)),
    Head("cosdot"),
    height=9,
    width=8,
    norm="train-statistics",
)


def theta_of(spec: NetSpec, seed: int = 0) -> Tensor:
    """θ (params,) with no zeros, biases included."""
    g = torch.Generator().manual_seed(seed)
    theta = net.he_init(spec, g)
    return theta + 0.1 * torch.randn(theta.shape, generator=g)


def photos(spec: NetSpec, count: int, seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand((count, 3, spec.height, spec.width), generator=g) * 2 - 1


def test_stride_two_pads_after_the_last_row_as_tflite_does() -> None:
    stage = NetSpec("pad", (same(3, 1, 1, stride=2),), Head("dot"), 4, 4, 1).stages[0]
    padded = net.pad_same(torch.ones(1, 1, 4, 4), stage)
    assert padded.shape == (1, 1, 5, 5)
    assert padded[0, 0, 0, 0] == 1
    assert padded[0, 0, 4].sum() == 0


def test_shuffle_is_the_transposition_of_groups() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert net.shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["nano", "paper"])
def test_folded_weights_compute_what_the_normalised_net_computes(name: str, norm: str) -> None:
    spec = replace(preset(name), norm=norm)
    theta, stats, x = theta_of(spec), net.Statistics(spec), photos(spec, 2)
    if norm == "train-statistics":
        stats.calibrate(spec, theta_of(spec, 5), photos(spec, 3, 7))
    normalised = net.flatten(spec, net.features(spec, theta, stats, x, training=False))
    plain = batched.inputs(spec, net.fold(spec, theta, stats)[None], x)[0]
    assert torch.allclose(normalised, plain, atol=1e-4 * float(normalised.abs().max()))


def test_normalisation_at_run_time_is_that_of_torch() -> None:
    y = torch.randn(3, 6, 5, 4) * 3 + 1
    assert torch.allclose(net.normalise(replace(SMALL, norm="instance"), y), F.instance_norm(y), atol=1e-5)
    by_pixel = F.layer_norm(y.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2)
    assert torch.allclose(net.normalise(replace(SMALL, norm="pixel-channel"), y), by_pixel, atol=1e-5)
    assert net.normalise(SMALL, y) is y


def test_standardised_weights_have_no_mean_one_spread_and_no_scale() -> None:
    w = torch.randn(2, 5, 3, 3, 4) * 3 + 1
    s = net.standardise(w)
    var, mean = torch.var_mean(s, (2, 3, 4), correction=0)
    assert torch.allclose(mean, torch.zeros(2, 5), atol=1e-6)
    assert torch.allclose(var * 36, torch.full((2, 5), net.GAIN**2), rtol=1e-4)
    assert torch.allclose(net.standardise(10 * w), s, atol=1e-4)
    alone = torch.randn(5, 1, 1, 1)
    assert net.standardise(alone) is alone


def test_standardised_weights_keep_the_spread_of_activations() -> None:
    """Of normal pixels, through ten layers of random weights of any scale: within a third of one."""
    layers = (same(3, 3, 64), *[same(3, 64, 64)] * 9)
    spec = NetSpec("deep", layers, Head("dot", True), 12, 12, norm="weight-standardised")
    theta = net.he_init(spec, torch.Generator().manual_seed(0))
    x = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    spreads = []
    for stop in range(2, 11):
        maps = net.features(spec, theta * 3, net.Statistics(spec), x, training=False, stop=stop)
        inner = maps[:, :, 3:9, 3:9]  # where padding has taken little away
        spreads.append(float(inner.std()) / (0.5 - 0.5 / torch.pi) ** 0.5 / net.GAIN)
    assert all(0.66 < s < 1.5 for s in spreads)


@pytest.mark.parametrize("norm", NORMS)
def test_only_channel_statistics_are_kept(norm: str) -> None:
    kept = [name for name, _ in net.Statistics(replace(SMALL, norm=norm)).named_buffers()]
    assert kept == (["mean0", "var0", "mean1", "var1", "mean2", "var2"] if norm == "train-statistics" else [])


def test_calibrated_statistics_normalise_the_batch_stage_after_stage() -> None:
    theta, stats, x = theta_of(SMALL), net.Statistics(SMALL), photos(SMALL, 64)
    stats.calibrate(SMALL, theta, x)
    now = net.features(SMALL, theta, stats, x, training=False)
    batch = net.features(SMALL, theta, net.Statistics(SMALL), x, training=True)
    assert torch.allclose(now, batch, atol=0.01)
    var, mean = torch.var_mean(now - net.split(SMALL, theta)["stage2.bias"][:, None, None], (0, 2, 3), correction=0)
    assert torch.allclose(mean, torch.zeros(6), atol=2e-3)
    assert torch.allclose(var, torch.ones(6), atol=1e-2)


def test_observed_moments_move_the_statistics_by_their_share() -> None:
    stats = net.Statistics(SMALL)
    stats.update({1: (torch.full((12,), 2.0), torch.full((12,), 5.0))}, 0.25)
    assert [float(v[0]) for v in (*stats.of(0), *stats.of(1))] == [0, 1, 0.5, 2]


def one_step(rows: slice, synchronise: bool) -> tuple[Tensor, ...]:
    """Features of those rows of a batch, gradients of a sum over them to θ and to the images, and the statistics,
    running and observed."""
    theta, x, stats = theta_of(SMALL).requires_grad_(), photos(SMALL, 10).requires_grad_(), net.Statistics(SMALL)
    maps = net.features(SMALL, theta, stats, x[rows], training=True, synchronise=synchronise)
    weights = torch.linspace(-1, 1, 10 * maps[0].numel()).view(10, *maps.shape[1:])
    gradients = torch.autograd.grad((maps * weights[rows]).sum(), [theta, x])
    folded = net.fold(SMALL, torch.stack([theta_of(SMALL, 3), theta_of(SMALL, 4)]), stats)
    seen = batched.moments(SMALL, folded, stats, x[rows], synchronise=synchronise)
    return (
        maps.detach(),
        *gradients,
        *(b.clone() for b in stats.buffers()),
        *(m for pair in seen.values() for m in pair),
    )


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(one_step(slice(0, 4) if rank == 0 else slice(4, 10), True), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_normalise_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    mp.spawn(_process, (str(tmp_path),), nprocs=2)
    maps, theta, x, *statistics = one_step(slice(0, 10), False)
    a, b = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.allclose(torch.cat([a[0], b[0]]), maps, atol=1e-5)
    assert torch.allclose(a[1] + b[1], theta, atol=1e-4)
    assert torch.allclose(a[2] + b[2], x, atol=1e-4)
    for rank in (a, b):
        assert all(
            torch.allclose(got, want, rtol=1e-4, atol=1e-5) for got, want in zip(rank[3:], statistics, strict=True)
        )
