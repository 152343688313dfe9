"""The export for TensorFlow Lite Micro: its array, its operators, its arena, and its C++ compiled and run.

The C++ is compiled against tflm_stub.h in place of TFLite Micro's headers, which no package brings; the maps that its
head reads were computed by TFLite Micro itself, in Python.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from people import person, with_threshold
from quantised import EVERY_KIND, quantised

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.arena import arena_bytes
from hyper_mcu.codegen.backends.tflite import interpreter, tflm
from hyper_mcu.codegen.emit_tflite import emit as emit_tflite
from hyper_mcu.codegen.emit_tflm import MARK, TEMPLATES, Export, emit
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.toolchain import WARNINGS

for module in ("tflite", "flatbuffers", "tflite_micro"):
    if not importlib.util.find_spec(module):
        pytest.skip(f"needs hyper-mcu[tflite]: {module}", allow_module_level=True)

STUB = Path(__file__).parent / "tflm_stub.h"
HEADERS = (
    "micro/micro_interpreter.h",
    "micro/micro_mutable_op_resolver.h",
    "micro/system_setup.h",
    "schema/schema_generated.h",
)
UNGROUPED = NetSpec(
    "ungrouped", (Conv(3, 2, "same", 3, 4), Conv(3, 1, "same", 4, 8, 4)), Head("dot"), height=8, width=8
)
SPECS = {spec.id: spec for spec in (preset("nano"), EVERY_KIND, UNGROUPED)}
CROP_SEED = 5


@pytest.fixture(scope="module", params=SPECS)
def exported(request):
    """A person and their export."""
    p = person(quantised(SPECS[request.param]))
    return p, emit(p)


@pytest.fixture(scope="module")
def nano():
    p = person(quantised(preset("nano")))
    return p, emit(p)


def laid_out(folder, export: Export):
    """The export's files and the stub's in a folder."""
    for name, content in export.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("ascii"))
    for name in HEADERS:
        path = folder / "stub" / "tensorflow" / "lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#include "{STUB}"\n')
    return folder


def compiled(folder, p, export, *options, arena=0):
    """What g++ says of the export's C++, and its program."""
    if not shutil.which("g++"):
        pytest.skip("g++ not installed")
    h, w, c = p.qnet.spec.map_shape
    stub = {
        "ANSWERS": f'"{folder / "answers"}"',
        "ARENA": arena or export.arena_bytes,
        "INPUT": p.qnet.spec.input_bytes,
        "OUTPUT": h * w * c,
        "OPERATORS": '"' + "".join(f"{kind} " for kind in export.operators) + '"',
    }
    defines = [f"-DSTUB_{name}={value}" for name, value in stub.items()]
    words = ["g++", "-std=c++17", *WARNINGS, "-isystem", str(folder / "stub"), *defines, *options]
    files = [str(folder / "main.cc"), str(folder / "verify.cc")]
    return subprocess.run([*words, *files, "-o", str(folder / "program")], capture_output=True, text=True, check=False)


def answers(folder, p, *images):
    """Writes what TFLite Micro computes of these images for the stub to say; the logits of the oracle."""
    results = tflm(p, images).results
    pairs = [(x ^ 0x80).tobytes() + r.layers[-1].tobytes() for x, r in zip(images, results, strict=True)]
    (folder / "answers").write_bytes(b"".join(pairs))
    return [oracle.run(p.qnet, x).logit for x in images]


def run(folder, *words):
    done = subprocess.run([str(folder / "program"), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_main_tells_match_from_no_match_by_the_oracles_logit(exported, tmp_path):
    p, _ = exported
    spec = p.qnet.spec
    known, crop = oracle.known_image(spec, p.known.seed), oracle.known_image(spec, CROP_SEED)
    _, logit = answers(tmp_path, p, known, crop)
    (tmp_path / "face.rgb").write_bytes(crop.tobytes())
    for threshold, code, said in ((logit, 0, "match"), (logit + 1, 1, "no match")):
        q = with_threshold(p, threshold)
        export = emit(q)
        folder = laid_out(tmp_path, export)
        done = compiled(folder, q, export)
        assert (done.returncode, done.stderr) == (0, "")
        assert run(folder, folder / "face.rgb") == (
            code,
            [
                f"self-test: status 0, {export.arena_bytes} bytes of arena",
                f"{said}: logit {logit}, threshold {threshold}",
            ],
        )


def test_main_without_a_whole_crop_is_an_error(nano, tmp_path):
    p, export = nano
    answers(tmp_path, p, oracle.known_image(p.qnet.spec, p.known.seed))
    folder = laid_out(tmp_path, export)
    assert compiled(folder, p, export).returncode == 0
    for n in (p.qnet.spec.input_bytes - 1, p.qnet.spec.input_bytes + 1):
        (folder / "face.rgb").write_bytes(bytes(n))
        assert run(folder, folder / "face.rgb")[0] == 2
    assert run(folder)[0] == 2


def test_runtime_that_computes_other_bytes_fails_its_self_test(nano, tmp_path):
    p, export = nano
    answers(tmp_path, p, oracle.known_image(p.qnet.spec, p.known.seed))
    said = bytearray((tmp_path / "answers").read_bytes())
    said[-1] ^= 1
    (tmp_path / "answers").write_bytes(said)
    folder = laid_out(tmp_path, export)
    assert compiled(folder, p, export).returncode == 0
    assert run(folder) == (2, [f"self-test: status 6, {export.arena_bytes} bytes of arena"])  # HM_WRONG_ANSWER


def test_arena_that_the_runtime_finds_too_small_is_no_verdict(nano, tmp_path):
    p, export = nano
    answers(tmp_path, p, oracle.known_image(p.qnet.spec, p.known.seed))
    folder = laid_out(tmp_path, export)
    assert compiled(folder, p, export, arena=export.arena_bytes + 1).returncode == 0
    assert run(folder) == (2, ["self-test: status 4, 0 bytes of arena"])  # HM_WRONG_ENGINE


@pytest.mark.parametrize("file", ["model_data.h", "verify.cc"])
def test_changed_model_or_head_is_no_verdict(nano, tmp_path, file):
    p, export = nano
    answers(tmp_path, p, oracle.known_image(p.qnet.spec, p.known.seed))
    folder = laid_out(tmp_path, export)
    text = (folder / file).read_text()
    at = text.index("= {\n") + 4
    number = re.compile(r"0x[0-9a-f]{2}|-?\d+").search(text, at)
    changed = "0x01" if int(number[0], 0) != 1 else "0x02"
    (folder / file).write_text(text[: number.start()] + changed + text[number.end() :])
    assert compiled(folder, p, export).returncode == 0
    assert run(folder) == (2, ["self-test: status 5, 0 bytes of arena"])  # HM_CORRUPT_PERSON


@pytest.mark.parametrize("macro", ["ESP_NN", "ESP_PLATFORM"])
def test_esp_nn_is_refused_for_grouped_convolutions_alone(exported, tmp_path, macro):
    p, export = exported
    folder = laid_out(tmp_path, export)
    done = compiled(folder, p, export, f"-D{macro}")
    if p.qnet.spec.id == "ungrouped":
        assert (done.returncode, export.warnings) == (0, ())
        return
    assert done.returncode != 0
    assert "#error \"ESP-NN's convolution is wrong for grouped convolutions" in done.stderr
    assert "wrong under ESP-NN" in export.warnings[0]
    assert compiled(folder, p, export, f"-D{macro}", "-DHM_TFLM_REFERENCE_CONV").returncode == 0


def test_single_rounding_is_refused(nano, tmp_path):
    p, export = nano
    folder = laid_out(tmp_path, export)
    assert '#error "TFLITE_SINGLE_ROUNDING' in compiled(folder, p, export, "-DTFLITE_SINGLE_ROUNDING").stderr
    assert compiled(folder, p, export, "-DTFLITE_SINGLE_ROUNDING=0").returncode == 0


def test_all_templates_but_main_are_marked_and_main_is_nobodys(exported, nano):
    _, export = exported
    assert [name for name in TEMPLATES if MARK not in export.files[name]] == ["main.cc"]
    assert export.files["main.cc"] == nano[1].files["main.cc"]


def test_array_holds_the_file(exported):
    p, export = exported
    words = re.findall(r"0x([0-9a-f]{2})", export.files["model_data.h"])
    assert bytes.fromhex("".join(words)) == export.files["alice.tflite"] == emit_tflite(p.qnet, tool=p.provenance.tool)


def test_arena_is_the_smallest_that_tflite_micro_accepts(exported):
    p, export = exported
    model = export.files["alice.tflite"]
    runtime = interpreter(model, export.arena_bytes)
    image = oracle.known_image(p.qnet.spec, CROP_SEED)
    runtime.set_input((image ^ 0x80).view(np.int8)[None], 0)
    runtime.invoke()
    assert np.array_equal(runtime.get_output(0)[0], oracle.run(p.qnet, image).layers[-1])
    with pytest.raises(RuntimeError):
        interpreter(model, export.arena_bytes - 16)
    assert export.arena_bytes == arena_bytes(model, p.qnet.spec)
    assert f"constexpr size_t arena_bytes = {export.arena_bytes};" in export.files["verify.cc"]


def test_arena_is_measured_without_modules_of_the_current_folder(nano, tmp_path, monkeypatch):
    p, export = nano
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    assert arena_bytes(export.files["alice.tflite"], p.qnet.spec) == export.arena_bytes
