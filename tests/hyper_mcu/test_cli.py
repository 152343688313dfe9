"""What holds for every command: its help, its errors in one line, and output that nobody reads or nothing takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from enrolled import PORTRAIT, Command, Refused

from hyper_mcu import cli

PROGRAM = [sys.executable, "-c", "from hyper_mcu.cli import main; main()"]


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from hyper_mcu.cli import group; group(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "onnxruntime", "torch", "rich"} & set(done.stdout.split())
    for name in cli.COMMANDS:
        assert name in done.stdout


def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    for name in cli.COMMANDS:
        assert command(name, "--help") == 0
        assert f"{name} [OPTIONS]" in capsys.readouterr().out


def test_a_bare_call_prints_the_help(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    assert command() == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Usage: hyper-mcu [OPTIONS] COMMAND [ARGS]..."
    assert any(line.startswith("  enroll ") for line in said)


def test_usage_errors_are_one_line(refused: Refused) -> None:
    assert refused("enroll", "a b.jpg") == (
        "hyper-mcu enroll: missing option '--out'; expected what hyper-mcu enroll --help tells, got enroll 'a b.jpg'"
    )
    assert refused("enrol") == "hyper-mcu: no such command 'enrol'; expected what hyper-mcu --help tells, got enrol"
    assert refused("export") == (  # of which click makes several lines
        "hyper-mcu export: missing argument 'tflm|tflite|onnx|c|bin|engine|library'. Choose from: tflm, tflite, onnx, "
        "c, bin, engine, library; "
        "expected what hyper-mcu export --help tells, got export"
    )


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
