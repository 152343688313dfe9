"""`hyper-mcu flash` and `boards` as a user meets them. No board is here: writers are programs that note how they were
called; the build before them is real."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from devices import Told
from enrolled import Command, Refused
from ports import Plugged, info, st_link

from hyper_mcu.device.boards import BOARDS

needs_build = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "make", "arm-none-eabi-gcc"))), reason="no cmake, make or arm-none-eabi-gcc"
)
WRITERS = ("openocd", "st-flash", "pyocd", "esptool")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes PATH hold a writer that notes its words, and fails as often as it is told to; the file of notes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setattr("importlib.util.find_spec", _no_writers(importlib.util.find_spec))

    def make(name: str, failures: int = 0, says: str = "Error: open failed") -> Path:
        notes = tmp_path / "notes"
        script = (
            f"#!/bin/sh\necho \"$@ in $PWD\" >> '{notes}'\n"
            f"[ $(wc -l < '{notes}') -gt {failures} ] && exit 0\necho '{says}' >&2\nexit 1\n"
        )
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
        return notes

    return make


def _no_writers(find: Callable[..., Any]) -> Callable[..., Any]:
    return lambda name, *rest: None if name in WRITERS else find(name, *rest)


@needs_build
def test_a_board_is_built_and_written(tools: Callable[..., Path], told: Told) -> None:
    notes = tools("openocd")
    said = told("flash", "--board", "nucleo-f411re")
    assert (said["board"], said["writer"], said["written"], said["missing"]) == ("nucleo-f411re", "openocd", True, [])
    elf = Path(said["folder"]) / "build" / "verify.elf"
    assert elf.read_bytes().startswith(b"\x7fELF")
    assert not elf.with_suffix(".bin").exists()  # which would hold the sectors of the key and the log
    (once,) = notes.read_text().splitlines()
    assert once == (
        f"-f interface/stlink.cfg -f target/stm32f4x.cfg -c adapter speed 1800 -c program verify.elf verify reset exit"
        f" in {elf.parent}"
    )
    assert told("flash", "--board", "nucleo-f411re")["folder"] == said["folder"]  # built once


@needs_build
def test_a_project_is_written_from_wherever_it_is(
    tools: Callable[..., Path], told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tools("openocd")
    monkeypatch.chdir(tmp_path)
    told("new-project", "--board", "nucleo-f411re", "--out", "my [board]")
    told("flash", "--project", "my [board]")
    assert notes.read_text().endswith(f"program verify.elf verify reset exit in {tmp_path}/my [board]/build\n")
    assert (tmp_path / "my [board]" / "build" / "verify.elf").is_file()


@needs_build
def test_a_writer_that_fails_is_tried_again_at_a_lower_rate(
    tools: Callable[..., Path], told: Told, refused: Refused
) -> None:
    notes = tools("openocd", failures=1)
    said = told("flash", "--board", "nucleo-l476rg")
    (command,) = said["write"]
    assert "adapter speed 480" in command
    assert (Path(said["folder"]) / "build" / "verify.bin").is_file()
    rates = [line.partition("adapter speed ")[2].split()[0] for line in notes.read_text().splitlines()]
    assert rates == ["1800", "480"]
    notes.unlink()
    tools("openocd", failures=9)
    said = refused_last(refused, "flash", "--board", "nucleo-l476rg")
    assert "openocd: the board was not written: Error: open failed; expected connect the ST-Link's USB" in said


def refused_last(refused: Refused, *words: object) -> str:
    """The last line of a refusal that tells of its tries before."""
    line = [sys.executable, "-c", "from hyper_mcu.cli import main; main()", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


def test_a_dry_run_prints_the_commands_and_what_is_missing(
    tools: Callable[..., Path], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("flash", "--board", "esp32-cam", "--port", "/dev/ttyUSB7", "--dry-run") == 0
    out, err = capsys.readouterr()
    build, write, slower = out.splitlines()
    folder = shlex.split(build)[1]
    assert build == f"cd {folder} && idf.py build"
    assert write == (
        f"cd {folder}/build && esptool --chip esp32 --port /dev/ttyUSB7 --baud 460800 write_flash @flash_args"
    )
    assert slower.startswith("# or at 115,200: esptool --chip esp32 --port /dev/ttyUSB7 --baud 115200 ")
    assert "flash: needs idf.py; expected idf.py on PATH" in err
    assert "-m pip install esptool" in err
    assert (Path(folder) / "sdkconfig.defaults").is_file()  # so that the commands can be given


def test_without_a_board_on_a_port_it_is_named_in_a_dry_run_and_an_error_else(
    tools: Callable[..., Path], told: Told, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")
    monkeypatch.setattr("hyper_mcu.device.find.attached", list)
    tools("esptool")
    tools("idf.py")
    assert told("flash", "--board", "esp32-s3-eye", "--dry-run")["port"] == "PORT"
    assert "--port auto: no board found" in refused("flash", "--board", "esp32-s3-eye")


@pytest.mark.parametrize(
    ("board", "writer", "words"),
    [
        ("nucleo-f411re", "openocd", ["-c", "adapter serial 0670FF52"]),
        ("nucleo-f411re", "pyocd", ["-u", "0670FF52"]),
        ("nucleo-u575zi-q", "st-flash", ["--serial=0670FF52"]),
    ],
)
def test_the_probe_of_the_port_is_the_one_that_writes(
    tools: Callable[..., Path], told: Told, plugged: Plugged, board: str, writer: str, words: list[str]
) -> None:
    tools(writer)
    plugged(st_link("/dev/ttyACM0", "066BFF51"), st_link("/dev/ttyACM3", "0670FF52"))
    said = told("flash", "--board", board, "--writer", writer, "--port", "/dev/ttyACM3", "--dry-run")
    assert (said["port"], said["probe"]) == (None, "0670FF52")
    for line in said["write"]:
        at = line.index(words[-1])
        assert line[at + 1 - len(words) : at + 1] == words
    plugged(st_link("/dev/ttyACM0", "066BFF51"))
    said = told("flash", "--board", board, "--writer", writer, "--dry-run")
    assert said["probe"] is None
    assert not any("serial" in word or word == "-u" for line in said["write"] for word in line)


def test_a_port_without_a_probe_writes_nothing(
    tools: Callable[..., Path], told: Told, plugged: Plugged, refused: Refused
) -> None:
    for tool in ("openocd", "cmake", "arm-none-eabi-gcc"):
        notes = tools(tool)
    plugged(st_link("/dev/ttyACM0", "066BFF51"), st_link("/dev/ttyACM1", "0670FF52"))
    words = ("flash", "--board", "nucleo-f411re")
    said = refused(*words, "--port", "/dev/ttyACM3")
    assert said == (
        "--port: no serial number of a debug probe is known for it; expected one of a debug probe that hyper-mcu "
        "boards --ports lists, or no --port with a single probe plugged in, got /dev/ttyACM3"
    )
    assert "several debug probes; expected --port with the serial port of one, got /dev/ttyACM0" in refused(*words)
    assert not notes.exists()
    said = told(*words, "--port", "/dev/ttyACM3", "--dry-run")
    assert said["probe"] == "SERIAL"
    assert "adapter serial SERIAL" in said["write"][0]


def test_binaries_are_not_written_over_people_and_key(tools: Callable[..., Path], refused: Refused) -> None:
    """st-flash writes one piece; an F4's key and gate lie within it, a U5's lie behind it."""
    tools("st-flash")
    said = refused("flash", "--board", "nucleo-f411re", "--writer", "st-flash", "--dry-run")
    assert said == "--writer: st-flash does not write this board; expected openocd or pyocd, got st-flash"


def test_a_board_whose_image_is_one_piece_may_be_written_by_st_flash(tools: Callable[..., Path], told: Told) -> None:
    tools("st-flash")
    (first, _) = told("flash", "--board", "nucleo-u575zi-q", "--dry-run")["write"]
    assert first[1:5] == ["--reset", "--connect-under-reset", "--freq=1800", "write"]
    assert first[5] == "verify.bin"
    assert first[6] == "0x08000000"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which firmware; expected --board or --project, got neither"),
        (
            ("--board", "host"),
            "--board: a program of this machine, which hyper-mcu new-project --board host makes; "
            "expected a board to write, got host",
        ),
        (("--board", "m4"), "got m4"),
        (("--board", "nucleo-f411re", "--writer", "esptool"), "esptool does not write this board"),
        (("--project", "."), "hyper-mcu.json: cannot be read; expected a folder of hyper-mcu new-project"),
    ],
)
def test_what_cannot_be_flashed_is_one_line(
    tools: Callable[..., Path], refused: Refused, words: tuple[str, ...], said: str
) -> None:
    assert said in refused("flash", *words)


@pytest.mark.parametrize("change", [{"app": "../../x"}, {"build": "bazel"}, {"board": 7}, {"app": None}])
def test_a_damaged_project_is_one_line(
    tools: Callable[..., Path], told: Told, refused: Refused, tmp_path: Path, change: dict[str, Any]
) -> None:
    about = tmp_path / "door" / "hyper-mcu.json"
    told("new-project", "--board", "nucleo-f411re", "--out", about.parent)
    about.write_text(json.dumps(json.loads(about.read_text()) | change))
    said = refused("flash", "--project", about.parent, "--dry-run")
    assert said.startswith("--board: unknown" if "board" in change else f"{about}: damaged")


def test_a_missing_writer_is_named_with_its_install_line(tools: Callable[..., Path], refused: Refused) -> None:
    if not all(map(shutil.which, ("cmake", "arm-none-eabi-gcc"))):
        pytest.skip("no cmake or arm-none-eabi-gcc on PATH")
    if shutil.which("openocd"):
        pytest.skip("openocd is installed")
    said = refused("flash", "--board", "nucleo-f411re")
    assert said.startswith("flash: nothing to write the board with; expected openocd on PATH (Debian: openocd) or ")
    assert "-m pip install pyocd" in said


def test_boards_are_listed(told: Told, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    rows = told("boards")["boards"]
    assert [r["name"] for r in rows] == list(BOARDS)
    assert all(r["proven"] and r["line"] and r["builds"] for r in rows)
    assert {r["name"] for r in rows if r["emulated"]} == {"host", "m4", "netduinoplus2-qemu"}
    assert command("boards") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in BOARDS)


def test_ports_of_this_machine_are_listed(
    told: Told, command: Command, capsys: pytest.CaptureFixture[str], plugged: Plugged
) -> None:
    plugged(info("/dev/ttyS0"), info("/dev/ttyUSB9", 0x1234, 0x5678), st_link("/dev/ttyACM0", "066BFF51"))
    assert told("boards", "--ports")["ports"] == [
        {"port": "/dev/ttyACM0", "usb": "0483:374b", "bridge": "ST-Link"},
        {"port": "/dev/ttyUSB9", "usb": "1234:5678", "bridge": None},
    ]
    assert command("boards", "--ports") == 0
    assert capsys.readouterr().out == "/dev/ttyACM0 (ST-Link)\n/dev/ttyUSB9 (USB 1234:5678)\n"
