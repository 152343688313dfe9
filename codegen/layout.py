"""hm_weights: one person's integers as they lie in flash, and what is said of them.

32-bit integers come first and bytes behind them, so that nothing is padded: the same bytes are the C struct of model.h
on any little-endian target and a payload that can be copied to flash as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels.kernel import describe
from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.codegen.oracle import shuffle_order
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.program import PIXEL_ZERO, Program, folds, reordered
from hyper_mcu.codegen.qnet import QConv, QHead, QNet

ABI = 3  # raise with any change of what two headers in one program share: firmware/core, declarations, data layout


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


def pack(program: Program) -> Program:
    """The pass that lays out hm_weights: 32-bit integers, then bytes, then what fills the last word.

    Weights are (cout, k, k, cin/groups), in the order in which the steps compute their channels.
    """
    words, narrow, head = list[Array](), list[Array](), program.head
    for step in program.steps:
        if (c := step.q) is None:
            continue
        i, taps, title = step.stage.index, c.weight[0].size, describe(step.stage)
        words.append(Array("int32_t", f"bias{i}", c.bias, c.bias.size, 8, heading=f"Stage {i}: {title}."))
        words.append(Array("int32_t", f"multiplier{i}", c.multiplier, c.multiplier.size, 8))
        narrow.append(Array("int8_t", f"weight{i}", c.weight, c.weight.size, _per_line(taps), heading=f"Stage {i}."))
        narrow.append(Array("uint8_t", f"shift{i}", c.shift, c.shift.size, 24))
    if program.spec.head.kind == "dot":
        words.append(Array("int32_t", "head_bias", np.array(head.bias, np.int64), 0, 1, heading="The head."))
    narrow.append(Array("int8_t", "head", head.weight, head.weight.size, 16, heading="The head."))
    if fill := -sum(a.size for a in narrow) % 4:
        narrow.append(Array("uint8_t", "fill", np.zeros(fill, np.uint8), fill, 4))
    first = replace(words[0], note="128 times the sum of the weights taken off")
    return replace(program, arrays=(first, *words[1:], *narrow))


def unpacked(
    spec: NetSpec,
    arrays: Mapping[str, NDArray[np.int64]],
    weight_scale: NDArray[np.float32],
    out_scale: Sequence[float],
    head_scale: float,
) -> QNet:
    """The QNet of arrays as `pack` names and orders them, flat. weight_scale: of all channels in the QNet's order;
    out_scale: of each Conv. Raises KeyError, ValueError, UserError where they are not those of the net."""
    stages: list[QConv | None] = []
    scales = iter(out_scale)
    for s in spec.stages:
        i, c = s.index, s.layer
        if not isinstance(c, Conv):
            stages.append(None)
            continue
        weight = arrays[f"weight{i}"].reshape(c.cout, c.k, c.k, c.cin_group)
        bias = arrays[f"bias{i}"] + (PIXEL_ZERO * weight.reshape(c.cout, -1).sum(axis=1) if i == 0 else 0)
        own, weight_scale = weight_scale[: c.cout], weight_scale[c.cout :]
        q = QConv(
            weight.astype(np.int8),
            bias.astype(np.int32),
            arrays[f"multiplier{i}"].astype(np.int32),
            arrays[f"shift{i}"].astype(np.uint8),
            own,
            np.float32(next(scales)),
        )
        if folds(s):
            q = replace(reordered(q, np.argsort(shuffle_order(c.cout, s.shuffle))), weight_scale=own)
        stages.append(q)
    of_dot = int(arrays["head_bias"][0]) if spec.head.kind == "dot" else 0
    return QNet(spec, tuple(stages), QHead(arrays["head"].astype(np.int8), of_dot, np.float32(head_scale)))


def payload(program: Program) -> bytes:
    """hm_weights as it lies in the flash of a little-endian target."""
    types = {"int32_t": "<i4", "int8_t": "<i1", "uint8_t": "<u1"}
    return b"".join(a.values.astype(types[a.ctype]).tobytes() for a in program.arrays)


def members(spec: NetSpec, data: bytes) -> dict[str, NDArray[np.int64]]:
    """The members of hm_weights by name, flat, from what `payload` gives; raises UserError for another length."""
    if len(data) != weights_bytes(spec):
        raise UserError(f"netspec {spec.id}", "bytes of weights", str(weights_bytes(spec)), len(data))
    convs = [(s.index, s.layer) for s in spec.stages if isinstance(s.layer, Conv)]
    words = [(f"{name}{i}", "<i4", c.cout) for i, c in convs for name in ("bias", "multiplier")]
    words += [("head_bias", "<i4", 1)] if spec.head.kind == "dot" else []
    narrow = [x for i, c in convs for x in ((f"weight{i}", "<i1", c.cout * c.taps), (f"shift{i}", "<u1", c.cout))]
    arrays, at = dict[str, NDArray[np.int64]](), 0
    for name, dtype, n in (*words, *narrow, ("head", "<i1", spec.head_size)):
        arrays[name] = np.frombuffer(data, dtype, n, at).astype(np.int64)
        at += n * np.dtype(dtype).itemsize
    return arrays


def check_sum(person: Person, program: Program) -> int:
    """CRC-32 over ABI, architecture, threshold, known answer and weights, as hm_begin computes it."""
    known = person.known
    fields = (ABI, architecture(person.qnet.spec), person.threshold, known.seed, known.logit)
    return zlib.crc32(b"".join((v & 0xFFFFFFFF).to_bytes(4, "little") for v in fields) + payload(program))


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
    norm = 8 if spec.head.kind == "cosdot" and not spec.head.pool else 0
    return 8 + norm + plan(spec).total + 4 + _sums_bytes(spec) + 2 * row_counts(spec)


def row_counts(spec: NetSpec) -> int:
    """Members of hm_session's rows: one for the image, one a stage, and what fills the last 8 bytes."""
    used = 4 + _sums_bytes(spec) + 2 * (1 + len(spec.stages))
    return 1 + len(spec.stages) + -used % 8 // 2


def _sums_bytes(spec: NetSpec) -> int:
    return 4 * (spec.head_size if spec.head.pool else 1)


def c_int(value: int) -> str:
    """An int32 as C spells it (the smallest has no literal).

    >>> c_int(-5), c_int(-2**31)
    ('-5', 'INT32_MIN')
    """
    return "INT32_MIN" if value == -(2**31) else str(value)


def _per_line(taps: int) -> int:
    return next((n for n in range(18, 7, -1) if taps % n == 0 or n % taps == 0), 16)
