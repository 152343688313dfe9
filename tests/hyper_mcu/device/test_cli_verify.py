"""`hyper-mcu verify --port` as a user meets it: real photos, people who were sent, a device's verdict, the oracle's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from c_programs import HOST
from devices import NO_COMPILER, Board, compiled
from enrolled import PORTRAIT, STRANGER, TEAM, Command, Refused

from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.device.process import Process

pytestmark = pytest.mark.skipif(not HOST, reason=NO_COMPILER)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.h of the astronaut."""
    from hyper_mcu.cli.enroll import command

    path = tmp_path_factory.mktemp("other") / "astronaut.h"
    command.main([str(STRANGER), "--out", str(path)], standalone_mode=False)
    return path


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Path]:
    """The device for enrolled people: a selftest build, and a replay build that tells no layers."""
    folders = tmp_path_factory.mktemp("selftest"), tmp_path_factory.mktemp("replay")
    defines = ("HM_SELFTEST=1",), ("HM_REPLAY=1",)
    built = [compiled(f, person_file(model), defines=d) for f, d in zip(folders, defines, strict=True)]
    return built[0], built[1]


@pytest.fixture(scope="module", params=[0, 1], ids=["selftest", "replay"])
def device(
    request: pytest.FixtureRequest, programs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory,
    model: Path, other: Path, files: Path,
) -> Iterator[Process]:  # fmt: skip
    """One of them, with yaoming and the astronaut on it, both sent by command."""
    from hyper_mcu.cli.send import command

    with Board(programs[request.param], tmp_path_factory.mktemp("flash")).start() as process:
        for path in (model, other):
            words = [str(path), "--port", process.line, "--key", str(files / "key.json")]
            command.main(words, standalone_mode=False)
        yield process


@pytest.fixture
def at(device: Process, files: Path, request: pytest.FixtureRequest) -> tuple[object, ...]:
    """The words that reach it."""
    key = () if "replay" in request.node.name else ("--key", files / "key.json")
    return ("--port", device.line, *key)


@pytest.mark.parametrize(("photo", "face", "code"), [(TEAM, "4", 0), (STRANGER, None, 1), (PORTRAIT, None, 0)])
def test_a_device_gives_the_verdict_of_the_model(
    at: tuple[object, ...], model: Path, photo: Path, face: str | None, code: int, command: Command,
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
    assert device["layers_sha256"] == (None if "--key" not in at else host["layers_sha256"])


def test_of_several_faces_the_best_is_told(
    at: tuple[object, ...], model: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--key" in at:
        return  # one device is enough for sixteen faces
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
    at: tuple[object, ...], tmp_path: Path, refused: Refused, command: Command
) -> None:
    assert command("enroll", TEAM, "--face", "3", "--name", "yaoming", "--force", "--out", tmp_path / "a.h") == 0
    said = refused("verify", PORTRAIT, "--model", tmp_path / "a.h", *at)
    assert " differs from the oracle; " in said or "the person on the device is another" in said


def test_what_a_device_does_not_have_is_one_line(at: tuple[object, ...], refused: Refused) -> None:
    assert "nobody of that name is there" in refused("verify", PORTRAIT, *at, "--person", "carol")


def test_a_product_build_asks_for_the_key(device: Process, refused: Refused, request: pytest.FixtureRequest) -> None:
    if "replay" in request.node.name:
        return
    said = refused("verify", PORTRAIT, "--port", device.line)
    assert "verifying needs the device's key; expected --key FILE, got none" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nobody to ask about; expected --model FILE or --port PORT, got neither"),
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
