"""From a Person to model.h: a single header in the stb manner, data and engine.

Plain values are built here (arrays, kernels, steps, texts) and rendered once by templates/model.h.j2. What is the same for
every net comes from firmware/core/*.h. Templates are written with the prefix hm; another prefix renames every identifier
in them that firmware/core does not own. The result depends on the Person and the prefix alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec, Stage, cosdot_bits
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.plan import Plan, plan
from hyper_mcu.codegen.qnet import QNet

if TYPE_CHECKING:
    from jinja2 import Environment

ABI = 1  # raise with any change of what two headers in one program share: firmware/core, declarations, data layout
FIRST_LINE = "/* hyper-mcu model.h, ABI {abi}. SHA-256 of what follows this line: {sha256} */\n"
TEMPLATES = Path(__file__).parent / "templates"
CORE = Path(__file__).parent.parent / "firmware" / "core"
CORE_TYPES = ("hm_types.h",)
CORE_CODE = ("hm_memory.h", "hm_requantise.h", "hm_conv.h", "hm_cosdot.h", "hm_check.h", "hm_tap.h")
SHARED = {"hm", "HM_ABI", "HM_TAP"}  # not renamed by a prefix, beside what firmware/core names
PIXEL_ZERO = 128  # the byte of a pixel of value 0


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


@dataclass(frozen=True)
class Kernel:
    """A C function that computes one row of a stage's map: which template it is and the constants in it."""

    template: str
    k: int
    stride: int
    left: int
    in_w: int
    in_c: int
    out_w: int
    out_c: int
    groups: int
    shuffle: int
    relu: bool
    padding: int
    name: str = ""
    title: str = ""

    @property
    def in_g(self) -> int:
        """Input channels a group."""
        return self.in_c // self.groups

    @property
    def out_g(self) -> int:
        """Output channels a group."""
        return self.out_c // self.groups

    @property
    def taps(self) -> int:
        """Products a sum."""
        return self.k * self.k * self.in_g


@dataclass(frozen=True)
class Step:
    """One stage as the engine runs it: its kernel, the maps it goes between, the row at the top of its window."""

    index: int
    kernel: str
    text: str
    add: bool
    of: int
    k: int
    stride: int
    top: int
    in_h: int
    in_row_bytes: int
    out_h: int
    row_bytes: int
    offset: int
    shape: str
    flip: int

    def top_row(self, y: str) -> str:
        """C expression of the first input row of output row `y`."""
        return (y if self.stride == 1 else f"{y} * {self.stride}") + (f" - {self.top}" if self.top else "")


def emit(person: Person, prefix: str = "hm") -> str:
    """The text of model.h (ASCII) for one person; `prefix` names another architecture's symbols in the same program.

    Raises UserError for a prefix that is no lower-case C identifier.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", prefix):
        raise UserError("prefix", "cannot begin a C name", "lower-case letters and digits, a letter first", repr(prefix))
    spec, q = person.qnet.spec, person.qnet
    arrays, crc = weight_arrays(q), check_sum(person)
    size = weights_bytes(spec)
    body = _environment(prefix).get_template("model.h.j2").render(
        **_engine_values(spec),
        person=person,
        prefix=prefix,
        banner={"tool": comment(person.provenance.tool), "lines": _banner(person)},
        abi=ABI,
        arrays=arrays,
        weights_bytes=size,
        person_bytes=person_bytes(person),
        threshold=c_int(person.threshold),
        known_seed=f"UINT32_C({person.known.seed})",
        known_logit=c_int(person.known.logit),
        crc=f"0x{crc:08X}U",
        metadata=metadata(person, prefix),
    )  # fmt: skip
    digest = hashlib.sha256(body.encode("ascii")).hexdigest()
    return FIRST_LINE.format(abi=ABI, sha256=digest) + body


def weight_arrays(q: QNet) -> list[Array]:
    """The members of hm_weights in order: 32-bit ones, then bytes, then what fills the last word.

    Weights are (cout, k, k, cin/groups) as in the QNet. The first bias has 128·Σw taken off, for pixels that enter as
    bytes: it stays within int32 because |b| + 256·Σ|w| < 2^30.
    """
    words: list[Array] = []
    narrow: list[Array] = []
    for s, c in q.convs:
        i, taps = s.index, c.weight[0].size
        bias = c.bias.astype(np.int64)
        if i == 0:
            bias = bias - PIXEL_ZERO * c.weight.reshape(len(bias), -1).sum(axis=1, dtype=np.int64)
        words.append(Array("int32_t", f"bias{i}", bias, bias.size, 8, heading=f"Stage {i}: {describe(s)}."))
        words.append(Array("int32_t", f"multiplier{i}", c.multiplier, c.multiplier.size, 8))
        narrow.append(Array("int8_t", f"weight{i}", c.weight, c.weight.size, _per_line(taps), heading=f"Stage {i}."))
        narrow.append(Array("uint8_t", f"shift{i}", c.shift, c.shift.size, 24))
    head = Array("int8_t", "head", q.head.weight, q.head.weight.size, 16, heading="The head.")
    if q.spec.head.kind == "dot":
        words.append(Array("int32_t", "head_bias", np.array(q.head.bias, np.int64), 0, 1, heading="The head."))
    note = "128 times the sum of the weights taken off"
    narrow.append(head)
    if fill := -sum(a.size for a in narrow) % 4:
        narrow.append(Array("uint8_t", "fill", np.zeros(fill, np.uint8), fill, 4))
    return [replace(words[0], note=note), *words[1:], *narrow]


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


def describe(s: Stage) -> str:
    """A stage in words."""
    (h, w, cin), (oh, ow, cout) = s.in_shape, s.out_shape
    tail = f", shuffled in {s.shuffle} groups" if s.shuffle > 1 else ""
    if isinstance(c := s.layer, Add):
        return f"sum of stages {c.of} and {s.index - 1}, {oh}x{ow}x{cout}{tail}"
    groups = f" in {c.groups} groups of {c.cin_group} to {c.cout_group}" if c.groups > 1 else ""
    stride = f", stride {c.stride}" if c.stride > 1 else ""
    linear = "" if c.relu else ", linear"
    return f"{c.k}x{c.k}{stride}, {h}x{w}x{cin} to {oh}x{ow}x{cout}{groups}{linear}{tail}"


def kernels(spec: NetSpec) -> dict[Kernel, list[int]]:
    """The C functions that the stages need, each with the stages that it serves: equal stages share one."""
    found: dict[Kernel, list[int]] = {}
    for s in spec.stages:
        found.setdefault(_kernel(s), []).append(s.index)
    return found


def _kernel(s: Stage) -> Kernel:
    (_, in_w, in_c), (_, out_w, out_c) = s.in_shape, s.out_shape
    padding = PIXEL_ZERO if s.index == 0 else 0
    if isinstance(c := s.layer, Add):
        return Kernel("add.h.j2", 1, 1, 0, in_w, in_c, out_w, out_c, 1, s.shuffle, True, 0)
    if c.k == 1:
        return Kernel("pointwise.h.j2", 1, c.stride, 0, in_w, in_c, out_w, out_c, c.groups, s.shuffle, c.relu, 0)
    template = "group.h.j2" if c.groups > 1 else "dense.h.j2"
    left = s.pad_before[1]
    return Kernel(template, c.k, c.stride, left, in_w, in_c, out_w, out_c, c.groups, s.shuffle, c.relu, padding)


def _steps(spec: NetSpec, where: Plan, names: dict[int, str]) -> list[Step]:
    steps = []
    for s in spec.stages:
        c, (in_h, in_w, in_c), (out_h, out_w, out_c) = s.layer, s.in_shape, s.out_shape
        k, stride = (c.k, c.stride) if isinstance(c, Conv) else (1, 1)
        flip = 0 if isinstance(c, Conv) and not c.relu else 128
        steps.append(
            Step(s.index, names[s.index], describe(s), isinstance(c, Add), c.of if isinstance(c, Add) else -1, k, stride,
                 s.pad_before[0], in_h, in_w * in_c, out_h, out_w * out_c, where.maps[s.index].offset,
                 f"{out_h}x{out_w}x{out_c}", flip)
        )  # fmt: skip
    return steps


@cache
def _engine_values(spec: NetSpec) -> dict[str, Any]:
    """What the templates need to know of an architecture."""
    served = kernels(spec)
    named = {k: replace(k, name=f"stage{i[0]}_row", title=_title(spec, i)) for k, i in served.items()}
    where = plan(spec)
    steps = _steps(spec, where, {i: named[k].name for k, stages in served.items() for i in stages})
    h, w, _ = spec.map_shape
    size, kind = spec.head_size, spec.head.kind
    formula = "sign(num) * floor(num^2 * 2^%d / norm)" % cosdot_bits(size) if kind == "cosdot" else "bias + the sum of w * u"
    over = f"{size} channels, each summed over {h}x{w} pixels" if spec.head.pool else f"{size} bytes of the last map"
    return {
        "spec": spec,
        "id": comment(spec.id),
        "plan": where,
        "architecture": f"0x{architecture(spec):08X}U",
        "kernels": list(named.values()),
        "stages": steps,
        "first": steps[0],
        "head": {
            "title": f"{formula}, over {over}",
            "cosdot": kind == "cosdot",
            "bits": cosdot_bits(size),
            "size": size,
            "pixels": h * w,
        },
    }


def _title(spec: NetSpec, stages: Sequence[int]) -> str:
    first = spec.stages[stages[0]]
    if len(stages) == 1:
        return f"Stage {stages[0]}: {describe(first)}"
    return f"Stages {', '.join(map(str, stages[:-1]))} and {stages[-1]}: {describe(first)}"


def _banner(p: Person) -> list[str]:
    spec, made = p.qnet.spec, p.provenance
    what = "cosine" if spec.head.kind == "cosdot" else "score"
    rates = f"false matches {p.fmr:.4%}, false non-matches {p.fnmr:.4%} on {comment(p.rates_on)}"
    rows = [
        ("network", f"{comment(spec.id)}, architecture {spec.sha256[:16]}: {spec.params} parameters, {spec.macs} multiply-adds"),
        ("match", f"logit >= {p.threshold} ({what} {p.score:.4f}):"),
        ("", rates),
        ("flash, RAM", f"{person_bytes(p)} bytes for this person; {session_bytes(spec)} bytes for hm_session"),
        ("backbone", comment(made.backbone)),
        ("", comment(made.backbone_sha256)),
        ("generator", comment(made.generator)),
        ("", comment(made.generator_sha256)),
        ("integers", p.qnet.sha256()),
    ]  # fmt: skip
    return [f"{label:<12}{text}".rstrip() for label, text in rows]


def metadata(p: Person, prefix: str) -> str:
    """The JSON at the end of model.h: what the C does not say. `parse_header` reads it with the arrays before it."""
    q, spec = p.qnet, json.loads(p.qnet.spec.to_json())
    scales = base64.b64encode(b"".join(c.weight_scale.astype("<f4").tobytes() for _, c in q.convs)).decode()
    values = {
        "abi": ABI,
        "prefix": prefix,
        "name": p.name,
        "threshold": p.threshold,
        "score": float(p.score),
        "fmr": float(p.fmr),
        "fnmr": float(p.fnmr),
        "rates_on": p.rates_on,
        "known": asdict(p.known),
        "provenance": asdict(p.provenance),
        "qnet_sha256": q.sha256(),
        "netspec": spec,
        "out_scale": [float(c.out_scale) for _, c in q.convs],
        "head_scale": float(q.head.weight_scale),
        "weight_scale": [scales[i : i + 96] for i in range(0, len(scales), 96)],
    }
    text = ",\n".join(f"{json.dumps(key)}: {_json(key, value)}" for key, value in values.items())
    return "{" + text.replace("/", "\\/").replace("?", "\\u003f") + "}"  # no end of comment, no trigraph


def _json(key: str, value: Any) -> str:
    if key == "netspec":
        layers = ",\n  ".join(json.dumps(x, sort_keys=True) for x in value.pop("layers"))
        return json.dumps(value, sort_keys=True)[:-1] + ', "layers": [\n  ' + layers + "]}"
    if key == "weight_scale":
        return "[\n  " + ",\n  ".join(json.dumps(x) for x in value) + "]"
    return json.dumps(value)


def comment(text: str) -> str:
    """Text that is safe inside a C comment: ASCII, one line, no comment marks, no trigraphs.

    >>> comment("a */ b\\n??/")
    'a * / b ? ?/'
    """
    line = " ".join(text.encode("ascii", "backslashreplace").decode().split())
    for mark in ("*/", "/*", "??"):
        line = line.replace(mark, f"{mark[0]} {mark[1]}").replace(mark, f"{mark[0]} {mark[1]}")
    return line


def c_int(value: int) -> str:
    """An int32 as C spells it (the smallest has no literal).

    >>> c_int(-5), c_int(-2**31)
    ('-5', 'INT32_MIN')
    """
    return "INT32_MIN" if value == -(2**31) else str(value)


def _per_line(taps: int) -> int:
    return next((n for n in range(18, 7, -1) if taps % n == 0 or n % taps == 0), 16)


def core_text(names: Sequence[str]) -> str:
    """Files of firmware/core as they go into model.h: whole, but for the includes of one another."""
    texts = [(CORE / name).read_text(encoding="ascii") for name in names]
    return "\n".join(re.sub(r'^#include "hm_\w+\.h"\n\n?', "", t, flags=re.MULTILINE) for t in texts)


@cache
def _environment(prefix: str) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # 60 ms, and only enrolment needs it

    types, code = core_text(CORE_TYPES), core_text(CORE_CODE)
    shared = SHARED | set(re.findall(r"\bhm_\w+|\bHM_\w+", types + code))

    def rename(match: re.Match[str]) -> str:
        word = match[0]
        if word in shared:
            return word
        return (prefix if word.startswith("hm_") else prefix.upper()) + word[2:]

    def load(name: str) -> str:
        return re.sub(r"\bhm_\w*|\bHM_\w*", rename, (TEMPLATES / name).read_text(encoding="utf-8"))

    environment = Environment(
        loader=FunctionLoader(load),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals.update(core_types=types, core_code=code)
    return environment
