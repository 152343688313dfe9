"""The commands take model.h and person.bin alike, and no network of another tool."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enrolled import PORTRAIT, STRANGER, Command, Refused
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.generator import SHIPPED


@pytest.fixture
def told(command: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Exit code and JSON of `hyper-mcu WORDS --json`."""

    def run(*words: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = command(*words, "--json")
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def blob(command: Command, tmp_path: Path) -> Path:
    """A person.bin of the portrait."""
    assert command("enroll", PORTRAIT, "--out", tmp_path / "person.bin") == 0
    return tmp_path / "person.bin"


def test_both_files_hold_one_person_and_are_their_owners_alone(blob: Path, command: Command, tmp_path: Path) -> None:
    assert command("enroll", PORTRAIT, "--out", tmp_path / "model.h") == 0
    assert emit(person_file(blob)) == (tmp_path / "model.h").read_text()
    assert blob.stat().st_mode & 0o777 == 0o600
    assert PORTRAIT.name.encode() not in blob.read_bytes()


def test_both_files_give_one_verdict_and_one_table(
    blob: Path, command: Command, told: Callable[..., Any], tmp_path: Path
) -> None:
    assert command("enroll", PORTRAIT, "--out", tmp_path / "model.h") == 0
    for photo, code in ((PORTRAIT, 0), (STRANGER, 1)):
        answers = [told("verify", photo, "--model", model) for model in (blob, tmp_path / "model.h")]
        assert [c for c, _ in answers] == [code, code]
        a, b = (answer for _, answer in answers)
        assert (a["layers_sha256"], a["logit"], a["runs"].keys()) == (b["layers_sha256"], b["logit"], b["runs"].keys())
    (_, a), (_, b) = (told("inspect", model) for model in (blob, tmp_path / "model.h"))
    assert a["layers"] == b["layers"]
    assert {k for k in a if a[k] != b[k]} == {"model", "file_bytes", "sha256"}


def test_inspect_tells_the_file_from_what_a_device_holds(
    command: Command, told: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alice, model = person(net(TINY)), tmp_path / "person.bin"
    model.write_bytes(pack(alice))
    whole, blob = len(pack(alice)), len(pack(alice, for_device=True))
    _, inspected = told("inspect", model)
    assert (inspected["file_bytes"], inspected["blob_bytes"]) == (whole, blob)
    assert inspected["person_bytes"] < blob < whole
    assert command("inspect", model) == 0
    text = capsys.readouterr().out
    assert f" {blob:,} B as a blob; " in text
    assert f"\nthe file itself: {whole:,} B, " in text


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no /dev/fd")
def test_inspect_hashes_the_bytes_that_it_read(told: Callable[..., Any]) -> None:
    """A pipe gives them once."""
    data = pack(person(net(TINY)))
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    code, said = told("inspect", f"/dev/fd/{reader}")
    os.close(reader)
    assert (code, said["sha256"]) == (0, hashlib.sha256(data).hexdigest())


def test_inspect_prints_the_bound_of_these_very_weights(
    blob: Path, command: Command, told: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    qnet = person_file(blob).qnet
    bounds = [
        int((abs(q.bias.astype(int)) + 256 * abs(q.weight.astype(int)).sum((1, 2, 3))).max()) for q in qnet.stages
    ]
    _, inspected = told("inspect", blob)
    assert [r["accumulator_bound"] for r in inspected["layers"]] == bounds
    assert max(bounds) < 2**30
    peak = 255 if qnet.spec.stages[-1].layer.relu else 128
    assert inspected["head_bound"] == peak * int(abs(qnet.head.weight.astype(int)).sum())
    capsys.readouterr()
    assert command("inspect", blob) == 0
    text = capsys.readouterr().out
    assert [b for b in bounds if f" {b:,} " not in text] == []


def test_several_people_go_into_a_folder_as_either_file(
    blob: Path, command: Command, told: Callable[..., Any], tmp_path: Path
) -> None:
    for form in ("bin", "h"):
        out = tmp_path / form
        out.mkdir()
        code, made = told("enroll", PORTRAIT, STRANGER, "--out", out, "--format", form)
        names = [f"yaoming.{form}", f"astronaut.{form}"]
        assert (code, [Path(p["model"]).name for p in made["people"]]) == (0, names)
        assert sorted(p.name for p in out.iterdir()) == sorted(names)
    assert (tmp_path / "bin" / "yaoming.bin").read_bytes() == blob.read_bytes()
    assert emit(person_file(blob)) == (tmp_path / "h" / "yaoming.h").read_text()


@pytest.mark.parametrize("source", ["model.h", "person.bin"])
def test_export_bin_is_what_a_device_takes_and_not_read_back(
    command: Command, refused: Refused, tmp_path: Path, source: str
) -> None:
    """Whose size is the word at bytes 8 to 11, as README tells firmware."""
    alice, model, out = person(net(TINY)), tmp_path / source, tmp_path / "out" / "alice.bin"
    out.parent.mkdir()
    out.write_text("old")
    model.write_bytes(pack(alice) if source == "person.bin" else emit(alice).encode())
    assert command("export", "bin", model, "--out", out) == 0
    data = out.read_bytes()
    assert data == pack(alice, for_device=True)
    assert int.from_bytes(data[8:12], "little") == len(data) < len(pack(alice))
    assert out.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in out.parent.iterdir()] == ["alice.bin"]
    assert refused("inspect", out) == (
        f"{out}: made for a device alone; expected the model.h or person.bin that it was made from, got no facts in it"
    )
    other = refused("export", "bin", model, "--out", tmp_path / "a.h")
    assert other == f"{tmp_path}/a.h: output; expected a name ending in .bin, got 'a.h'"
    again = refused("export", "bin", out, "--out", out)
    assert again == f"--out: would overwrite what is read; expected another file, got {out}"


def test_bad_calls_are_one_line(blob: Path, refused: Refused, tmp_path: Path) -> None:
    two = refused("enroll", PORTRAIT, "--out", tmp_path / "b.bin", "--prefix", "two")
    assert two == f"--prefix: person.bin holds no C; expected a .h to be written, got {tmp_path}/b.bin"
    two = refused("enroll", PORTRAIT, "--out", tmp_path, "--format", "bin", "--prefix", "two")
    assert two == f"--prefix: person.bin holds no C; expected a .h to be written, got {tmp_path}/yaoming.bin"
    other = refused("enroll", PORTRAIT, "--out", tmp_path / "b.bin", "--format", "h")
    assert other == "--format: another one than --out has; expected bin, got h"
    again = refused("enroll", PORTRAIT, PORTRAIT, "--out", tmp_path, "--format", "bin")
    assert again.startswith(f"{tmp_path}/yaoming.bin: two people of one name; ")
    assert not (tmp_path / "b.bin").exists()
    for name in ("b.bin", "b.h"):
        long = refused("enroll", PORTRAIT, "--out", tmp_path / name, "--name", "n" * 48)
        assert long == "--name: name; expected at most 47 characters, got 48"
    cut = tmp_path / "cut.bin"
    cut.write_bytes(blob.read_bytes()[:-1])
    for words in (("verify", PORTRAIT, "--model", cut), ("inspect", cut), ("parity", cut)):
        size = blob.stat().st_size
        assert refused(*words) == f"{cut}: cut short or grown; expected {size} bytes, got {size - 1}"


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PK\3\4\0", "other data"),
        (None, "a folder"),
        (SHIPPED.read_bytes(), "a generator of hyper-mcu train"),
    ],
    ids=["empty", "jpeg", "png", "zip", "folder", "generator"],
)
@pytest.mark.parametrize("words", [("inspect",), ("parity",), ("export", "c"), ("verify", PORTRAIT, "--model")])
def test_what_is_no_person_is_named(
    refused: Refused, tmp_path: Path, content: bytes | None, got: str, words: tuple[object, ...]
) -> None:
    model = tmp_path / "some.bin"
    if content is None:
        model.mkdir()
    else:
        model.write_bytes(content)
    out = ("--out", tmp_path / "out.h") if words[0] == "export" else ()
    what = "cannot be read" if content is None else "no person"
    expected = f"{model}: {what}; expected a model.h or person.bin of hyper-mcu enroll, got {got}"
    assert refused(*words, model, *out) == expected
    assert not (tmp_path / "out.h").exists()


@pytest.mark.parametrize(
    ("name", "start", "what"),
    [
        ("net.tflite", b"\x1c\0\0\0TFL3", "a TFLite model"),
        ("net.onnx", b"\x08\x09\x12\x07pytorch", "an ONNX graph"),
    ],
)
@pytest.mark.parametrize("words", [("inspect",), ("parity",), ("export", "onnx"), ("verify", PORTRAIT, "--model")])
def test_networks_of_other_tools_are_not_imported(
    refused: Refused, tmp_path: Path, name: str, start: bytes, what: str, words: tuple[object, ...]
) -> None:
    """Of an ONNX file inspect says that it is no generator: those it reads."""
    foreign = tmp_path / name
    foreign.write_bytes(start + bytes(100))
    out = ("--out", tmp_path / "out.onnx") if words[0] == "export" else ()
    told = refused(*words, foreign, *out)
    if (words[0], foreign.suffix) == ("inspect", ".onnx"):
        assert told == (
            f"{foreign}: not a generator; importing networks of other tools is out of scope; "
            f"expected an ONNX file written by hyper-mcu train, got {what}"
        )
    else:
        assert told == (
            f"{foreign}: no person; importing networks of other tools is out of scope; "
            f"expected a model.h or person.bin of hyper-mcu enroll, got {what}"
        )
    assert not (tmp_path / "out.onnx").exists()
