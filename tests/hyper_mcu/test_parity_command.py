"""`hyper-mcu parity` as a user meets it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from people import TINY, net, person
from PIL import Image

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import Answers, Backend, table
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.person_bin import pack

ALICE = person(net(TINY))
ALL = table.BACKENDS


@pytest.fixture(params=["model.h", "person.bin"])
def model(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(pack(ALICE) if path.suffix == ".bin" else emit(ALICE).encode())
    return path


def off_by_one(p, shown):
    """Answers whose first logit is one too high."""
    first, *others = [oracle.run(p.qnet, x) for x in shown]
    return Answers((replace(first, logit=first.logit + 1), *others), "tape")


def gone(p, shown):
    raise MissingToolError("m99", "no emulator found", "one", "none")


@pytest.fixture
def also(monkeypatch):
    """Adds backends to the table."""

    def add(*rows):
        monkeypatch.setattr(table, "BACKENDS", (*table.BACKENDS, *rows))

    return add


def test_generated_images_begin_with_the_known_answer(model, command, capsys):
    assert command("parity", model, "--backends", "oracle,onnx", "--count", 1, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema_version"], said["identical"], said["images"], said["source"]) == (1, True, 1, "generated")
    assert [(b["name"], b["status"], b["sha256"]) for b in said["backends"]] == [
        ("oracle", "identical", ALICE.known.layers_sha256),
        ("onnx", "identical", ALICE.known.layers_sha256),
    ]


@pytest.mark.parametrize("wrong", [{"logit": ALICE.known.logit + 1}, {"layers_sha256": "0" * 64}])
def test_known_answer_that_is_not_the_oracles_is_refused(tmp_path, command, capsys, wrong):
    path = tmp_path / "wrong.bin"
    path.write_bytes(pack(replace(ALICE, known=replace(ALICE.known, **wrong))))
    assert command("parity", path, "--backends", "onnx", "--count", 1) == 2
    assert "wrong.bin: known answer; expected the oracle's, " in capsys.readouterr().err


def test_table_names_backends_and_what_they_are_by(model, command, capsys):
    assert command("parity", model, "--backends", "oracle,onnx,ort-qlinear", "--count", 3) == 0
    out = capsys.readouterr().out
    assert "identical: alice on 3 generated images, 1 of 1 exact backends identical to the oracle\n" in out
    assert "\nby NumPy " in out
    assert "onnxruntime " in out
    assert "ort-qlinear: rounds otherwise: " in out


def test_table_is_whole_where_stdout_is_no_terminal(model, command, capsys, also, monkeypatch):
    long = "a-backend-of-a-long-name-" + "x" * 80
    also(Backend(long, "in process", True, lambda p, shown: Answers(tuple(oracle.run(p.qnet, x) for x in shown), "")))
    words = ("parity", model, "--backends", f"onnx,{long}", "--count", 1)
    assert command(*words) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if long in line]
    assert f" identical │ {ALICE.known.layers_sha256[:12]} " in row
    assert out.endswith("identical: alice on 1 generated images, 2 of 2 exact backends identical to the oracle\n")
    assert max(map(len, out.splitlines())) < 200, "no wider than what is in it"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert command(*words) == 0
    assert long not in capsys.readouterr().out


def test_pictures_are_taken_by_name_with_or_without_a_margin(model, tmp_path, command, capsys):
    folder = tmp_path / "crops"
    (folder / "b").mkdir(parents=True)
    rng = np.random.default_rng(1)
    large = rng.integers(0, 256, (TINY.height + 4, TINY.width + 4, 3), np.uint8)
    exact = rng.integers(0, 256, (TINY.height, TINY.width, 3), np.uint8)
    Image.fromarray(large).save(folder / "b" / "1.png")
    Image.fromarray(exact).save(folder / "c.PNG")
    (folder / "a.txt").write_text("no picture")
    assert command("parity", model, "--images", folder, "--backends", "onnx", "--count", 2, "--json") == 0
    (said,) = json.loads(capsys.readouterr().out)["backends"]
    assert said["images"] == 2
    inner = oracle.run(ALICE.qnet, large[2:-2, 2:-2])
    assert command("parity", model, "--images", folder, "--backends", "onnx", "--count", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["backends"][0]["sha256"] == inner.layers_sha256


def test_bytes_of_a_crop_are_taken_and_those_of_another_size_refused(model, tmp_path, command, capsys):
    exact = oracle.known_image(TINY, 5)
    (tmp_path / "a.rgb").write_bytes(exact.tobytes())
    assert command("parity", model, "--images", tmp_path, "--backends", "onnx", "--json") == 0
    assert json.loads(capsys.readouterr().out)["backends"][0]["sha256"] == oracle.run(ALICE.qnet, exact).layers_sha256
    (tmp_path / "b.rgb").write_bytes(exact.tobytes()[1:])
    assert command("parity", model, "--images", tmp_path) == 2
    assert "b.rgb: not a crop; expected 144 bytes, got 143\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((9, 6), "not a crop; expected 6×8 pixels, or an even margin around them, got 6×9"),
        ((7, 5), "not a crop; expected 6×8 pixels, or an even margin around them, got 5×7"),
        (None, "no pictures; expected crops as .rgb, .jpg, .jpeg, .png, .webp, .bmp, got none"),
    ],
)
def test_folder_without_crops_is_refused(model, tmp_path, command, capsys, size, said):
    folder = tmp_path / "crops"
    folder.mkdir()
    if size:
        Image.fromarray(np.zeros((*size, 3), np.uint8)).save(folder / "a.png")
    assert command("parity", model, "--images", folder) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_difference_is_named_and_exits_with_one(model, command, capsys, also):
    also(Backend("planted", "in process", True, off_by_one))
    assert command("parity", model, "--backends", "onnx,planted", "--count", 2) == 1
    out = capsys.readouterr().out
    logit = oracle.run(ALICE.qnet, oracle.known_image(TINY, ALICE.known.seed)).logit
    size = 2 * (sum(layer.size for layer in oracle.run(ALICE.qnet, oracle.known_image(TINY, 7)).layers) + 1)
    first = f"first in image 0, logit: want {logit}, got {logit + 1}"
    assert f"planted: DIFFERENT: 1 of {size} elements and 0 of 2 verdicts are others; {first}\n" in out
    assert out.endswith("DIFFERENT: alice on 2 generated images, 1 of 2 exact backends identical to the oracle\n")


def test_missing_tool_is_not_run_and_never_passes(model, command, capsys, also):
    also(Backend("m99", "emulated", True, gone))
    assert command("parity", model, "--backends", "onnx,m99", "--count", 1) == 0
    assert "m99: not run: m99: no emulator found; expected one, got none" in capsys.readouterr().out
    assert command("parity", model, "--backends", "oracle,m99", "--count", 1, "--json") == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["identical"] is False
    assert captured.err == "parity: no exact backend ran; expected one beside the oracle, got none\n"


@pytest.mark.parametrize(("exact", "word", "code"), [(True, "DIFFERENT", 1), (False, "failed", 0)])
def test_backend_that_fails_is_told_with_its_reason(model, command, capsys, also, exact, word, code):
    def crash(p, shown):
        raise UserError("m98", "the program crashed")

    also(Backend("m98", "in process", exact, crash))
    assert command("parity", model, "--backends", "onnx,m98", "--count", 1) == code
    assert f"\nm98: {word}: m98: the program crashed\n" in capsys.readouterr().out


def test_cores_get_few_images_unless_all_is_asked_for(model, command, capsys, also):
    also(Backend("m99", "emulated", True, lambda p, shown: Answers(tuple(oracle.run(p.qnet, x) for x in shown), "")))
    words = ("parity", model, "--backends", "onnx,m99", "--count", 12, "--json")
    counts = []
    for more in ((), ("--all",)):
        assert command(*words, *more) == 0
        counts.append([b["images"] for b in json.loads(capsys.readouterr().out)["backends"]])
    assert counts == [[12, 10], [12, 12]]


@pytest.mark.parametrize("group", table.GROUPS)
def test_a_group_is_all_backends_of_its_place(group, model, command, capsys, monkeypatch):
    ran = [replace(b, ask=lambda p, shown: Answers(tuple(oracle.run(p.qnet, x) for x in shown), "")) for b in ALL]
    monkeypatch.setattr(table, "BACKENDS", tuple(ran))
    assert command("parity", model, "--backends", f"{group},onnx", "--count", 1, "--json") == 0
    said = json.loads(capsys.readouterr().out)["backends"]
    assert [b["name"] for b in said] == [b.name for b in ALL if b.place == said[-1]["place"] or b.name == "onnx"]
    assert said[-1]["place"].replace(" ", "-") == group


def test_groups_are_the_places_there_are_and_help_lists_them(command, capsys):
    assert {b.place for b in ALL} == set(table.GROUPS.values())
    assert not {b.name for b in ALL} & table.GROUPS.keys()
    assert command("parity", "--help") == 0
    assert ", ".join(table.GROUPS) in " ".join(capsys.readouterr().out.split())


def test_unknown_backend_lists_those_there_are(model, command, capsys):
    assert command("parity", model, "--backends", "m5") == 2
    assert (
        "backend: unknown; expected one of in-process, host, emulated, oracle, twin, onnx, " in capsys.readouterr().err
    )


def test_compiler_that_is_not_there_has_not_run(model, command, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert command("parity", model, "--backends", "onnx,gcc-O2-c11", "--count", 1, "--json") == 0
    (_, gcc) = json.loads(capsys.readouterr().out)["backends"]
    assert gcc["status"] == "not_run"
    assert "Debian: gcc" in gcc["reason"]
