"""A trunk of another architecture made of a trained one: what the stages of the latter compute is fitted stage by stage
by least squares, so that the new trunk begins close to it instead of from nothing.

For architectures that differ in groups, or in how many channels a convolution has: both have as many convolutions, of
maps of the same sizes.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage
from hyper_mcu.hypertrain.distill import Trunk
from hyper_mcu.hypertrain.net import EPS, pad_same, shuffle, split

RIDGE = 1e-3  # of the mean variance of the inputs
CHOICES = 20_000  # sets of channels that are tried, at most


@torch.no_grad()
def mould(old: Trunk, new: Trunk, x: Tensor) -> list[float]:
    """Fills `new` so that its convolutions compute on images x (M, 3, H, W) what those of `old` do, as nearly as they
    can; the share of the variance that each one explains.

    A convolution with fewer outputs keeps those by which the next one is explained best. Biases and the linear head are
    those of `old`, the channel statistics what x shows. Raises UserError for architectures that do not correspond.
    """
    _check(old.spec, new.spec)
    wanted, named = _before_relu(old, x), split(new.spec, new.theta)
    goals, maps, explained = _goals(old, new.spec, wanted), dict[int, Tensor](), list[float]()
    for s in new.spec.stages:
        if isinstance(c := s.layer, Add):
            x = x + maps[c.of]
        else:
            goal, bias = goals[len(explained)]
            weight, b = named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
            explained.append(_fit(weight, s, x, goal))
            b.copy_(bias)
            y = _convolved(x, s, weight)
            for running, seen in zip(new.stats.of(s.index), (y.mean((0, 2, 3)), y.var((0, 2, 3))), strict=True):
                running.copy_(seen)
            x = _normalised(new, s, y, b)
            x = F.relu(x) if c.relu else x
        maps[s.index] = x = shuffle(x, s.shuffle)
    new.head.copy_(old.head)
    return explained


def _convs(spec: NetSpec) -> list[Stage]:
    return [s for s in spec.stages if isinstance(s.layer, Conv)]


def _conv(s: Stage) -> Conv:
    """The layer of a stage that is a convolution."""
    if not isinstance(s.layer, Conv):
        raise TypeError(f"stage {s.index} is no convolution")
    return s.layer


def _check(old: NetSpec, new: NetSpec) -> None:
    """Raises UserError where the convolutions of two architectures do not correspond, or no statistics are shared."""
    if {old.norm, new.norm} != {"train-statistics"}:
        raise UserError("start.mould", "normalisation", "train-statistics of both", f"{old.norm} and {new.norm}")
    pairs = list(zip(_convs(old), _convs(new), strict=False))
    sizes = [(a.in_shape[:2], a.out_shape[:2]) == (b.in_shape[:2], b.out_shape[:2]) for a, b in pairs]
    if len(_convs(old)) != len(_convs(new)) or not all(sizes):
        raise UserError("start.mould", "convolutions", f"as many as {old.id} has, of maps as large", new.id)
    (last, end), inner = pairs[-1], pairs[:-1]
    narrower = [i for i, (a, b) in enumerate(inner) if b.out_shape[2] < a.out_shape[2]]
    wider = any(b.out_shape[2] > a.out_shape[2] for a, b in pairs) or last.out_shape != end.out_shape
    followed = all(pairs[i + 1][1].index == pairs[i][1].index + 1 and pairs[i][1].shuffle == 1 for i in narrower)
    if wider or not followed or any(i + 1 in narrower for i in narrower):
        want = f"the channels of {old.id}, or fewer where a convolution of as many as there follows"
        raise UserError("start.mould", "channels", want, new.id)


def _goals(old: Trunk, new: NetSpec, wanted: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """What every convolution of `new` is to compute, (M, C, H, W), and its biases (C,): those of `old`, of the channels
    that are left."""
    named, convs, old_convs = split(old.spec, old.theta), _convs(new), _convs(old.spec)
    goals = [(y, named[f"stage{s.index}.bias"]) for y, s in zip(wanted, old_convs, strict=True)]
    for i, (s, after) in enumerate(itertools.pairwise(convs)):
        if _conv(s).cout < _conv(old_convs[i]).cout:
            kept = _kept(s, after, wanted[i], wanted[i + 1], old_convs[i + 1])
            goals[i] = wanted[i][:, kept], goals[i][1][kept]
    return goals


def _fit(weight: Tensor, s: Stage, x: Tensor, goal: Tensor) -> float:
    """Fills the weight (cout, k, k, cin/groups) of a stage so that its convolution of maps x is the goal as nearly as
    it can be, but for a constant of each channel; the share of the variance that it explains."""
    c, shares = _conv(s), list[Tensor]()
    for g in range(c.groups):
        mine = slice(g * c.cout_group, (g + 1) * c.cout_group)
        w, share = _fitted(*_moments(_patches(x, s, g), _pixels(goal[:, mine])))
        weight[mine] = w.unflatten(1, (c.cin_group, c.k, c.k)).permute(0, 2, 3, 1)
        shares.append(share)
    return float(torch.cat(shares).mean())


def _convolved(x: Tensor, s: Stage, weight: Tensor) -> Tensor:
    """What a stage's convolution gives, before normalisation; weight (cout, k, k, cin/groups)."""
    c = _conv(s)
    return F.conv2d(pad_same(x, s), weight.permute(0, 3, 1, 2), None, c.stride, 0, 1, c.groups)


def _normalised(trunk: Trunk, s: Stage, y: Tensor, bias: Tensor) -> Tensor:
    """What a stage's convolution gave, by the trunk's statistics, and with its bias."""
    return F.batch_norm(y, *trunk.stats.of(s.index), None, bias, False, 0.0, EPS)


def _before_relu(trunk: Trunk, x: Tensor) -> list[Tensor]:
    """(M, C, H, W) of every convolution, normalised and with its bias."""
    named, maps, found = split(trunk.spec, trunk.theta), dict[int, Tensor](), list[Tensor]()
    for s in trunk.spec.stages:
        if isinstance(c := s.layer, Add):
            x = x + maps[c.of]
        else:
            y = _convolved(x, s, named[f"stage{s.index}.weight"])
            x = _normalised(trunk, s, y, named[f"stage{s.index}.bias"])
            found.append(x)
            x = F.relu(x) if c.relu else x
        maps[s.index] = x = shuffle(x, s.shuffle)
    return found


def _patches(x: Tensor, s: Stage, group: int) -> Tensor:
    """What a group of a stage's convolution reads: (M·H·W, cin/groups·k·k), the channels outermost."""
    c = _conv(s)
    mine = pad_same(x, s)[:, group * c.cin_group : (group + 1) * c.cin_group]
    return F.unfold(mine, c.k, stride=c.stride).transpose(1, 2).flatten(0, 1)


def _pixels(x: Tensor) -> Tensor:
    """(M·H·W, C) of maps (M, C, H, W)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _moments(inputs: Tensor, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances of inputs (n, i) among each other (i, i) and with the goal (n, o): (i, o); variances of that (o,)."""
    a, b = inputs - inputs.mean(0), goal - goal.mean(0)
    return a.T @ a / len(a), a.T @ b / len(a), b.square().mean(0)


def _fitted(inner: Tensor, outer: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (o, i) of the least squares with these moments, and the share of each variance explained (o,)."""
    ridge = RIDGE * inner.diagonal().mean() * torch.eye(len(inner), device=inner.device)
    w = torch.linalg.solve(inner + ridge, outer)
    return w.T, (w * outer).sum(0) / variance.clamp_min(1e-9)


def _kept(stage: Stage, after: Stage, here: Tensor, there: Tensor, old_after: Stage) -> Tensor:
    """Of the maps `here` (M, C, H, W), before ReLU, the channels for the fewer outputs of `stage`: those by which each
    group of the convolution behind it, `after`, best explains its part of the maps `there`.

    A group chooses among what `old_after`, the convolution there before, reads for the same outputs. Raises UserError
    where the sets to choose from are too many to try.
    """
    c, before = _conv(after), _conv(old_after)
    x, chosen, taps = F.relu(here) if _conv(stage).relu else here, list[Tensor](), c.k * c.k
    for g in range(c.groups):
        outputs = range(g * c.cout_group, (g + 1) * c.cout_group)
        read = sorted({o // before.cout_group for o in outputs})
        channels = torch.cat([torch.arange(r * before.cin_group, (r + 1) * before.cin_group) for r in read])
        if (choices := math.comb(len(channels), c.cin_group)) > CHOICES:
            raise UserError("start.mould", "sets of channels to choose from", f"at most {CHOICES:,}", choices)
        padded = F.unfold(pad_same(x[:, channels], old_after), c.k, stride=c.stride).transpose(1, 2).flatten(0, 1)
        inner, outer, variance = _moments(padded, _pixels(there[:, outputs.start : outputs.stop]))

        def share(subset: tuple[int, ...], inner: Tensor = inner, outer: Tensor = outer, v: Tensor = variance) -> float:
            rows = torch.cat([torch.arange(i * taps, (i + 1) * taps) for i in subset])
            return float(_fitted(inner[rows][:, rows], outer[rows], v)[1].mean())

        best = max(itertools.combinations(range(len(channels)), c.cin_group), key=share)
        chosen.append(channels[list(best)])
    return torch.cat(chosen)
