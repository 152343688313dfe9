"""The quantised network: integers only, valid by construction.

Arithmetic (fixedpoint.py): a stage's accumulator is bias + Σ w·u with u = q_in + 128 behind a ReLU stage (0…255) and
u = x − 128 for the image; its byte is requantise(acc) − 128 with ReLU, and the signed value for a linear last stage.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import INT32_MAX, INT32_MIN, MAX_SHIFT
from hyper_mcu.codegen.netspec import Add, NetSpec, Stage, cosdot_bits

ACC_BOUND = 2**30  # |bias| + 256·Σ|w| stays below it, channel by channel
HEAD_BOUND = 2**31  # |bias| + Σ|w|·(largest |u|) of the head stays below it


@dataclass(frozen=True)
class QConv:
    """The integers of one Conv stage.

    weight: int8 (cout, k, k, cin/groups), −127…127; bias: int32 (cout,); multiplier: int32 (cout,) in [2^30, 2^31);
    shift: uint8 (cout,), the right shift 0…30; out_scale: float32, real value of one step of the output bytes;
    weight_scale: float32 (cout,). Scales are what the integers stand for; no kernel reads them, other runtimes do.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]
    weight_scale: NDArray[np.float32]
    out_scale: np.float32

    @property
    def peak(self) -> NDArray[np.int64]:
        """|bias| + 256·Σ|w| of each channel, int64 (cout,): no accumulator reaches further."""
        weights = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1).sum(1)
        peak: NDArray[np.int64] = np.abs(self.bias.astype(np.int64)) + 256 * weights
        return peak


@dataclass(frozen=True)
class QHead:
    """The integers of the head. weight: int8 (n,), −127…127, in HWC order of the last map; bias: int32 (0 for CosDot);
    weight_scale: float32."""

    weight: NDArray[np.int8]
    bias: int
    weight_scale: np.float32

    @property
    def norm2(self) -> int:
        """Σw²: the square that turns a cosine into CosDot's logit."""
        return int((self.weight.astype(np.int64) ** 2).sum())

    def reach(self, peak: int) -> int:
        """|bias| + Σ|w|·peak: no sum over elements of at most ±peak reaches further."""
        return abs(self.bias) + peak * int(np.abs(self.weight.astype(np.int64)).sum())


@dataclass(frozen=True)
class QNet:
    """A NetSpec and its integers: one QConv for each Conv stage, None for an Add. Raises UserError where a number
    breaks the arithmetic's bounds."""

    spec: NetSpec
    stages: tuple[QConv | None, ...]
    head: QHead

    def __post_init__(self) -> None:
        where = f"qnet {self.spec.id}"
        if len(self.stages) != len(self.spec.stages):
            raise UserError(where, "stages", str(len(self.spec.stages)), len(self.stages))
        for stage, q in zip(self.spec.stages, self.stages, strict=True):
            _check_stage(f"{where} stage {stage.index}", stage, q)
        for stage in self.spec.stages:
            if isinstance(a := stage.layer, Add) and self.scales[a.of] != self.scales[stage.index]:
                at, got = f"{where} stage {stage.index}", self.scales[[a.of, stage.index]]
                raise UserError(at, "scales of an Add's inputs", "equal ones", " and ".join(map(str, got)))
        _check_head(f"{where} head", self.spec, self.head)

    @property
    def convs(self) -> tuple[tuple[Stage, QConv], ...]:
        """The Conv stages with their integers."""
        return tuple((s, q) for s, q in zip(self.spec.stages, self.stages, strict=True) if q is not None)

    @cached_property
    def scales(self) -> NDArray[np.float32]:
        """Real value of one step of each stage's bytes, float32 (stages,); an Add has that of its inputs."""
        out: list[np.float32] = []
        for q in self.stages:
            out.append(out[-1] if q is None else q.out_scale)
        return np.array(out, np.float32)

    def sha256(self) -> str:
        """Hash of the architecture and every integer (not of the scales)."""
        h = hashlib.sha256(self.spec.sha256.encode())
        for _, q in self.convs:
            for a in (q.weight, q.bias.astype("<i4"), q.multiplier.astype("<i4"), q.shift):
                h.update(np.ascontiguousarray(a).tobytes())
        h.update(self.head.weight.tobytes() + int(self.head.bias).to_bytes(4, "little", signed=True))
        return h.hexdigest()

    @cached_property
    def unit(self) -> Fraction:
        """What one unit of the logit stands for, exactly: of Dot a step of the real logit, of CosDot of the squared
        cosine (0 for a head of zeros, which has none)."""
        if self.spec.head.kind == "dot":
            return Fraction(float(self.scales[-1])) * Fraction(float(self.head.weight_scale))
        norm2 = self.head.norm2 << cosdot_bits(self.spec.head_size)
        return Fraction(1, norm2) if norm2 else Fraction(0)

    def score(self, logit: int) -> float:
        """The real score that a logit stands for: a cosine for CosDot, b + w·u for Dot."""
        if self.spec.head.kind == "dot":
            return float(logit * self.unit)
        return math.copysign(math.sqrt(abs(logit) * self.unit), logit)

    def threshold(self, score: float) -> int:
        """The smallest logit whose real score is at least `score`, exactly: b + w·u for Dot (raised to INT32_MIN + 1),
        for CosDot a cosine (−1…1; to the head's rounding of w).

        A logit of CosDot stands for the cosine sgn·√(|logit| / (Σw²·2^K)), so the threshold is sgn·cosine²·Σw²·2^K
        rounded up, exactly: 1 or more for a positive cosine, and no smaller true cosine reaches it. As CosDot rounds
        towards 0, a threshold of 0 or below lets pass what lies less than one unit beneath it. A head of zeros has no
        cosine: INT32_MAX, so that nobody matches. Raises UserError for a cosine that is none and for a real logit that
        no int32 reaches.
        """
        if self.spec.head.kind == "dot":
            exact = Fraction(score) / self.unit
            if exact > INT32_MAX:
                raise UserError(f"qnet {self.spec.id}", "threshold beyond every logit", f"at most {INT32_MAX}", score)
            return max(math.ceil(exact), INT32_MIN + 1)
        if not -1 <= score <= 1:
            raise UserError(f"qnet {self.spec.id}", "threshold", "a cosine of -1…1", score)
        if self.head.norm2 == 0:
            return INT32_MAX
        exact = Fraction(score) ** 2 / self.unit
        return math.ceil(exact) if score > 0 else -math.floor(exact)


def _check_stage(where: str, stage: Stage, q: QConv | None) -> None:
    c = stage.layer
    if isinstance(c, Add):
        if q is not None:
            raise UserError(where, "an Add has no integers of its own", "None", "a QConv")
        return
    if q is None:
        raise UserError(where, "a Conv without integers", "a QConv", "None")
    _check_array(where, "weight", q.weight, np.int8, (c.cout, c.k, c.k, c.cin_group))
    _check_array(where, "bias", q.bias, np.int32, (c.cout,))
    _check_array(where, "multiplier", q.multiplier, np.int32, (c.cout,))
    _check_array(where, "shift", q.shift, np.uint8, (c.cout,))
    _check_array(where, "weight scale", q.weight_scale, np.float32, (c.cout,))
    _check_scale(where, "weight scale", q.weight_scale)
    _check_scale(where, "output scale", np.asarray(q.out_scale))
    if (q.weight == -128).any():
        raise UserError(where, "weight", "-127…127", -128)
    if (q.multiplier < 2**30).any():
        raise UserError(where, "multiplier", "at least 2^30", int(q.multiplier.min()))
    if (q.shift > MAX_SHIFT).any():
        raise UserError(where, "shift", f"0…{MAX_SHIFT}", int(q.shift.max()))
    if (q.peak >= ACC_BOUND).any():
        raise UserError(where, "|bias| + 256·Σ|w|", "below 2^30", int(q.peak.max()))


def _check_head(where: str, spec: NetSpec, h: QHead) -> None:
    _check_array(where, "weight", h.weight, np.int8, (spec.head_size,))
    _check_scale(where, "weight scale", np.asarray(h.weight_scale))
    if (h.weight == -128).any():
        raise UserError(where, "weight", "-127…127", -128)
    if spec.head.kind == "cosdot" and h.bias != 0:
        raise UserError(where, "bias", "0 for CosDot", h.bias)
    if h.reach(spec.head_peak) >= HEAD_BOUND:
        raise UserError(where, "|bias| + Σ|w|·max u", "below 2^31", h.reach(spec.head_peak))


def _check_array(where: str, what: str, a: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if a.shape != shape or a.dtype != dtype:
        raise UserError(where, what, f"{np.dtype(dtype).name} {shape}", f"{a.dtype} {a.shape}")


def _check_scale(where: str, what: str, scale: NDArray[Any]) -> None:
    bad = scale[~(np.isfinite(scale) & (scale > 0))]
    if scale.dtype != np.float32 or bad.size:
        raise UserError(where, what, "a positive float32", str(bad[0]) if bad.size else scale.dtype)
