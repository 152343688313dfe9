"""`hyper-mcu enroll` as a user meets it: what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from enrolled import PORTRAIT, STRANGER, TEAM, Command, Refused
from PIL import Image

from hyper_mcu import enroll, generator
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.faces import face_crops
from hyper_mcu.faces.backbone import backbone


def quiet(step: str) -> None:
    """No clock."""


def test_enrolled_header_holds_the_person(model: Path) -> None:
    p = parse(model).person
    assert (p.name, p.qnet.spec.id) == ("yaoming", "paper@1")
    assert p.provenance.backbone == "mbf-w600k"
    assert PORTRAIT.name not in model.read_text()


def test_header_is_its_owners_alone(tmp_path: Path, command: Command) -> None:
    header = tmp_path / "model.h"
    for _ in range(2):
        assert command("enroll", PORTRAIT, "--out", header) == 0
        assert header.stat().st_mode & 0o777 == 0o600
        header.chmod(0o644)


def test_enrolment_is_reproducible(model: Path, tmp_path: Path, command: Command) -> None:
    assert command("enroll", PORTRAIT, "--out", tmp_path / "again.h", "--name", "yaoming") == 0
    assert (tmp_path / "again.h").read_bytes() == model.read_bytes()


def test_several_photos_go_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command) -> None:
    assert command("enroll", PORTRAIT, STRANGER, "--out", tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(p["model"]).name for p in told["people"]] == ["yaoming.h", "astronaut.h"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["astronaut.h", "yaoming.h"]


def test_photos_named_in_other_scripts_are_different_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    zhang, li = tmp_path / "張偉.jpg", tmp_path / "李.jpg"
    zhang.write_bytes(PORTRAIT.read_bytes())
    li.write_bytes(STRANGER.read_bytes())
    assert command("enroll", zhang, li, "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    for text, photo, name in zip(said, (zhang, li), ("u5f35_u5049", "u674e"), strict=True):
        assert text.startswith(f"{photo} → {out}/{name}.h: {name}, ")
        assert parse(out / f"{name}.h").person.name == name


def test_name_given_is_the_name_of_the_header_in_a_folder(tmp_path: Path, command: Command) -> None:
    assert command("enroll", PORTRAIT, "--out", tmp_path, "--name", "bob") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["bob.h"]
    assert parse(tmp_path / "bob.h").person.name == "bob"


def test_one_bad_photo_does_not_lose_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    out = tmp_path / "out"
    out.mkdir()
    assert command("enroll", bad, PORTRAIT, "--out", out) == 2
    assert [p.name for p in out.iterdir()] == ["yaoming.h"]
    assert str(bad) in capsys.readouterr().err


def test_mean_of_several_photos_makes_one_person(
    research_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    photos = sorted((research_faces / "raw").glob("001-frontal-*.jpg"))[:3]
    out = tmp_path / "model.h"
    assert command("enroll", "--average", *photos, "--out", out, "--name", "one", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["people"]
    assert ([p["photo"] for p in one["photos"]], one["model"]) == ([str(p) for p in photos], str(out))
    e = [enroll.embedding(face_crops(p, None, "enrol")[0], backbone().name, quiet)[0] for p in photos]
    mean = np.mean(e, 0, keepdims=True)
    made = enroll.person("one", mean / np.linalg.norm(mean), generator.load(), quiet)
    p = parse(out).person
    assert p.name == "one"
    assert abs(p.threshold / made.threshold - 1) < 1e-4
    weights = [
        np.concatenate([q.weight.ravel() for q in qnet.stages if q is not None]).astype(int)
        for qnet in (p.qnet, made.qnet)
    ]
    assert (abs(weights[0] - weights[1]) <= 1).all()
    assert command("enroll", "--average", *photos, "--out", out, "--name", "one") == 0
    assert f"{enroll.SEVERAL})" in capsys.readouterr().out
    assert parse(out).person.rates_on == generator.load().rates.on() + enroll.SEVERAL


def test_mean_of_one_photo_is_that_photo(model: Path, tmp_path: Path, command: Command) -> None:
    assert command("enroll", "--average", PORTRAIT, "--out", tmp_path, "--format", "h") == 0
    assert (tmp_path / "yaoming.h").read_bytes() == model.read_bytes()


def test_photos_of_two_people_make_no_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    words = ("enroll", "--average", PORTRAIT, STRANGER, "--out", tmp_path / "m.h")
    assert command(*words) == 2
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert re.fullmatch(
        rf"{PORTRAIT}: shows another person than {STRANGER}; expected a cosine of at least 0\.25, got -?0\.[01]\d",
        first,
    )
    assert second.startswith(f"{STRANGER}: shows another person than {PORTRAIT}; ")
    assert not (tmp_path / "m.h").exists()
    assert command(*words, "--force", "--json") == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [f"{said}; enrolled all the same (--force)" for said in (first, second)]
    (one,) = json.loads(out)["people"]
    assert [p["overridden"] for p in one["photos"]] == [[first], [second]]
    assert parse(tmp_path / "m.h").person.name == "yaoming"


def test_stranger_among_photos_is_named_alone(
    research_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    own = sorted((research_faces / "raw").glob("001-frontal-*.jpg"))[:2]
    assert command("enroll", "--average", own[0], STRANGER, own[1], "--out", tmp_path / "m.h", "--json") == 2
    out, err = capsys.readouterr()
    (said,) = err.splitlines()
    assert said.startswith(f"{STRANGER}: shows another person than the others; expected a cosine of at least 0.25 to ")
    assert (json.loads(out)["people"], json.loads(out)["refused"]) == ([], [said])


def test_each_refused_photo_of_a_person_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    assert command("enroll", "--average", PORTRAIT, bad, TEAM, "--out", tmp_path / "m.h") == 2
    out, err = capsys.readouterr()
    assert (out, [line.split(": ")[0] for line in err.splitlines()]) == ("", [str(bad), str(TEAM)])
    assert [p.name for p in tmp_path.iterdir()] == ["bad.jpg"]


def test_poor_photo_is_enrolled_by_force_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command, refused: Refused
) -> None:
    blurred = tmp_path / "blurred.png"
    cv2.imwrite(str(blurred), cv2.GaussianBlur(cv2.imread(str(PORTRAIT)), (0, 0), 6))
    why = refused("enroll", blurred, "--out", tmp_path / "m.h")
    assert why.startswith(f"{blurred}: face is blurred; ")
    assert command("enroll", blurred, "--out", tmp_path / "m.h", "--force", "--json") == 0
    out, err = capsys.readouterr()
    (one,) = json.loads(out)["people"]
    (photo,) = one["photos"]
    assert photo["overridden"][0] == why
    assert err.splitlines() == [f"{said}; enrolled all the same (--force)" for said in photo["overridden"]]
    assert parse(tmp_path / "m.h").person.qnet.sha256() == one["qnet_sha256"]


def test_face_of_which_the_backbone_sees_little_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command, refused: Refused
) -> None:
    (crop,) = face_crops(PORTRAIT, None, "enrol")
    grain = np.random.default_rng(0).normal(0, 90, crop.pixels.shape)
    noisy = tmp_path / "noisy.png"
    Image.fromarray((crop.pixels + grain).clip(0, 255).astype(np.uint8)).save(noisy)
    words = ("enroll", noisy, "--aligned", "--out", tmp_path / "m.h")
    why = refused(*words)
    assert re.fullmatch(
        rf"{noisy}: backbone sees little of a face; expected an embedding at least 17\.0 long, got 1[0-6]\.\d", why
    )
    assert command(*words, "--force", "--json") == 0
    (photo,) = json.loads(capsys.readouterr().out)["people"][0]["photos"]
    assert photo["overridden"] == [why]
    assert photo["norm"] < 17


def test_force_does_not_choose_a_face_nor_read_what_is_no_photo(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    Image.new("RGB", (300, 200), (90, 120, 200)).save(tmp_path / "sky.png")
    for photo, why in ((TEAM, "16 faces"), (tmp_path / "bad.jpg", "not a photo"), (tmp_path / "sky.png", "no face")):
        assert refused("enroll", photo, "--out", tmp_path / "m.h", "--force").startswith(f"{photo}: {why}")
    assert not (tmp_path / "m.h").exists()


def test_bad_calls_of_enroll_are_one_line(tmp_path: Path, refused: Refused) -> None:
    def say(*words: object) -> str:
        return refused("enroll", *words)

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


def test_header_with_another_prefix_gives_the_same_answer(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Command
) -> None:
    path = tmp_path / "a.h"
    assert command("enroll", PORTRAIT, "--out", path, "--prefix", "second") == 0
    assert "second_verify(" in path.read_text()
    said = []
    for header in (model, path):
        capsys.readouterr()
        assert command("verify", STRANGER, "--model", header, "--json") == 1
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["layers_sha256"] == said[1]["layers_sha256"]


def test_nobody_is_told_about_an_enrolment(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    words = ["enroll", str(PORTRAIT), "--out", str(tmp_path / "a.h")]
    code = "from hyper_mcu.cli import main; main()"
    environment["HOME"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", code, *words], env=environment, check=True, capture_output=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h"]
