"""The quantised network: integers only, valid by construction.

Arithmetic (fixedpoint.py): a stage's accumulator is bias + Σ w·u with u = q_in + 128 behind a ReLU stage (0…255) and
u = x − 128 for the image; its byte is requantise(acc) − 128 with ReLU, and the signed value for a linear last stage.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage, cosdot_bits

ACC_BOUND = 2**30  # |bias| + 256·Σ|w| stays below it, channel by channel


@dataclass(frozen=True)
class QConv:
    """The integers of one Conv stage.

    weight: int8 (cout, k, k, cin/groups), −127…127; bias: int32 (cout,); multiplier: int32 (cout,) in [2^30, 2^31);
    shift: uint8 (cout,), the right shift 0…30; out_scale: float32, real value of one step of the output bytes;
    weight_scale: float32 (cout,). Scales are what the integers stand for; no kernel reads them.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.uint8]
    weight_scale: NDArray[np.float32]
    out_scale: np.float32


@dataclass(frozen=True)
class QHead:
    """The integers of the head. weight: int8 (n,) in HWC order of the last map; bias: int32 (0 for CosDot)."""

    weight: NDArray[np.int8]
    bias: int
    weight_scale: np.float32

    @property
    def norm2(self) -> int:
        """Σw²: the square that turns a cosine into CosDot's logit."""
        return int((self.weight.astype(np.int64) ** 2).sum())


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
        if self.head.weight.shape != (self.spec.head_size,) or self.head.weight.dtype != np.int8:
            raise UserError(where, "head weights", f"int8 ({self.spec.head_size},)", self.head.weight.shape)
        if (self.head.weight == -128).any():
            raise UserError(where, "head weight", "-127…127", -128)

    @property
    def convs(self) -> tuple[tuple[Stage, QConv], ...]:
        """The Conv stages with their integers."""
        return tuple((s, q) for s, q in zip(self.spec.stages, self.stages, strict=True) if q is not None)

    def sha256(self) -> str:
        """Hash of the architecture and every integer."""
        h = hashlib.sha256(self.spec.sha256.encode())
        for _, q in self.convs:
            for a in (q.weight, q.bias.astype("<i4"), q.multiplier.astype("<i4"), q.shift):
                h.update(np.ascontiguousarray(a).tobytes())
        h.update(self.head.weight.tobytes() + int(self.head.bias).to_bytes(4, "little", signed=True))
        return h.hexdigest()

    def cosine_threshold(self, cosine: float) -> int:
        """The integer logit from which CosDot's cosine is at least `cosine` (to the head's rounding of w).

        logit = sgn·⌊cos²·Σw²·2^K⌋, so the threshold is the same expression of the cosine.
        """
        t = int(cosine * cosine * self.head.norm2 * (1 << cosdot_bits(self.spec.head_size)))
        return t if cosine >= 0 else -t


def _check_stage(where: str, stage: Stage, q: QConv | None) -> None:
    c = stage.layer
    if isinstance(c, Add):
        if q is not None:
            raise UserError(where, "an Add has no integers of its own", "None", "a QConv")
        return
    assert isinstance(c, Conv)
    if q is None:
        raise UserError(where, "a Conv without integers", "a QConv", "None")
    per_channel = {"bias": (q.bias, np.int32), "multiplier": (q.multiplier, np.int32), "shift": (q.shift, np.uint8)}
    for name, (a, dtype) in per_channel.items():
        if a.shape != (c.cout,) or a.dtype != dtype:
            raise UserError(where, name, f"{np.dtype(dtype).name} ({c.cout},)", f"{a.dtype} {a.shape}")
    if q.weight.shape != (c.cout, c.k, c.k, c.cin_group) or q.weight.dtype != np.int8:
        raise UserError(where, "weight", f"int8 {(c.cout, c.k, c.k, c.cin_group)}", f"{q.weight.dtype} {q.weight.shape}")
    if (q.weight == -128).any():
        raise UserError(where, "weight", "-127…127", -128)
    if (q.multiplier < 2**30).any():
        raise UserError(where, "multiplier", "at least 2^30", int(q.multiplier.min()))
    if (q.shift > 30).any():
        raise UserError(where, "shift", "0…30", int(q.shift.max()))
    total = np.abs(q.bias.astype(np.int64)) + 256 * np.abs(q.weight.astype(np.int64)).reshape(c.cout, -1).sum(1)
    if (total >= ACC_BOUND).any():
        raise UserError(where, "|bias| + 256·Σ|w|", "below 2^30", int(total.max()))
