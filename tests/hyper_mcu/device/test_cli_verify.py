"""`hyper-mcu verify --port` as a user meets it: real photos, people who were sent, a device's verdict, the oracle's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devices import Board, compiled, needs_compiler
from enrolled import PORTRAIT, STRANGER, TEAM, Command, Refused

from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.device.process import REPLAY, SELFTEST, Process

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.h of the astronaut."""
    from hyper_mcu.cli.enroll import command

    path = tmp_path_factory.mktemp("other") / "astronaut.h"
    command.main([str(STRANGER), "--out", str(path)], standalone_mode=False)
    return path


@pytest.fixture(scope="module", params=[SELFTEST, REPLAY], ids=["selftest", "replay"])
def build(request: pytest.FixtureRequest) -> str:
    """The macro of a build: one that tells its layers, and one that does not, and verifies for everybody."""
    macro: str = request.param
    return macro


@pytest.fixture(scope="module")
def program(build: str, tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """The device for enrolled people."""
    return compiled(tmp_path_factory.mktemp("device"), person_file(model), defines=(build,))


@pytest.fixture(scope="module")
def process(
    program: Path, tmp_path_factory: pytest.TempPathFactory, model: Path, other: Path, files: Path
) -> Iterator[Process]:
    """The same, started, with yaoming and the astronaut on it, both sent by command."""
    from hyper_mcu.cli.send import command

    with Board(program, tmp_path_factory.mktemp("flash")).start() as started:
        for path in (model, other):
            words = [str(path), "--port", started.line, "--key", str(files / "key.json")]
            command.main(words, standalone_mode=False)
        yield started


@pytest.fixture
def at(process: Process, build: str, files: Path) -> tuple[object, ...]:
    """The words that have it verify."""
    key = () if build == REPLAY else ("--key", files / "key.json")
    return ("--port", process.line, *key)


@pytest.mark.parametrize(("photo", "face", "code"), [(TEAM, "4", 0), (STRANGER, None, 1), (PORTRAIT, None, 0)])
def test_a_device_gives_the_verdict_of_the_model(
    at: tuple[object, ...], build: str, model: Path, photo: Path, face: str | None, code: int, command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["verify", photo, "--model", model, "--json", *(["--face", face] if face else [])]
    told: list[dict[str, Any]] = []
    for place in ((), at):
        capsys.readouterr()
        assert command(*words, *place) == code
        told.append(json.loads(capsys.readouterr().out))
    host, device = told
    same = ["schema_version", "match", "logit", "threshold", "name", "fmr", "fnmr", "faces", "face", "box", "photo"]
    assert {k: device[k] for k in same} == {k: host[k] for k in same}
    assert host["model"] == device["model"] == str(model)
    assert device.keys() - host.keys() == {"port"}
    assert host.keys() <= device.keys()
    assert device["runs"]["host"].keys() - host["runs"]["host"].keys() == {"cycles", "hz"}
    assert device["runs"]["host"]["ram_bytes"] == host["runs"]["host"]["ram_bytes"]
    assert device["layers_sha256"] == (None if build == REPLAY else host["layers_sha256"])


def test_of_several_faces_the_best_is_told(
    at: tuple[object, ...], model: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("verify", TEAM, "--model", model, "--face", "any", *at, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["face"], told["faces"], told["compared"]) == (4, 16, 16)
    assert told["fmr_of_best"] == 1 - (1 - told["fmr"]) ** 16


def test_without_a_model_everybody_on_the_device_is_asked(
    at: tuple[object, ...], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("verify", STRANGER, *at, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["match"], told["model"], told["fmr"]) == ("astronaut", True, None, None)
    assert command("verify", STRANGER, *at, "--person", "yaoming") == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"{STRANGER}: no match for yaoming"
    assert second.startswith("  logit ")
    assert third.startswith(f"  host on {at[1]}, ")


def test_a_device_with_another_person_of_that_name_is_an_error(
    at: tuple[object, ...], build: str, tmp_path: Path, refused: Refused, command: Command
) -> None:
    assert command("enroll", TEAM, "--face", "3", "--name", "yaoming", "--force", "--out", tmp_path / "a.h") == 0
    said = refused("verify", PORTRAIT, "--model", tmp_path / "a.h", *at)
    layer = "layer 8, 1x1, 7x7x64 to 7x7x96, differs from the oracle; expected logit "  # the first of one's own
    assert (layer if build == SELFTEST else "the person on the device is another; hyper-mcu send --replace") in said


def test_what_a_device_does_not_have_is_one_line(at: tuple[object, ...], refused: Refused) -> None:
    assert "nobody of that name is there" in refused("verify", PORTRAIT, *at, "--person", "carol")


def test_a_build_that_is_not_for_replay_asks_for_the_key(
    process: Process, build: str, command: Command, refused: Refused
) -> None:
    if build == REPLAY:
        assert command("verify", PORTRAIT, "--port", process.line) == 0
    else:
        said = refused("verify", PORTRAIT, "--port", process.line)
        assert "verifying needs the device's key; expected --key FILE, got none" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nobody to ask about; expected --model FILE or --port PORT, got neither"),
        (
            ("--port", "auto", "--person", ""),
            "--person: nobody's name; expected a name, or no --person: anybody on the",
        ),
        (("--model", "a.h", "--person", "a"), "--person: of a device; expected --port beside it, got none"),
        (("--model", "a.h", "--key", "k"), "--key: of a device; expected --port beside it, got none"),
        (
            ("--port", "auto", "--target", "m4"),
            "--target: the device is the target; expected --port or --target, got both",
        ),
        (("--port", "auto", "--model", "a.h", "--person", "a"), "--person: MODEL says who it is"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(refused: Refused, words: tuple[str, ...], said: str) -> None:
    assert said in refused("verify", PORTRAIT, *words)


OF_DEVICES = (
    "boards",
    "flash",
    "send",
    "people",
    "people rm",
    "validate",
    "monitor",
    "new-project",
    "key set",
    "verify",
)


@pytest.mark.parametrize("words", OF_DEVICES)
def test_help_imports_nothing_heavy(words: str) -> None:
    code = (
        "import sys; from hyper_mcu.cli import group; "
        f"group([*{words.split()}, '--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "serial", "jinja2", "rich", "onnxruntime", "cryptography", "hyper_mcu.device.client"}
    assert not heavy & set(done.stderr.split())
    assert "Usage: " in done.stdout
