"""`hyper-mcu export`, of a person that the shipped generator enrolled from a real photo."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from enrolled import PORTRAIT, TEAM, Command, Refused

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import tflite as backends
from hyper_mcu.codegen.emit_onnx import export as export_onnx
from hyper_mcu.codegen.emit_tflite import emit as emit_tflite
from hyper_mcu.codegen.emit_tflite import export as export_tflite
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.faces import face_crops

for module in ("tflite", "flatbuffers", "tflite_micro", "ai_edge_litert"):
    if not importlib.util.find_spec(module):
        pytest.skip(f"needs hyper-mcu[tflite]: {module}", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.h of the portrait."""
    from hyper_mcu import enroll
    from hyper_mcu.codegen.emit_c import emit
    from hyper_mcu.generator import load

    generator, clock = load(), enroll.Stopwatch()
    e = enroll.embedding(face_crops(PORTRAIT, None, "enrol")[0], generator.backbone, clock)
    path = tmp_path_factory.mktemp("model") / "model.h"
    path.write_text(emit(enroll.person("yao", e, generator, clock)), "ascii")
    return path


@pytest.fixture(scope="module")
def person(model: Path) -> Person:
    """The person in it."""
    return person_file(model)


@pytest.mark.parametrize("name", ["tflm", "litert_reference"])
def test_reference_kernels_give_the_oracles_bytes_on_faces(person: Person, name: str) -> None:
    crops = [c.pixels for c in face_crops(TEAM, "any", "probe")[:3]] + [face_crops(PORTRAIT, None, "probe")[0].pixels]
    results = getattr(backends, name)(person, crops).results
    assert [r.layers_sha256 for r in results] == [oracle.run(person.qnet, x).layers_sha256 for x in crops]
    assert results[-1].logit >= person.threshold


def test_tflm_is_a_folder_that_says_what_it_needs(
    model: Path, person: Person, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tflm"
    assert command("export", "tflm", model, "--out", out, "--json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    names = {
        "yao.tflite",
        "model_data.h",
        "verify.h",
        "verify.cc",
        "main.cc",
        "hm_types.h",
        "hm_check.h",
        "hm_cosdot.h",
        "hm_memory.h",
    }
    assert {p.name for p in out.iterdir()} == names == {Path(f["path"]).name for f in told["files"]}
    assert (told["schema_version"], told["form"], told["operators"]) == (1, "tflm", ["CONV_2D"])
    assert (out / "yao.tflite").read_bytes() == emit_tflite(person.qnet, tool=person.provenance.tool)
    maps = 112 * 112 * 3 + 56 * 56 * 16  # what stage 0 reads and writes
    assert maps < told["arena_bytes"] < maps + 10_000
    assert said.err == f"{out}: {told['warnings'][0]}\n"
    assert "grouped convolutions: wrong under ESP-NN" in said.err
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in out.iterdir())


def test_tflm_replaces_what_it_generates_and_keeps_what_is_beside(
    model: Path, person: Person, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another person's files: only main.cc is the same for all."""
    (tmp_path / "other.bin").write_bytes(pack(replace(person, name="other", threshold=7)))
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("kept")
    assert command("export", "tflm", tmp_path / "other.bin", "--out", out) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert "operators CONV_2D; arena " in capsys.readouterr().out
    (out / "hm_types.h").write_text("of an older version")
    assert command("export", "tflm", model, "--out", out) == 0
    assert capsys.readouterr().err.startswith(f"{out / 'other.tflite'}: another person's network is still there\n")
    after = {p.name: p.read_bytes() for p in out.iterdir()}
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"model_data.h", "verify.cc", "verify.h"}
    assert after.keys() - before.keys() == {"yao.tflite"}


@pytest.mark.parametrize(("name", "text"), [("main.cc", "int main() {}\n"), ("verify.cc", "// of another project\n")])
def test_tflm_replaces_a_users_own_code_by_force_alone(
    model: Path, tmp_path: Path, command: Command, name: str, text: str, refused: Refused
) -> None:
    (tmp_path / name).write_text(text)
    expected = "would replace code of your own; expected --force, or that code under another name, got neither"
    assert refused("export", "tflm", model, "--out", tmp_path) == f"{tmp_path}/{name}: {expected}"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, text)]
    assert command("export", "tflm", model, "--out", tmp_path, "--force") == 0
    assert "hm_tflm_verify(" in (tmp_path / name).read_text()
    assert refused("export", "onnx", model, "--out", tmp_path / "a.onnx", "--force") == (
        "--force: export onnx replaces a file at --out in any case; expected export tflm, got onnx"
    )


def test_files_are_those_of_the_emitters(model: Path, person: Person, tmp_path: Path, command: Command) -> None:
    for form, suffix in (("tflite", ".tflite"), ("onnx", ".onnx"), ("c", ".h")):
        assert command("export", form, model, "--out", tmp_path / f"a{suffix}") == 0
    assert (tmp_path / "a.tflite").read_bytes() == export_tflite(person)
    assert (tmp_path / "a.onnx").read_bytes() == export_onnx(person)
    assert (tmp_path / "a.h").read_bytes() == model.read_bytes()


def test_c_may_have_another_prefix_and_nothing_else(
    model: Path, tmp_path: Path, command: Command, refused: Refused
) -> None:
    assert command("export", "c", model, "--out", tmp_path / "a.h", "--prefix", "second") == 0
    assert "second_verify(" in (tmp_path / "a.h").read_text()
    assert refused("export", "onnx", model, "--out", tmp_path / "a.onnx", "--prefix", "second") == (
        "--prefix: export onnx has no C names to choose; expected export c, got second"
    )


def test_bad_places_and_files_are_one_line_and_nothing_is_written(
    model: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    said = [
        refused("export", "tflite", model, "--out", tmp_path / "a.bin"),
        refused("export", "tflm", model, "--out", file),
        refused("export", "tflm", model, "--out", tmp_path / "no" / "folder"),
        refused("export", "c", model, "--out", model),
        refused("export", "tflite", tmp_path / "none.h", "--out", tmp_path / "a.tflite"),
    ]
    assert said == [
        f"{tmp_path}/a.bin: output; expected a name ending in .tflite, got 'a.bin'",
        f"{file}: cannot write; expected a folder, or a new name in one, got a file",
        f"{tmp_path}/no/folder: cannot write; expected a folder, or a new name in one, got none",
        f"--out: would overwrite what is read; expected another file, got {model}",
        f"{tmp_path}/none.h: cannot be read; expected a model.h or person.bin of hyper-mcu enroll, "
        "got no such file or directory",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("form", ["tflite", "tflm", "onnx"])
@pytest.mark.parametrize("words", [("inspect",), ("parity",), ("export", "c"), ("verify", PORTRAIT, "--model")])
def test_exports_are_not_read_back_and_the_line_says_what_is(
    model: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    form: str,
    words: tuple[object, ...],
) -> None:
    path = tmp_path / (form if form == "tflm" else f"a.{form}")
    assert command("export", form, model, "--out", path) == 0
    path = path / "yao.tflite" if form == "tflm" else path
    capsys.readouterr()
    out = ("--out", tmp_path / "out.h") if words[0] == "export" else ()
    assert command(*words, path, *out) == 2
    said = capsys.readouterr()
    kind = "an ONNX graph" if form == "onnx" else "a TFLite model"
    assert (said.out, said.err) == (
        "",
        f"{path}: made for other runtimes and not read back; expected the model.h or person.bin that it was made from, "
        f"got {kind} of hyper-mcu export\n",
    )
    assert not (tmp_path / "out.h").exists()


def test_an_export_is_no_generator_to_enrol_by(
    model: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.onnx"
    assert command("export", "onnx", model, "--out", path) == 0
    capsys.readouterr()
    assert command("enroll", PORTRAIT, "--generator", path, "--out", tmp_path / "out.h") == 2
    expected = "expected an ONNX file written by hyper-mcu train, got an ONNX graph of hyper-mcu export"
    assert capsys.readouterr().err == f"{path}: not a generator; {expected}\n"
    assert not (tmp_path / "out.h").exists()


def test_onnx_file_runs_where_there_is_onnxruntime(
    model: Path, person: Person, tmp_path: Path, command: Command
) -> None:
    import onnxruntime

    assert command("export", "onnx", model, "--out", tmp_path / "a.onnx") == 0
    crop = face_crops(PORTRAIT, None, "probe")[0].pixels
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    (logit,) = session.run(["logit"], {"image": crop[None]})
    assert np.array_equal(logit, [oracle.run(person.qnet, crop).logit])
