"""`hyper-mcu export engine` and `export library`."""

from __future__ import annotations

from pathlib import Path

import pytest
from devices import Told
from enrolled import Command
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.package import library


@pytest.fixture
def someone() -> Person:
    """A person of a tiny network."""
    return person(net(TINY))


@pytest.fixture
def model(tmp_path: Path, someone: Person) -> Path:
    """The same as a file."""
    path = tmp_path / "someone.bin"
    path.write_bytes(pack(someone))
    return path


def test_engine_holds_a_network_and_nobodys_data(model: Path, someone: Person, tmp_path: Path, told: Told) -> None:
    out = tmp_path / "hm_engine.h"
    assert told("export", "engine", model, "--out", out) == {
        "model": str(model),
        "form": "engine",
        "files": [{"path": str(out), "bytes": out.stat().st_size}],
    }
    assert out.read_text("ascii") == emit_engine(someone)
    assert someone.name not in out.read_text("ascii")


def test_library_is_a_folder_with_that_engine(
    model: Path, someone: Person, tmp_path: Path, told: Told, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lib"
    said, expected = told("export", "library", model, "--out", out), library(someone)
    assert said.keys() == {"model", "form", "files"}
    assert {f["path"]: f["bytes"] for f in said["files"]} == {str(out / n): len(d) for n, d in expected.items()}
    there = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert there == expected
    assert there["src/hm_engine.h"].decode() == emit_engine(someone)
    assert not [name for name, data in there.items() if pack(someone, for_device=True)[112:] in data]
    assert command("export", "library", model, "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: {sum(map(len, expected.values())):,} B\n"


def test_an_example_that_was_changed_is_not_replaced_and_a_source_is(
    model: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lib"
    assert command("export", "library", model, "--out", out) == 0
    sketch, source = out / "examples/Esp32CamDoor/Esp32CamDoor.ino", out / "src/device/hm_code.c"
    made = source.read_bytes()
    source.write_text("old")
    assert command("export", "library", model, "--out", out) == 0
    assert source.read_bytes() == made
    sketch.write_text("mine")
    capsys.readouterr()
    assert command("export", "library", model, "--out", out) == 2
    assert capsys.readouterr().err == (
        f"{sketch}: would replace code of your own; expected --force, or that code under another name, got neither\n"
    )
    assert sketch.read_text() == "mine"
    assert command("export", "library", model, "--out", out, "--force") == 0
    assert sketch.read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("engine", "--out", "a.txt"), "a.txt: output; expected a name ending in .h, got 'a.txt'"),
        (("engine", "--out", "a.h", "--force"), "--force: export engine replaces a file at --out in any case; "),
        (("library", "--out", "lib", "--prefix", "x"), "--prefix: export library has no C names to choose; "),
        (("library", "--out", "someone.bin"), "someone.bin: cannot write; expected a folder, or a new name in one, "),
    ],
)
def test_what_does_not_go_together_is_one_line(
    model: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("export", words[0], model.name, *words[1:]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["someone.bin"]
