"""From a Person to C++ for TensorFlow Lite Micro: the model as an array, the operators that it needs, the arena that it
takes, the head, and a main."""

from __future__ import annotations

import importlib.metadata
import zlib
from dataclasses import dataclass

from hyper_mcu.codegen.arena import arena_bytes
from hyper_mcu.codegen.emit_c import CORE, banner, comment, environment, head_facts
from hyper_mcu.codegen.emit_tflite import emit as emit_tflite
from hyper_mcu.codegen.emit_tflite import graph, grouped
from hyper_mcu.codegen.layout import c_int
from hyper_mcu.codegen.person import Person

ADDERS = {  # methods of MicroMutableOpResolver
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "ADD": "AddAdd",
    "RESHAPE": "AddReshape",
    "TRANSPOSE": "AddTranspose",
}
PER_LINE = 16
MARK = "; do not edit."  # in each of TEMPLATES but main.cc, which is a user's to change and holds nothing of a person
TEMPLATES = ("model_data.h", "verify.h", "verify.cc", "main.cc")
ESP_NN = (
    "grouped convolutions: wrong under ESP-NN in esp-tflite-micro, so that verify.cc does not compile there unless "
    "HM_TFLM_REFERENCE_CONV is defined"
)


@dataclass(frozen=True)
class Export:
    """files: contents by name; arena_bytes: as measured by `runtime`; operators: of the resolver; warnings: which
    builds of TFLite Micro are not fit for this net."""

    files: dict[str, str | bytes]
    arena_bytes: int
    runtime: str
    operators: tuple[str, ...]
    warnings: tuple[str, ...]


def emit(person: Person) -> Export:
    """Everything that TensorFlow Lite Micro needs to run one person's net.

    Raises UserError where no .tflite has these integers, MissingToolError without tflite, flatbuffers or tflite-micro.
    """
    qnet, spec, tool = person.qnet, person.qnet.spec, comment(person.provenance.tool)
    model, operators = emit_tflite(qnet, tool=person.provenance.tool), graph(qnet).kinds
    arena = arena_bytes(model, spec)
    runtime = f"tflite-micro {importlib.metadata.version('tflite-micro')}"
    head, (h, w, c) = qnet.head, spec.map_shape
    values = {
        "person": person,
        "spec": spec,
        "tool": tool,
        "facts": banner(person, f"{len(model)} bytes for the model", f"{arena} bytes of arena"),
        "model": model,
        "model_lines": _lines([f"0x{b:02x}" for b in model]),
        "grouped": grouped(spec),
        "runtime": runtime,
        "arena_bytes": arena,
        "threshold": c_int(person.threshold),
        "known_seed": f"UINT32_C({person.known.seed})",
        "known_logit": c_int(person.known.logit),
        "crc": f"0x{zlib.crc32(head.weight.tobytes(), zlib.crc32(model)):08X}U",
        "head": head_facts(spec),
        "head_bias": c_int(head.bias),
        "head_lines": _lines([str(v) for v in head.weight.tolist()]),
        "adders": [ADDERS[kind] for kind in operators],
        "map_bytes": h * w * c,
    }
    files: dict[str, str | bytes] = {f"{person.name}.tflite": model}
    for name in TEMPLATES:
        files[name] = environment().get_template(f"tflm/{name}.j2").render(**values)
    core = ("hm_types.h", "hm_check.h", "hm_memory.h", *(["hm_cosdot.h"] if spec.head.kind == "cosdot" else []))
    files |= {name: (CORE / name).read_text(encoding="ascii") for name in core}
    return Export(files, arena, runtime, operators, (ESP_NN,) if grouped(spec) else ())


def _lines(words: list[str]) -> list[str]:
    return [", ".join(words[i : i + PER_LINE]) for i in range(0, len(words), PER_LINE)]
