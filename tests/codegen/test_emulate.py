"""The same model.h answers alike on this machine and on every emulated core, and what runs none is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fake_model import CORES, HEADER, PROBES, expected, need

from hyper_mcu.codegen import emulate, install
from hyper_mcu.codegen.emulate import EMULATORS
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.run import build, run_model
from hyper_mcu.codegen.targets import TARGETS, target_named

EMULATE = install.extra("emulate")
PLACES = [("gcc", "host", "auto"), ("clang", "host", "auto"), ("zig", "host", "auto")]
PLACES += [(kind, *core) for core in CORES for kind in TARGETS[core[0]].compilers]


@pytest.mark.parametrize(("kind", "target", "emulator"), PLACES)
def test_every_compiler_target_and_emulator_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, kind: str, target: str, emulator: str
) -> None:
    need((kind, target), (emulator, target))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)
    runs, report = run_model(HEADER, PROBES, target, emulator=emulator)
    for run, probe in zip(runs, PROBES, strict=True):
        logit, layers, digest = expected(probe)
        assert (run.status, run.logit, run.threshold, run.match) == (0, logit, 100, logit >= 100)
        assert (run.layers, run.layers_sha256) == (layers, digest)
        assert run.session_bytes == 40
        assert 4 <= run.stack_bytes <= 400
    assert {r.match for r in runs} == {True, False}
    assert report.emulator.startswith({"auto": "", "unicorn": "unicorn 2", "qemu": "QEMU "}[emulator])
    assert report.person_bytes == (24 if target == "host" else 12) + 8 + len("fake") + 1
    assert 60 < report.code_bytes < 2000


@pytest.mark.parametrize("target", [t.name for t in TARGETS.values() if t.emulators == EMULATORS])
def test_one_elf_runs_on_both_emulators(target: str) -> None:
    need(target, ("unicorn", target), ("qemu", target))
    program = build(HEADER, TARGETS[target], taps=True)
    by = [emulate.run_elf(program.elf, TARGETS[target], b"".join(PROBES), emulator=e) for e in EMULATORS]
    assert [b.code for b in by] == [0, 0]
    assert len(by[0].stdout) == len(by[1].stdout) > 500


@pytest.mark.parametrize(
    ("target", "emulator", "text"),
    [
        ("m4", "auto", f"{EMULATE} or qemu-system-arm on PATH (Debian: qemu-system-arm), got neither"),
        ("m4", "unicorn", f"{EMULATE}, got none"),
        ("m4", "qemu", "qemu-system-arm on PATH (Debian: qemu-system-arm), got none"),
        ("m0", "auto", f"{EMULATE}, got none"),
        ("m55", "auto", "qemu-system-arm on PATH (Debian: qemu-system-arm), got none"),
        ("rv32imc", "qemu", "qemu-system-riscv32 on PATH (Debian: qemu-system-misc), got none"),
    ],
)
def test_missing_emulator_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, emulator: str, text: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as e:
        emulate.find_emulator(target_named(target), emulator)
    assert str(e.value) == f"{target}: no emulator found; expected {text}"


@pytest.mark.parametrize(("target", "emulator"), [("m0", "qemu"), ("m55", "unicorn")])
def test_target_that_an_emulator_lacks_is_named(target: str, emulator: str) -> None:
    with pytest.raises(UserError) as e:
        emulate.find_emulator(target_named(target), emulator)
    assert str(e.value) == f"{target}: {emulator} does not emulate it; expected another emulator, got {emulator}"


@pytest.mark.parametrize("qemu", sorted({t.isa.qemu.name for t in TARGETS.values() if t.isa}))
def test_version_of_qemu_is_told(qemu: str) -> None:
    need(qemu)
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    assert emulate.qemu_version(qemu) in said
