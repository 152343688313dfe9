"""Quantisation-aware training: f with fake-quantised weights and activations, the differentiable twin of the integers.

A `Quantiser` gives a net the numbers that `codegen.quantize` and the integer kernels will give it. Values stay real
(integer times scale), so the same forward pass of f serves for float and for quantised nets: θ goes through `theta`,
and `activation` takes the place of ReLU. Gradients go straight through the roundings; scales learn as in LSQ (Esser et
al., "Learned Step Size Quantization", ICLR 2020), by their logarithm. The input is (x − 128)/128, which is exact.

The kernels round twice: r = ⌊acc·m/2^31 + ½⌋, then ⌊r/2^s + ½⌋. With v = acc·m/2^(31+s), the output in steps, that is
⌊v + 2^−(s+1) + ½⌋ for every s ≥ 1 (r is whole), and ⌊v + ½⌋ for s = 0: one rounding, once 2^−(s+1) steps are added to
the bias. A linear end rounds halves away from zero, so there the same shift goes away from zero (`shifts`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import REAL_MAX, REAL_MIN
from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Add, Conv, NetSpec, Stage
from hyper_mcu.codegen.qnet import ACC_BOUND, HEAD_BOUND
from hyper_mcu.codegen.quantize import INPUT_SCALE, MAX_SCALE, MIN_SCALE
from hyper_mcu.hypertrain.net import split


class Quantiser(nn.Module):
    """Learned activation scales of one architecture, and fake quantisation by them.

    Trained: `log_scale`, one number a group of stages that share a scale (an Add and both its inputs). Move it by a
    step that does not depend on the gradient's size (Adam), without weight decay: its gradient sums over every element
    of a map, and 0 is a scale like any other. The passes of f in bfloat16 are too coarse for it.
    """

    group: Tensor

    def __init__(self, spec: NetSpec, scales: NDArray[np.float32]) -> None:
        """scales: what to start from, float32 (stages,), as `evaluate.calibrate` measures them. Raises UserError."""
        super().__init__()
        self.spec = spec
        group = groups(spec)
        _check(spec, group, scales)
        self.register_buffer("group", torch.tensor(group), persistent=False)
        first = [group.index(g) for g in range(max(group) + 1)]
        self.log_scale = nn.Parameter(torch.from_numpy(scales[first].astype(np.float64)).log().float())

    def steps(self) -> Tensor:
        """Real value of one step of each stage's bytes, (stages,), differentiable."""
        return self.log_scale.exp()[self.group]

    def scales(self) -> NDArray[np.float32]:
        """The same as plain numbers, float32 (stages,), for `codegen.quantize`."""
        found: NDArray[np.float32] = self.steps().detach().cpu().numpy()
        return found

    def theta(self, folded: Tensor) -> Tensor:
        """θ (N, params), folded, as its integers represent it; the gradient passes through unchanged.

        Each weight is its integer times its channel's step, and each bias likewise, plus what stands for the first of
        the two roundings. A channel that the integers shrink because it overflows is shrunk here.
        """
        with torch.no_grad():
            wide = folded.to(_wide(folded))
            named, scales, parts = split(self.spec, wide), self._with_input(wide.dtype), list[Tensor]()
            for s in self.spec.stages:
                if isinstance(s.layer, Conv):
                    w, b = named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
                    s_in, s_out = scales[s.index], scales[s.index + 1]
                    steps, unit, shift = _channels(w, b, s_in, s_out)
                    q, b_q = (w / steps[..., None, None, None]).round(), (b / (s_in * steps)).round()
                    half = _half_unit(shift) * s_out if s.layer.relu else 0.0
                    parts += [(q * unit[..., None, None, None]).flatten(1), b_q * s_in * unit + half]
            parts += _head(self.spec, named, scales[-1])
            quantised = torch.cat(parts, 1).to(folded.dtype)
        return _StraightThrough.apply(folded, quantised)

    def activation(self, stage: Stage, y: Tensor, shift: Tensor | None = None) -> Tensor:
        """What a stage stores of its sums y, of any shape: ReLU or the linear end's clamp, on the grid of its bytes.

        Called for every stage: a Conv's convolution by `theta`, an Add's sum. Output: u·scale with u whole, 0…255, or
        −128…127 of a linear end. shift: for a linear end the missing part of its two roundings, `shifts` laid out to be
        added to y; without it about one value in 2^s (s: the channel's right shift) is one step off.
        """
        linear = isinstance(stage.layer, Conv) and not stage.layer.relu
        low, high = (-128.0, 127.0) if linear else (0.0, 255.0)
        scale = self.steps()[stage.index]
        if linear and shift is not None:
            y = y + shift * y.detach().sign()
        return _Grid.apply(y, scale, low, high)

    @torch.no_grad()
    def shifts(self, folded: Tensor) -> Tensor:
        """For nets θ (N, params), folded, with a linear end: by how much its real sums are moved away from zero so that
        one rounding gives what the kernels' two give, (N, cout)."""
        last, wide = f"stage{len(self.spec.stages) - 1}", folded.to(_wide(folded))
        named, scales = split(self.spec, wide), self._with_input(wide.dtype)
        shift = _channels(named[f"{last}.weight"], named[f"{last}.bias"], scales[-2], scales[-1])[2]
        return (_half_unit(shift) * scales[-1]).to(folded.dtype)

    def _with_input(self, dtype: torch.dtype) -> Tensor:
        """Scales of the image and of every stage, (1 + stages,)."""
        steps = self.steps()
        return torch.cat([steps.new_full((1,), float(INPUT_SCALE)), steps]).to(dtype)


def groups(spec: NetSpec) -> list[int]:
    """For each stage the number of the scale that it uses: one for an Add and both its inputs."""
    group = list(range(len(spec.stages)))
    for s in spec.stages:
        if isinstance(s.layer, Add):
            members = {group[s.layer.of], group[s.index - 1], group[s.index]}
            group = [min(members) if g in members else g for g in group]
    order = {g: i for i, g in enumerate(dict.fromkeys(group))}
    return [order[g] for g in group]


class _StraightThrough(torch.autograd.Function):
    """The second argument with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, quantised: Tensor) -> Tensor:
        return quantised.view_as(quantised)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Grid(torch.autograd.Function):
    """y to the nearest of scale·low … scale·high, halves upwards.

    Gradients of LSQ: to y 1 within the range and 0 outside; to the scale ⌊v + ½⌋ − v within (v = y/scale), the bound
    outside. Kept for the backward pass: y, and the output, which the next convolution keeps anyway.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, scale: Tensor, low: float, high: float) -> Tensor:
        wide = scale.to(torch.promote_types(y.dtype, scale.dtype))
        out = (y / wide).add_(0.5).floor_().clamp_(low, high).mul_(wide).to(y.dtype)
        ctx.low, ctx.high = low, high
        ctx.save_for_backward(y, scale, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        y, scale, out = ctx.saved_tensors
        wide = scale.to(torch.promote_types(y.dtype, scale.dtype))
        inside = (y >= ctx.low * wide) & (y <= ctx.high * wide)
        passed = grad * inside
        moved = (grad * out).addcmul_(passed, y, value=-1).sum(dtype=wide.dtype)
        return passed, (moved / wide).to(scale.dtype), None, None


def _wide(x: Tensor) -> torch.dtype:
    """float64, in which the integers of θ are those of NumPy; float32 where a device has none."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def _channels(w: Tensor, b: Tensor, s_in: Tensor, s_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each channel of N nets, (N, cout) each: the step that weights are divided by, the real value of a weight's
    unit as the multiplier has it, and the right shift; `codegen.quantize.channel_steps` and
    `fixedpoint.quantize_multiplier` in torch. w: (N, cout, k, k, cin/groups), b: (N, cout)."""
    size = w.abs().flatten(2)
    ratio = s_out / s_in
    room = ACC_BOUND - 128 * size.shape[2] - 1
    crowded = (b.abs() / s_in + 256 * size.sum(2)) / room
    steps = torch.maximum(torch.maximum(size.amax(2) / 127, REAL_MIN * ratio), crowded)
    top = ratio.float()
    below = torch.nextafter(top, torch.zeros_like(top))
    limit = torch.where(s_in * top.to(w.dtype) / s_out >= REAL_MAX, below, top).to(w.dtype)
    scale = _float32_above(torch.minimum(steps, limit)).to(w.dtype)
    steps = torch.where(steps > limit, steps, scale)
    mantissa, exponent = torch.frexp(s_in * scale / s_out)
    m, exponent = (mantissa * 2.0**31 + 0.5).floor(), exponent.long()
    carry = m == 2.0**31
    m, shift = torch.where(carry, 2.0**30, m), -(exponent + carry)
    return steps, m / 2.0**31 / (1 << shift) * ratio, shift


def _half_unit(shift: Tensor) -> Tensor:
    """What the first rounding adds to the second, in steps: 2^−(s+1), nothing for s = 0 (no second rounding)."""
    return torch.where(shift > 0, 0.5 / (1 << shift), 0.0)


def _head(spec: NetSpec, named: dict[str, Tensor], s_u: Tensor) -> list[Tensor]:
    """The head's tensors as `codegen.quantize` represents them: one step for all weights of a net."""
    w = named["head.weight"]
    steps = w.abs().amax(1, keepdim=True) / 127
    if spec.head.kind == "dot":
        room = HEAD_BOUND - spec.head_peak * w.shape[1] // 2 - 2
        b = named["head.bias"]
        crowded = (b.abs() / s_u + spec.head_peak * w.abs().sum(1, keepdim=True)) / room
        steps = torch.maximum(steps, crowded)
    scale = _float32_above(torch.where(steps == 0, 1.0, steps)).to(w.dtype)
    weight = (w / scale).round() * scale
    return [weight, (b / (s_u * scale)).round() * s_u * scale] if spec.head.kind == "dot" else [weight]


def _float32_above(x: Tensor) -> Tensor:
    """The smallest float32 that is not below x."""
    near = x.float()
    return torch.where(near.to(x.dtype) < x, torch.nextafter(near, torch.full_like(near, torch.inf)), near)


def _check(spec: NetSpec, group: list[int], scales: NDArray[np.float32]) -> None:
    where = f"netspec {spec.id}"
    if spec.norm in RUN_TIME_NORMS:
        folds = "one that folds into the weights (none, weight-standardised, train-statistics)"
        raise UserError(where, "normalisation at run time has no integers", folds, spec.norm)
    if scales.shape != (len(spec.stages),) or scales.dtype != np.float32:
        raise UserError(where, "scales", f"float32 ({len(spec.stages)},)", f"{scales.dtype} {scales.shape}")
    for stage, scale in enumerate(scales):
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise UserError(where, f"scale of stage {stage}", f"{MIN_SCALE:g}…{MAX_SCALE:g}", str(scale))
        if scale != (one := scales[group.index(group[stage])]):
            raise UserError(where, "scales of an Add and its inputs", "equal ones", f"{one}, {scale}")
