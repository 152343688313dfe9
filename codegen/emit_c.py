"""From a Person to model.h: a single header in the stb manner, data and engine.

Plain values (layout.py, stages.py, texts here) are rendered once by templates/model.h.j2; what is the same for every
net comes from firmware/core/*.h. Templates are written with the prefix hm; another prefix renames every identifier in
them that firmware/core does not own. The result depends on the Person and the prefix alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.facts import facts
from hyper_mcu.codegen.kernels.variants import VARIANTS, template
from hyper_mcu.codegen.layout import (
    ABI,
    architecture,
    c_int,
    check_sum,
    person_bytes,
    row_counts,
    session_bytes,
    weights_bytes,
)
from hyper_mcu.codegen.netspec import NetSpec, cosdot_bits
from hyper_mcu.codegen.passes import compiled
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.program import Program
from hyper_mcu.codegen.stages import calls, places

if TYPE_CHECKING:
    from jinja2 import Environment

FIRST_LINE = "/* hyper-mcu model.h, ABI {abi}. SHA-256 of what follows this line: {sha256} */\n"
PREFIX = "hm"  # of the names in templates and harness
TEMPLATES = Path(__file__).parent / "templates"
CORE = Path(__file__).parent.parent / "firmware" / "core"
CORE_TYPES = ("hm_types.h", "hm_kernels.h")
CORE_CODE = (
    "hm_memory.h",
    "hm_requantise.h",
    "hm_conv.h",
    "hm_dot.h",
    "hm_sum.h",
    "hm_rows.h",
    "hm_cosdot.h",
    "hm_check.h",
    "hm_blob.h",
    "hm_tap.h",
)
SHARED = {"HM_ABI", "HM_TAP"}  # what no prefix renames, beside the identifiers of firmware/core


def emit(person: Person, prefix: str = PREFIX) -> str:
    """The text of model.h (ASCII) for one person; `prefix` names another architecture's symbols in the same program.

    Raises UserError for a prefix that is not of lower-case letters and digits.
    """
    if not re.fullmatch("[a-z][a-z0-9]*", prefix):
        expected = "lower-case letters and digits, a letter first"
        raise UserError("prefix", "cannot begin a C name", expected, repr(prefix))
    program = compiled(person.qnet)
    body = (
        environment(prefix)
        .get_template("model.h.j2")
        .render(
            **_engine(program),
            person=person,
            prefix=prefix,
            abi=ABI,
            tool=comment(person.provenance.tool),
            facts=banner(
                person,
                flash=f"{person_bytes(person)} bytes for this person",
                ram=f"{session_bytes(person.qnet.spec)} bytes for hm_session",
            ),
            arrays=program.arrays,
            person_bytes=person_bytes(person),
            threshold=c_int(person.threshold),
            known_seed=f"UINT32_C({person.known.seed})",
            known_logit=c_int(person.known.logit),
            crc=f"0x{check_sum(person, program):08X}U",
            metadata=metadata(person, prefix),
        )
    )
    return FIRST_LINE.format(abi=ABI, sha256=hashlib.sha256(body.encode("ascii")).hexdigest()) + body


def emit_engine(person: Person, prefix: str = PREFIX) -> str:
    """The text of a header with the engine of a person's architecture and no person (ASCII); the same for all people of
    one architecture but for the version of the tool in its first lines."""
    program = compiled(person.qnet)
    return (
        environment(prefix)
        .get_template("engine_alone.h.j2")
        .render(
            **_engine(program),
            prefix=prefix,
            abi=ABI,
            tool=comment(person.provenance.tool),
            arrays=program.arrays,
            person_bytes=weights_bytes(program.spec) + 32,  # hm_person, and a name of any length
        )
    )


def _engine(program: Program) -> dict[str, Any]:
    """What the templates need to know of an architecture: the same for all people."""
    spec, run = program.spec, calls(program)
    digest = bytes.fromhex(spec.sha256)
    return {
        "spec": spec,
        "id": comment(spec.id),
        "architecture": f"0x{architecture(spec):08X}U",
        "architecture_bytes": [", ".join(f"0x{b:02X}" for b in digest[i : i + 16]) for i in (0, 16)],
        "plan": program.memory,
        "places": places(program),
        "row_counts": row_counts(spec),
        "session_bytes": session_bytes(spec),
        "weights_bytes": weights_bytes(spec),
        "variants": [(v, [(k, *template(v, k)) for k in dict.fromkeys(s.kernel for s in run)]) for v in VARIANTS],
        "steps": run,
        "most_rows": (max(s.kernel.in_rows for s in run), max(s.kernel.strip for s in run)),
        "head": head_facts(spec),
    }


def head_facts(spec: NetSpec) -> dict[str, Any]:
    """What a template needs to know of the head: title in words, K of CosDot, elements; of the last map, its width,
    its pixels, and the bytes of a row."""
    (h, w, c), n = spec.map_shape, spec.head_size
    formula = "bias + the sum of w * u"
    if spec.head.kind == "cosdot":
        formula = f"sign(num) * floor(num^2 * 2^{cosdot_bits(n)} / norm)"
    over = f"{n} channels, each summed over {h}x{w} pixels" if spec.head.pool else f"{n} bytes of the last map"
    return {
        "title": f"{formula}, over {over}",
        "bits": cosdot_bits(n),
        "size": n,
        "width": w,
        "pixels": h * w,
        "row": w * c,
    }


def banner(p: Person, flash: str, ram: str) -> list[str]:
    """The lines of a banner that tell what this person's net is and what it costs."""
    spec, made = p.qnet.spec, p.provenance
    score = "cosine" if spec.head.kind == "cosdot" else "score"
    rows = [
        ("network", f"{comment(spec.id)}, {spec.params} parameters, {spec.macs} multiply-adds"),
        ("", f"architecture {spec.sha256}"),
        ("match", f"logit >= {p.threshold} ({score} {p.score:.4f}), which stands for"),
        ("", f"{p.fmr:.4%} false matches and {p.fnmr:.4%} false non-matches on {comment(p.rates_on)}"),
        ("flash", flash),
        ("RAM", ram),
        ("backbone", comment(made.backbone)),
        ("", comment(made.backbone_sha256)),
        ("generator", comment(made.generator)),
        ("", comment(made.generator_sha256)),
        ("integers", p.qnet.sha256()),
    ]
    return [f"{label:<12}{text}".rstrip() for label, text in rows]


def metadata(p: Person, prefix: str) -> str:
    """The JSON at the end of model.h: what the C does not say. `parse_header` reads it with the arrays before it."""
    values = {"abi": ABI, "prefix": prefix, **facts(p)}
    text = ",\n".join(f"{json.dumps(key)}: {_json(key, value)}" for key, value in values.items())
    return "{" + text.replace("*", "\\u002a").replace("?", "\\u003f") + "}"  # no comment marks, no trigraph


def _json(key: str, value: Any) -> str:
    if key == "netspec":
        layers = ",\n  ".join(json.dumps(x, sort_keys=True) for x in value.pop("layers"))
        return json.dumps(value, sort_keys=True)[:-1] + ', "layers": [\n  ' + layers + "]}"
    if key == "weight_scale":
        return "[\n  " + ",\n  ".join(json.dumps(value[i : i + 96]) for i in range(0, len(value), 96)) + "]"
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


def core_text(names: Sequence[str]) -> str:
    """Files of firmware/core as they go into model.h: whole, but for the includes of one another."""
    texts = [(CORE / name).read_text(encoding="ascii") for name in names]
    return "\n".join(re.sub(r'^#include "hm_\w+\.h"\n\n?', "", t, flags=re.MULTILINE) for t in texts)


@cache
def environment(prefix: str = PREFIX) -> Environment:
    """Templates whose identifiers begin with `prefix`, but for those of firmware/core."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # 60 ms, and only enrolment needs it

    types, code = core_text(CORE_TYPES), core_text(CORE_CODE)
    kernels = {v.name: core_text(v.core) for v in VARIANTS}
    without_comments = re.sub(r"/\*.*?\*/", "", "".join((types, code, *kernels.values())), flags=re.DOTALL)
    shared = SHARED | set(re.findall(r"\bhm_\w+|\bHM_\w+", without_comments))

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
    environment.globals.update(core_types=types, core_code=code, core_kernels=kernels)
    return environment
