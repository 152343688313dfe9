"""N nets on M images: every net of a batch looks at every image, or each at its own.

Maps are (M, N·C, H, W) in channels-last memory, so that N nets are one convolution of N·groups groups, and the first
layer, whose input all nets share, is an ordinary one with N·C outputs. Images are turned by 180° and kernels with
them: there TFLite's padding, which puts the odd row last, is the symmetric one that convolutions do without a copy.
Work goes by tiles of nets and images whose maps stay in the cache. `scores_loop` and `scores_vmap` are the references.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Conv, NetSpec, Stage
from hyper_mcu.hypertrain.net import EPS, Moments, Statistics, normalise, pad_same, shuffle, split, summed

Activation = Callable[[Stage, Tensor], Tensor]
TILE = {"cpu": 8 << 20, "cuda": 1 << 30}  # bytes of the largest map of a tile, by what `benchmarks/throughput.py` shows


def inputs(spec: NetSpec, theta: Tensor, x: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
    """What the heads of N nets read of M images, (N, M, n), in the layout of `NetSpec.head_size`.

    theta (N, params) folded; x (M, C, H, W): the input of stage `first`, shared by all nets. An Add must not reach back
    before `first`. activation(stage, y) takes the place of ReLU and is called for every stage, Adds and the linear end
    too: y (M', N, C, H, W) with the channels on axis 2, M' of the images, all nets; it gives a map of the same shape.
    """
    images, nets = _tile(spec, len(theta), len(x), first, x, whole=activation is not None)
    run, parts = partial(_inputs, spec, first, activation, False), _turn(x).split(images)
    return torch.cat([torch.cat([run(t, part) for part in parts], 1) for t in theta.split(nets)])


def scores(spec: NetSpec, theta: Tensor, x: Tensor, first: int = 0, activation: Activation | None = None) -> Tensor:
    """Real scores (N, M) of every net on every image: a cosine for CosDot, b + w·u for Dot; arguments of `inputs`."""
    return _head(spec, theta, inputs(spec, theta, x, first, activation))


def pair_scores(
    spec: NetSpec, theta: Tensor, x: Tensor, columns: Tensor, first: int = 0, activation: Activation | None = None
) -> Tensor:
    """Scores (N, K) of net i on images columns[i] alone, int64 (N, K); else as `scores`."""
    images, nets = _tile(spec, len(theta), columns.shape[1], first, x, whole=activation is not None)
    run, turned, rows = partial(_inputs, spec, first, activation, True), _turn(x), []
    for t, mine in zip(theta.split(nets), columns.split(nets), strict=True):
        u = [run(t, _side_by_side(turned, part)) for part in mine.split(images, 1)]
        rows.append(torch.cat(u, 1))
    return _head(spec, theta, torch.cat(rows))


def backward(
    theta: Tensor, chunk: int, loss_of: Callable[..., Tensor], x: Tensor | None = None, beside: Tensor | None = None
) -> Tensor:
    """Backward pass of Σ loss_of(slice, θ part) over chunks of that many nets, in the memory of one chunk; the sum.

    Gradients are cached: each chunk's loss goes back as far as θ (N, params), and what it leaves there goes on in one
    pass, through whatever made θ, once. x: what all chunks share and something trained has made; loss_of(slice, θ part,
    x part) then gets it, and its producer its gradient, in the same way. beside: a further loss, of what made θ, that
    goes back in the same pass; the sum has it not.
    """
    total, gradient = theta.new_zeros(()), torch.zeros_like(theta)
    shared = None if x is None else x.detach().requires_grad_(x.requires_grad)
    for start in range(0, len(theta), chunk):
        rows = slice(start, min(start + chunk, len(theta)))
        part = theta.detach()[rows].requires_grad_()
        loss = loss_of(rows, part) if shared is None else loss_of(rows, part, shared)
        loss.backward()
        total = total + loss.detach()
        if part.grad is not None:
            gradient[rows] = part.grad
    made = [(theta, gradient)]
    if x is not None and shared is not None and shared.grad is not None:
        made.append((x, shared.grad))
    if beside is not None:
        made.append((beside, torch.ones_like(beside)))
    torch.autograd.backward([t for t, _ in made], [g for _, g in made])
    return total


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
        for part in _turn(x).split(images):
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


class Net(nn.Module):
    """f of one person as an ordinary module: real scores (M,) of images x (M, C, H, W). What it is made with means
    nothing: its parameters are given at every call (`functional_call`) as `named` lays them out, folded."""

    def __init__(self, spec: NetSpec, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.spec, self.folds = spec, spec.norm not in RUN_TIME_NORMS
        self.convs, self.shifts = nn.ModuleDict(), nn.ParameterDict()
        for s in spec.stages:
            if isinstance(c := s.layer, Conv):
                conv = nn.Conv2d(c.cin, c.cout, c.k, c.stride, 0, 1, c.groups, self.folds, dtype=dtype)
                self.convs[str(s.index)] = conv
                if not self.folds:  # the bias comes behind the normalisation
                    self.shifts[str(s.index)] = nn.Parameter(torch.zeros(c.cout, dtype=dtype))
        self.head = nn.Linear(spec.head_size, 1, spec.head.kind == "dot", dtype=dtype)

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """θ (..., params) as the module's parameters."""
        out = {}
        for name, v in split(self.spec, theta).items():
            where, what = name.split(".")
            index = where.removeprefix("stage")
            if where == "head":
                out[name] = v.unsqueeze(-2) if what == "weight" else v
            elif what == "weight":
                out[f"convs.{index}.weight"] = v.movedim(-1, -3)
            else:
                out[f"convs.{index}.bias" if self.folds else f"shifts.{index}"] = v
        return out

    def forward(self, x: Tensor) -> Tensor:
        maps = dict[int, Tensor]()
        for s in self.spec.stages:
            if isinstance(c := s.layer, Conv):
                x = self.convs[str(s.index)](pad_same(x, s))
                if not self.folds:
                    x = normalise(self.spec, x) + self.shifts[str(s.index)][:, None, None]
                x = F.relu(x) if c.relu else x
            else:
                x = x + maps[c.of]
            maps[s.index] = x = shuffle(x, s.shuffle)
        u = x.sum((2, 3)) if self.spec.head.pool else x.permute(0, 2, 3, 1).flatten(1)
        if self.spec.head.kind == "dot":
            scores: Tensor = self.head(u)[:, 0]
            return scores
        return F.linear(F.normalize(u, dim=1), F.normalize(self.head.weight, dim=1))[:, 0]


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


def _turn(x: Tensor) -> Tensor:
    return x.flip(2, 3).contiguous(memory_format=torch.channels_last)


def _side_by_side(x: Tensor, columns: Tensor) -> Tensor:
    """Images (K, N·C, H, W): those of net i, columns[i] (N, K), in its channels; x (M, C, H, W) in channels-last."""
    return x.permute(0, 2, 3, 1)[columns.T].permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)


def _inputs(spec: NetSpec, first: int, activation: Activation | None, own: bool, theta: Tensor, x: Tensor) -> Tensor:
    """`inputs` of one tile, x turned."""
    u = _maps(spec, first, activation, own, theta, x)
    u = u.float() if u.dtype in (torch.bfloat16, torch.float16) else u
    channels = spec.stages[-1].out_shape[2]
    if spec.head.pool:
        u = u.sum((2, 3)).unflatten(1, (-1, channels)).transpose(0, 1)
    else:
        u = u.permute(0, 2, 3, 1).flip(1, 2).unflatten(3, (-1, channels)).permute(3, 0, 1, 2, 4).flatten(2)
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
