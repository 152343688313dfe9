"""hm_weights: one person's integers as they lie in flash, and what is said of them.

32-bit integers come first and bytes behind them, so that nothing is padded: the same bytes are the C struct of model.h
on any little-endian target and a payload that can be copied to flash as it is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.stages import PIXEL_ZERO, describe

ABI = 1  # raise with any change of what two headers in one program share: firmware/core, declarations, data layout


@dataclass(frozen=True)
class Array:
    """A member of hm_weights: its C type, name and integers; size 0: a single integer."""

    ctype: str
    name: str
    values: NDArray[Any]
    size: int
    per_line: int
    note: str = ""
    heading: str = ""

    @property
    def text(self) -> str:
        """The C initialiser."""
        if not self.size:
            return c_int(int(self.values))
        words = [str(v) for v in self.values.ravel().tolist()]
        lines = [", ".join(words[i : i + self.per_line]) for i in range(0, len(words), self.per_line)]
        return "{" + ",\n     ".join(lines) + "}"


def weight_arrays(q: QNet) -> tuple[Array, ...]:
    """The members of hm_weights in order: 32-bit ones, then bytes, then what fills the last word.

    Weights are (cout, k, k, cin/groups) as in the QNet. The first bias has 128·Σw taken off, for pixels that enter as
    bytes: it stays within int32 because |b| + 256·Σ|w| < 2^30.
    """
    words, narrow = list[Array](), list[Array]()
    for s, c in q.convs:
        i, taps = s.index, c.weight[0].size
        bias = c.bias.astype(np.int64)
        if i == 0:
            bias = bias - PIXEL_ZERO * c.weight.reshape(len(bias), -1).sum(axis=1, dtype=np.int64)
        words.append(Array("int32_t", f"bias{i}", bias, bias.size, 8, heading=f"Stage {i}: {describe(s)}."))
        words.append(Array("int32_t", f"multiplier{i}", c.multiplier, c.multiplier.size, 8))
        narrow.append(Array("int8_t", f"weight{i}", c.weight, c.weight.size, _per_line(taps), heading=f"Stage {i}."))
        narrow.append(Array("uint8_t", f"shift{i}", c.shift, c.shift.size, 24))
    if q.spec.head.kind == "dot":
        words.append(Array("int32_t", "head_bias", np.array(q.head.bias, np.int64), 0, 1, heading="The head."))
    narrow.append(Array("int8_t", "head", q.head.weight, q.head.weight.size, 16, heading="The head."))
    if fill := -sum(a.size for a in narrow) % 4:
        narrow.append(Array("uint8_t", "fill", np.zeros(fill, np.uint8), fill, 4))
    return (replace(words[0], note="128 times the sum of the weights taken off"), *words[1:], *narrow)


def payload(q: QNet) -> bytes:
    """hm_weights as it lies in the flash of a little-endian target."""
    types = {"int32_t": "<i4", "int8_t": "<i1", "uint8_t": "<u1"}
    return b"".join(a.values.astype(types[a.ctype]).tobytes() for a in weight_arrays(q))


def check_sum(person: Person) -> int:
    """CRC-32 over ABI, architecture, threshold, known answer and weights, as hm_begin computes it."""
    known = person.known
    fields = (ABI, architecture(person.qnet.spec), person.threshold, known.seed, known.logit)
    return zlib.crc32(b"".join((v & 0xFFFFFFFF).to_bytes(4, "little") for v in fields) + payload(person.qnet))


def architecture(spec: NetSpec) -> int:
    """HM_ARCHITECTURE: the first 32 bits of the architecture's SHA-256."""
    return int(spec.sha256[:8], 16)


def weights_bytes(spec: NetSpec) -> int:
    """Bytes of hm_weights: weights and 9 a channel, the head, filled to whole words."""
    convs = [s.layer for s in spec.stages if isinstance(s.layer, Conv)]
    n = sum(c.cout * (c.taps + 9) for c in convs) + spec.head_size + (4 if spec.head.kind == "dot" else 0)
    return -(-n // 4) * 4


def person_bytes(person: Person) -> int:
    """Flash of one person on a 32-bit target: hm_weights, hm_person (32 bytes) and the name."""
    return weights_bytes(person.qnet.spec) + 32 + len(person.name) + 1


def session_bytes(spec: NetSpec) -> int:
    """HM_SESSION_BYTES: RAM of one verification, stack not counted."""
    return plan(spec).total + 16


def c_int(value: int) -> str:
    """An int32 as C spells it (the smallest has no literal).

    >>> c_int(-5), c_int(-2**31)
    ('-5', 'INT32_MIN')
    """
    return "INT32_MIN" if value == -(2**31) else str(value)


def _per_line(taps: int) -> int:
    return next((n for n in range(18, 7, -1) if taps % n == 0 or n % taps == 0), 16)
