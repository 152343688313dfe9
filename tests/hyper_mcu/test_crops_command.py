"""Aligned crops as files: `verify --crop` writes them, `verify` and `enroll --aligned` read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from enrolled import PORTRAIT, TEAM, Command, Refused
from PIL import Image

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.parse_header import parse


def test_crop_is_what_the_device_is_given(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    raw, picture = tmp_path / "face.rgb", tmp_path / "face.png"
    assert command("verify", TEAM, "--face", "any", "--model", model, "--crop", raw, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert command("verify", TEAM, "--face", told["face"], "--model", model, "--crop", picture) == 0
    crop = np.frombuffer(raw.read_bytes(), np.uint8).reshape(112, 112, 3)
    assert np.array_equal(np.asarray(Image.open(picture)), crop)
    answer = oracle.run(parse(model).person.qnet, crop)
    assert (answer.logit, answer.layers_sha256) == (told["logit"], told["layers_sha256"])
    assert raw.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "start"), [("a.rgb", b""), ("a.BIN", b""), ("a.PNG", b"\x89PNG")])
def test_crops_name_says_what_is_written(
    model: Path, tmp_path: Path, name: str, start: bytes, command: Command
) -> None:
    assert command("verify", PORTRAIT, "--model", model, "--crop", tmp_path / name) == 0
    written = (tmp_path / name).read_bytes()
    assert written.startswith(start)
    assert (len(written) == 112 * 112 * 3) is not bool(start)


def test_crop_that_cannot_be_written_is_one_line(model: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused("verify", PORTRAIT, "--model", model, "--crop", tmp_path / "no" / "face.rgb")
    assert said == f"{tmp_path}/no/face.rgb: cannot write; expected an existing folder {tmp_path}/no, got none"


def test_nothing_that_is_read_is_overwritten(model: Path, tmp_path: Path, refused: Refused) -> None:
    photo, person, kept = tmp_path / "photo.png", tmp_path / "person.bin", PORTRAIT.read_bytes()
    photo.write_bytes(kept)
    person.write_bytes(model.read_bytes())
    for path in (photo, person):
        before = path.read_bytes()
        said = refused("verify", photo, "--model", person, "--crop", path)
        assert said == f"--crop: would overwrite what is read; expected another file, got {path}"
        assert path.read_bytes() == before
    photo = photo.rename(tmp_path / "photo.h")
    said = refused("enroll", photo, "--out", photo)
    assert said == f"--out: would overwrite what is read; expected another file, got {photo}"
    assert photo.read_bytes() == kept


@pytest.mark.parametrize("name", ["face.jpg", "face.webp", "face", "face.rgb.gz"])
def test_crop_of_a_name_that_is_not_what_is_written_is_refused_first(
    tmp_path: Path, name: str, refused: Refused
) -> None:
    words = ("verify", tmp_path / "nobody.jpg", "--model", tmp_path / "none.h", "--crop", tmp_path / name)
    assert refused(*words) == f"{tmp_path}/{name}: crop; expected a name ending in .rgb or .bin or .png, got '{name}'"


def test_a_crop_that_was_written_can_be_asked_about_and_enrolled(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    def told(*words: object) -> dict[str, Any]:
        capsys.readouterr()
        command(*words, "--json")
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    want = told("verify", PORTRAIT, "--model", model, "--crop", tmp_path / "yaoming.rgb")
    first = want["layers_sha256"], want["logit"]
    for name, then in (("yaoming.rgb", "a.png"), ("a.png", "b.bin"), ("b.bin", "yaoming.png")):
        words = ("verify", tmp_path / name, "--aligned", "--model", model, "--crop", tmp_path / then)
        got = told(*words)
        assert (got["layers_sha256"], got["logit"]) == first
    for name in ("yaoming.rgb", "yaoming.png"):
        assert command("enroll", tmp_path / name, "--aligned", "--out", tmp_path / "again.h") == 0
        assert (tmp_path / "again.h").read_bytes() == model.read_bytes()


@pytest.mark.parametrize(("side", "noted"), [(112, True), (128, True), (127, False)])
def test_picture_of_a_crops_size_is_aligned_again_only_with_a_note(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command, side: int, noted: bool
) -> None:
    picture = tmp_path / "yaoming.png"
    assert command("verify", PORTRAIT, "--model", model, "--crop", picture) == 0
    crop = np.asarray(Image.open(picture))
    before, after = (side - 112) // 2, (side - 112 + 1) // 2
    Image.fromarray(np.pad(crop, ((before, after), (before, after), (0, 0)), "edge")).save(picture)
    note = f"{picture}: of an aligned crop's size, but a face was looked for and aligned again; "
    note += "--aligned takes a crop as it is\n"
    for words in (("verify", picture, "--model", model), ("enroll", picture, "--out", tmp_path / "a.h")):
        for aligned in (False, True)[: 1 + noted]:
            capsys.readouterr()
            assert command(*words, "--json", *["--aligned"] * aligned) == 0
            assert capsys.readouterr().err == note * (noted and not aligned)


def test_bad_crops_are_one_line(model: Path, tmp_path: Path, refused: Refused) -> None:
    def say(path: Path, *words: object) -> str:
        return refused("verify", path, "--model", model, *words)

    cut = tmp_path / "cut.rgb"
    cut.write_bytes(bytes(37_631))
    assert say(cut, "--aligned") == f"{cut}: not a crop; expected 37,632 bytes, 112·112 pixels in RGB, got 37,631"
    assert say(cut) == f"{cut}: not a photo; expected JPEG, PNG, WebP, BMP or HEIC, or --aligned for a crop, got .rgb"
    assert say(PORTRAIT, "--aligned").startswith(
        f"{PORTRAIT}: not a crop; expected 112×112 pixels, or 128×128 with a margin, got "
    )
    for words in (("verify", cut, "--model", model), ("enroll", cut, "--out", tmp_path / "a.h")):
        assert refused(*words, "--aligned", "--face", "1") == (
            "--face: an aligned crop is one face; expected no --face beside --aligned, got 1"
        )
    grey = tmp_path / "grey.rgb"
    grey.write_bytes(bytes([100]) * 37_632)
    assert refused("enroll", grey, "--aligned", "--out", tmp_path / "a.h") == (
        f"{grey}: face is too dark; expected at least 30 grey levels from dark to bright, got 0"
    )
