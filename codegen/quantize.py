"""From a generated θ to integers: weight scales, multipliers and biases that keep every bound of the arithmetic.

One channel of a Conv is Σ w·u·s_in + b in real numbers. With a step s_w for its weights its integers are
w_q = round(w/s_w), b_q = round(b/(s_in·s_w)), and its byte is their sum times s_in·s_w/s_out. All roundings here are to
nearest, halves to even. Every θ of numbers up to 1e30 has integers: see `channel_steps` for how.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import REAL_MAX, REAL_MIN, quantize_multiplier
from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Add, Conv, NetSpec
from hyper_mcu.codegen.qnet import ACC_BOUND, HEAD_BOUND, QConv, QHead, QNet

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

INPUT_SCALE = np.float32(1 / 128)  # real value of one step of a pixel
MIN_SCALE, MAX_SCALE = 1e-15, 1e15  # of activations, and
MAX_THETA = 1e30  # of |θ|: within them no weight scale leaves float32


def quantize(spec: NetSpec, theta: Float32, scales: Float32) -> QNet:
    """The integers of one net.

    theta: float32 (params,), laid out by `spec.tensors`, normalisation folded in; scales: float32 (stages,), real value
    of one step of each stage's bytes, one value for an Add and both its inputs. Raises UserError for run-time
    normalisation, for another shape or type, for NaN, infinity or more than 1e30 in θ, for scales outside 1e-15…1e15.
    """
    _check(spec, theta, scales)
    named = {t.name: theta[t.offset : t.offset + t.size].reshape(t.shape).astype(np.float64) for t in spec.tensors}
    stages: list[QConv | None] = []
    for s in spec.stages:
        if isinstance(s.layer, Conv):
            s_in = scales[s.index - 1] if s.index else INPUT_SCALE
            weight, bias = named[f"stage{s.index}.weight"], named[f"stage{s.index}.bias"]
            stages.append(quantize_conv(weight, bias, s_in, scales[s.index]))
        else:
            stages.append(None)
    head_bias = float(named["head.bias"][0]) if spec.head.kind == "dot" else 0.0
    return QNet(spec, tuple(stages), quantize_head(spec, named["head.weight"], head_bias, float(scales[-1])))


def quantize_conv(weight: Float64, bias: Float64, s_in: np.float32, s_out: np.float32) -> QConv:
    """The integers of one Conv: weight (cout, k, k, cin/groups), bias (cout,), real values of one step in and out."""
    steps, weight_scale = channel_steps(weight, bias, s_in, s_out)
    real = np.float64(s_in) * weight_scale.astype(np.float64) / np.float64(s_out)
    multiplier, shift = quantize_multiplier(real)
    return QConv(
        np.rint(weight / steps[:, None, None, None]).astype(np.int8),
        np.rint(bias / (np.float64(s_in) * steps)).astype(np.int32),
        multiplier,
        shift.astype(np.uint8),
        weight_scale,
        np.float32(s_out),
    )


def scales_of(spec: NetSpec, peaks: Float64) -> Float32:
    """Activation scales float32 (stages,) by which each stage's largest value, float64 (stages,), is its largest byte;
    one scale for an Add and both its inputs."""
    peaks = peaks.copy()
    for s in spec.stages * len(spec.stages):  # until Adds that share a branch agree
        if isinstance(s.layer, Add):
            members = [s.layer.of, s.index - 1, s.index]
            peaks[members] = peaks[members].max()
    largest = [127 if spec.linear_end and s is spec.stages[-1] else 255 for s in spec.stages]
    scales: Float32 = (peaks / largest).astype(np.float32)
    return scales


def channel_steps(weight: Float64, bias: Float64, s_in: np.float32, s_out: np.float32) -> tuple[Float64, Float32]:
    """For each channel the step that its weights are divided by, float64 (cout,), and its declared scale, float32.

    Both are max|w|/127, but for channels at the ends of the arithmetic's range:
    - weak or empty: raised until s_in·s_w/s_out ≥ 2^-31 (a right shift of at most 30);
    - a bias far above the weights: raised until |b_q| + 256·Σ|w_q| < 2^30, roundings included;
    - overflowing, s_in·s_w/s_out ≥ 1: the declared scale alone is lowered to just below that, the integers stay. This
      shrinks the whole channel by one factor, so its accumulator keeps its sign and its proportions; its bytes change
      only where the accumulator lies in 1…254 (−127…127 in a linear end), that is below two units of the largest
      weight, and saturate elsewhere as they did before. Clipping single weights instead would bend every sum.
    """
    size, taps = np.abs(weight).reshape(len(weight), -1), weight[0].size
    ratio = np.float64(s_out) / np.float64(s_in)
    room = ACC_BOUND - 128 * taps - 1  # roundings add at most ½ to |b_q| and to each |w_q|
    crowded = (np.abs(bias) / np.float64(s_in) + 256 * size.sum(1)) / room
    steps = np.maximum(np.maximum(size.max(1) / 127, REAL_MIN * ratio), crowded)
    top = np.float32(ratio)
    if np.float64(s_in) * np.float64(top) / np.float64(s_out) >= REAL_MAX:
        top = np.nextafter(top, np.float32(0))
    weight_scale = float32_above(np.minimum(steps, np.float64(top)))
    return np.where(steps > top, steps, weight_scale.astype(np.float64)), weight_scale


def float32_above(x: Float64) -> Float32:
    """The smallest float32 that is not below x: a scale rounded down would let a weight exceed 127."""
    near = x.astype(np.float32)
    return np.where(near < x, np.nextafter(near, np.float32(np.inf)), near)


def quantize_head(spec: NetSpec, weight: Float64, bias: float, s_u: float) -> QHead:
    """The head with one scale for all weights, max|w|/127, raised for a Dot whose int32 sum could overflow.

    A head of zeros stays zeros, with scale 1: CosDot then gives logit 0, or INT32_MIN where the map is all zero too;
    Dot gives its bias.
    """
    room = HEAD_BOUND - spec.head_peak * weight.size // 2 - 2  # as for a channel
    crowded = (abs(bias) / s_u + spec.head_peak * np.abs(weight).sum()) / room if spec.head.kind == "dot" else 0.0
    step = max(np.abs(weight).max() / 127, crowded) or 1.0
    scale = float32_above(np.array(step))
    q = np.rint(weight / np.float64(scale)).astype(np.int8)
    return QHead(q, round(bias / (s_u * float(scale))), np.float32(scale))


def _check(spec: NetSpec, theta: Float32, scales: Float32) -> None:
    where = f"netspec {spec.id}"
    if spec.norm in RUN_TIME_NORMS:
        folds = "one that folds into the weights (none, weight-standardised, train-statistics)"
        raise UserError(where, "normalisation at run time has no integers", folds, spec.norm)
    for name, a, n in (("theta", theta, spec.params), ("scales", scales, len(spec.stages))):
        if a.shape != (n,) or a.dtype != np.float32:
            raise UserError(where, name, f"float32 ({n},)", f"{a.dtype} {a.shape}")
    for t in spec.tensors:
        part = theta[t.offset : t.offset + t.size]
        bad = part[~(np.abs(part) <= MAX_THETA)]
        if bad.size:
            raise UserError(where, f"theta {t.name}", f"numbers up to {MAX_THETA} in size", str(bad[0]))
    for s in spec.stages:
        scale = scales[s.index]
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise UserError(where, f"scale of stage {s.index}", f"{MIN_SCALE:g}…{MAX_SCALE:g}", str(scale))
        if isinstance(s.layer, Add):
            three = scales[[s.layer.of, s.index - 1, s.index]]
            if (three != three[0]).any():
                got = ", ".join(map(str, three))
                raise UserError(where, f"scales of the Add at stage {s.index}", "equal ones", got)
