"""N nets on M images: every net of a batch looks at every image, or each at its own.

Maps are (M, N·C, H, W) in channels-last memory, so that N nets are one convolution of N·groups groups, and the first
layer, whose input all nets share, is an ordinary one with N·C outputs. Images are turned by 180° and kernels with
them: there TFLite's padding, which puts the odd row last, is the symmetric one that convolutions do without a copy; not
where no kernel has more than a pixel. Work goes by tiles of nets and images whose maps stay in the cache. `scores_loop`
and `scores_vmap` are the references.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.func import functional_call, vmap

from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Conv, NetSpec, Stage
from hyper_mcu.hypertrain.module import Net
from hyper_mcu.hypertrain.net import EPS, Moments, Statistics, normalise, split, summed

A = TypeVar("A")
B = TypeVar("B")
Activation = Callable[[Stage, Tensor], Tensor]
TILE = {"cpu": 8 << 20, "cuda": 1 << 30}  # bytes of the largest map of a tile, by what `benchmarks/throughput.py` shows


def inputs(spec: NetSpec, theta: Tensor, x: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
    """What the heads of N nets read of M images, (N, M, n), in the layout of `NetSpec.head_size`.

    theta (N, params) folded; x (M, C, H, W): the input of stage `first`, shared by all nets. An Add must not reach back
    before `first`. activation(stage, y) takes the place of ReLU and is called for every stage, Adds and the linear end
    too: y (M', N, C, H, W) with the channels on axis 2, M' of the images, all nets; it gives a map of the same shape.
    """
    images, nets = _tile(spec, len(theta), len(x), first, x, whole=activation is not None)
    parts, rows = _turn(spec, first, x).split(images), theta.split(nets)
    tiles = [(t, part) for t in rows for part in parts]
    return _joined(_run(spec, tiles, first, activation, False), len(rows), len(parts))


def scores(spec: NetSpec, theta: Tensor, x: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
    """Real scores (N, M) of every net on every image: a cosine for CosDot, b + w·u for Dot; arguments of `inputs`."""
    return _head(spec, theta, inputs(spec, theta, x, first, activation))


def pair_scores(
    spec: NetSpec, theta: Tensor, x: Tensor, columns: Tensor, first: int = 0, activation: Activation | None = None
) -> Tensor:
    """Scores (N, K) of net i on images columns[i] alone, int64 (N, K); else as `scores`."""
    images, nets = _tile(spec, len(theta), columns.shape[1], first, x, whole=activation is not None)
    turned, rows = _turn(spec, first, x), theta.split(nets)
    own = [part for mine in columns.split(nets) for part in mine.split(images, 1)]
    width = len(own) // len(rows)
    tiles = [(rows[i // width], _side_by_side(turned, part)) for i, part in enumerate(own)]
    return _head(spec, theta, _joined(_run(spec, tiles, first, activation, True), len(rows), width))


def forward(theta: Tensor, chunk: int, values_of: Callable[[slice, Tensor], Tensor], workers: int = 1) -> Tensor:
    """What values_of(slice, θ part) gives for chunks of that many nets, behind each other, without gradients; workers
    as in `backward`."""

    def one(start: int) -> Tensor:
        with torch.no_grad():  # of this thread alone
            part = theta.detach()[start : start + chunk]
            return values_of(slice(start, start + len(part)), part)

    return torch.cat([*_concurrently(one, range(0, len(theta), chunk), workers)])


def backward(
    theta: Tensor,
    chunk: int,
    loss_of: Callable[[slice, Tensor], Tensor],
    beside: Tensor | None = None,
    workers: int = 1,
    loose: Sequence[Tensor] = (),
) -> None:
    """Backward pass of Σ loss_of(slice, θ part) over chunks of that many nets, in the memory of one chunk.

    Gradients are cached: each chunk's loss goes back as far as θ (N, params), and what it leaves there goes on in one
    pass, through whatever made θ, once. beside: a further loss, of what made θ, that goes back in the same pass.

    workers: chunks at a time on the CPU, each in a thread of its own and in the memory of so many. Sums keep their
    order, so that two runs give the same bits. Parameters that loss_of reaches by itself must then be named: `loose`.
    """

    def one(start: int) -> tuple[Tensor | None, tuple[Tensor | None, ...]]:
        part = theta.detach()[start : start + chunk].requires_grad_()
        loss = loss_of(slice(start, start + len(part)), part)
        if workers > 1:
            own, *others = torch.autograd.grad(loss, [part, *loose], allow_unused=True)
            return own, tuple(others)
        loss.backward()
        return part.grad, ()

    left, starts = torch.zeros_like(theta), range(0, len(theta), chunk)
    for start, (own, others) in zip(starts, _concurrently(one, starts, workers), strict=True):
        if own is not None:
            left[start : start + chunk] = own
        for parameter, grad in zip(loose if others else (), others, strict=True):
            if grad is not None:
                parameter.grad = grad if parameter.grad is None else parameter.grad.add_(grad)
    made, grads = [theta], [left]
    if beside is not None:
        made, grads = [theta, beside], [left, torch.ones_like(beside)]
    torch.autograd.backward(made, grads)


def _concurrently(one: Callable[[A], B], jobs: Iterable[A], workers: int) -> Iterator[B]:
    """Results in order; several workers share the cores by jobs: threads inside one operation would have to wait for
    each other some hundred times a tile, and wait long where something else runs too."""
    if workers == 1:
        yield from map(one, jobs)
        return
    grad, autocast, dtype = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def alike(job: A) -> B:  # these modes are a thread's own
        with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype, enabled=autocast):
            return one(job)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads take the number from here
    try:
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(alike, jobs)
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def moments(
    spec: NetSpec, theta: Tensor, stats: Statistics, x: Tensor, first: int = 0, synchronise: bool = False
) -> Moments:
    """Mean and variance (cout,) of what each Conv stage from `first` on gives before it is normalised, over N nets and
    M images (of all processes, if `synchronise`): for `Statistics.update`.

    theta (N, params) folded with `stats`; x as for `inputs`. Empty where nets have no such statistics.
    """
    sums = {
        s.index: theta.new_zeros(3, 1, dtype=torch.float64) for s in spec.stages[first:] if isinstance(s.layer, Conv)
    }
    if spec.norm != "train-statistics":
        return {}
    images, nets = _tile(spec, len(theta), len(x), first, x)

    def observe(t: Tensor, stage: Stage, y: Tensor) -> Tensor:
        if isinstance(c := stage.layer, Conv):
            var, mean = torch.var_mean(y.double(), (0, 3, 4), correction=0)
            plain = mean - split(spec, t)[f"stage{stage.index}.bias"]
            seen = torch.stack([torch.ones_like(plain), plain, var + plain.square()]).sum(1)
            sums[stage.index] = sums[stage.index] + seen * (y.shape[0] * y.shape[3] * y.shape[4])
        return F.relu(y) if isinstance(c, Conv) and c.relu else y

    for t in theta.split(nets):
        for part in _turn(spec, first, x).split(images):
            _maps(spec, first, partial(observe, t), False, t, part)
    found = {}
    for index, seen in sums.items():
        count, mean, square = summed(seen) if synchronise else seen
        sigma = (stats.of(index)[1] + EPS).sqrt()
        found[index] = (sigma * mean / count, sigma.square() * (square / count - (mean / count).square()))
    return found


def scores_loop(spec: NetSpec, theta: Tensor, x: Tensor) -> Tensor:
    """`scores` by one net after the other."""
    net = Net(spec, x.dtype)
    return torch.stack([functional_call(net, net.named(t), (x,)) for t in theta])


def scores_vmap(spec: NetSpec, theta: Tensor, x: Tensor) -> Tensor:
    """`scores` by `torch.func`."""
    net = Net(spec, x.dtype)

    def one(named: dict[str, Tensor]) -> Tensor:
        return functional_call(net, named, (x,))

    return vmap(one)(net.named(theta))


def _head(spec: NetSpec, theta: Tensor, u: Tensor) -> Tensor:
    """Scores (N, M) of what the heads read, u (N, M, n), in its precision."""
    named = split(spec, theta)
    w = named["head.weight"].to(u.dtype)
    with torch.autocast(u.device.type, enabled=False):
        if spec.head.kind == "dot":
            return torch.einsum("nmk,nk->nm", u, w) + named["head.bias"]
        return torch.einsum("nmk,nk->nm", F.normalize(u, dim=2), F.normalize(w, dim=1))


def _tile(spec: NetSpec, nets: int, images: int, first: int, x: Tensor, whole: bool = False) -> tuple[int, int]:
    """Images and nets of a tile; `whole`: all nets."""
    element = 2 if torch.is_autocast_enabled(x.device.type) else x.element_size()
    largest = max([1, *(math.prod(s.out_shape) for s in spec.stages[first:])]) * element
    pairs = TILE.get(x.device.type, TILE["cuda"]) // largest
    if whole:
        return max(1, pairs // nets), nets
    columns = max(1, min(images, pairs))
    return columns, max(1, pairs // columns)


def _turns(spec: NetSpec, first: int) -> bool:
    """Whether images are turned for the stages from `first` on: not where every pixel stays by itself."""
    return any(isinstance(s.layer, Conv) and s.layer.k > 1 for s in spec.stages[first:])


def _turn(spec: NetSpec, first: int, x: Tensor) -> Tensor:
    x = x.flip(2, 3) if _turns(spec, first) else x
    return x.contiguous(memory_format=torch.channels_last)


def _side_by_side(x: Tensor, columns: Tensor) -> Tensor:
    """Images (K, N·C, H, W): those of net i, columns[i] (N, K), in its channels; x (M, C, H, W) in channels-last."""
    return x.permute(0, 2, 3, 1)[columns.T].permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)


def _run(
    spec: NetSpec, tiles: list[tuple[Tensor, Tensor]], first: int, activation: Activation | None, own: bool
) -> list[Tensor]:
    """`_inputs` of every tile, (θ, x) each; by all threads at once where there is no gradient and no hook."""
    free = tiles[0][1].device.type == "cpu" and activation is None and not torch.is_grad_enabled()
    workers = min(torch.get_num_threads(), len(tiles)) if free else 1
    return list(_concurrently(lambda tile: _inputs(spec, first, activation, own, *tile), tiles, workers))


def _joined(tiles: list[Tensor], rows: int, columns: int) -> Tensor:
    return torch.cat([torch.cat(tiles[i * columns : (i + 1) * columns], 1) for i in range(rows)])


def _inputs(spec: NetSpec, first: int, activation: Activation | None, own: bool, theta: Tensor, x: Tensor) -> Tensor:
    """`inputs` of one tile, x turned."""
    u = _maps(spec, first, activation, own, theta, x)
    u = u.float() if u.dtype in (torch.bfloat16, torch.float16) else u
    channels = spec.stages[-1].out_shape[2]
    if spec.head.pool:
        u = u.sum((2, 3)).unflatten(1, (-1, channels)).transpose(0, 1)
    else:
        u = u.permute(0, 2, 3, 1)
        u = u.flip(1, 2) if _turns(spec, first) else u
        u = u.unflatten(3, (-1, channels)).permute(3, 0, 1, 2, 4).flatten(2)
    return u.expand(len(theta), -1, -1)  # no personal stage: one map for all nets


def _maps(spec: NetSpec, first: int, activation: Activation | None, own: bool, theta: Tensor, x: Tensor) -> Tensor:
    """The last map (M, N·C, H, W), turned; x (M, C, H, W), turned, or with `own` images (M, N·C, H, W)."""
    n, named, maps = len(theta), split(spec, theta), dict[int, Tensor]()
    for s in spec.stages[first:]:
        if isinstance(c := s.layer, Conv):
            shared = s.index == first and not own
            x = _convolved(spec, s, x, named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"], shared)
        else:
            x = x + maps[c.of]
        if activation is not None:
            x = activation(s, x.unflatten(1, (n, -1))).flatten(1, 2)
        elif isinstance(c, Conv) and c.relu:
            x = F.relu_(x)
        if s.shuffle > 1:
            y = x.permute(0, 2, 3, 1).unflatten(3, (n, s.shuffle, -1)).transpose(4, 5)
            x = y.flatten(3).permute(0, 3, 1, 2)
        maps[s.index] = x
    return x


def _convolved(spec: NetSpec, s: Stage, x: Tensor, w: Tensor, b: Tensor, shared: bool) -> Tensor:
    """The normalised convolution of a stage with its bias, (M, N·cout, H, W); w (N, cout, k, k, cin/groups)."""
    c, n = s.layer, len(w)
    assert isinstance(c, Conv)
    x, padding = _padded(x, s)
    if len(x) == 1 and x.stride(0) != x.numel():
        # torch's own convolution (without oneDNN, or float64) takes the step between images for real where there is one
        # image alone, and gives wrong gradients of 1×1 kernels of stride 2 (torch 2.13).
        x = x.clone(memory_format=torch.channels_last)
    if shared and c.groups > 1 and n > 1:
        x = x.repeat(1, n, 1, 1).contiguous(memory_format=torch.channels_last)
    groups = 1 if shared and c.groups == 1 else n * c.groups
    kernels = (w.flip(2, 3) if c.k > 1 else w).flatten(0, 1).permute(0, 3, 1, 2)
    if spec.norm not in RUN_TIME_NORMS:
        return F.conv2d(x, kernels, b.flatten(), c.stride, padding, 1, groups)
    y = F.conv2d(x, kernels, None, c.stride, padding, 1, groups).unflatten(1, (n, -1))
    return (normalise(spec, y) + b[:, :, None, None]).flatten(1, 2)


def _padded(x: Tensor, s: Stage) -> tuple[Tensor, tuple[int, int]]:
    """A turned map and the padding on all sides by which a convolution has the windows of the stage."""
    c = s.layer
    assert isinstance(c, Conv)
    ends = []
    for axis in (0, 1):
        size, out, before = s.in_shape[axis], s.out_shape[axis], s.pad_before[axis]
        ends.append(((out - 1) * c.stride + c.k - size - before, before))  # turned: what was behind comes before
    if all(a >= 0 and (s.in_shape[i] + 2 * a - c.k) // c.stride + 1 == s.out_shape[i] for i, (a, _) in enumerate(ends)):
        return x, (ends[0][0], ends[1][0])
    (top, bottom), (left, right) = ends
    return F.pad(x, (left, right, top, bottom)), (0, 0)
