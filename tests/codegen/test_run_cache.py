"""Programs are built once and kept where nobody else may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_model import HEADER, PROBES, need, variant

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.run import KEPT_PROGRAMS, build, run_model
from hyper_mcu.codegen.targets import TARGETS


def test_programs_are_built_once_and_kept_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(("gcc", "host"))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = build(HEADER, TARGETS["host"], taps=False)
    written = first.elf.stat().st_mtime_ns
    assert build(HEADER, TARGETS["host"], taps=False).elf.stat().st_mtime_ns == written
    assert first.elf.is_relative_to(tmp_path / "cache" / "hyper-mcu" / "programs")
    assert first.elf.parent.stat().st_mode & 0o077 == 0
    other = build(variant(tmp_path, ('"fake"', '"other"')), TARGETS["host"], taps=False)
    assert other.elf != first.elf
    assert [p.name for p in first.elf.parent.parent.iterdir() if p.name.startswith(".")] == []


def test_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hyper-mcu").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == (
        f"{tmp_path}/hyper-mcu: cannot be written; "
        "expected space and permission, or another XDG_CACHE_HOME, got file exists"
    )


def test_cache_that_is_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hyper-mcu").symlink_to("elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == f"{tmp_path}/hyper-mcu: not safe to run programs from; expected a folder, got a link"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_cache_keeps_the_newest_builds_and_what_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    programs = tmp_path / "hyper-mcu" / "programs"
    old = [f"{i:032x}" for i in range(KEPT_PROGRAMS + 2)]
    for name in (*old, ".build-killed", ".build-running", "mine", "x" * 32):
        (programs / name).mkdir(parents=True)
    (tmp_path / "hyper-mcu").chmod(0o700)
    programs.chmod(0o700)
    for i, name in enumerate((*old, ".build-killed", "mine")):
        os.utime(programs / name, (1e9 + i, 1e9 + i))
    place = build(HEADER, TARGETS["host"], taps=False).elf.parent
    left = {p.name for p in programs.iterdir()}
    assert left == {place.name, *old[3:], ".build-running", "mine", "x" * 32}


@pytest.mark.parametrize("damage", ["harness", "engine.o"])
def test_half_a_build_in_the_cache_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = build(HEADER, TARGETS["host"], taps=False).elf.parent
    (place / damage).unlink()
    assert (build(HEADER, TARGETS["host"], taps=False).elf.parent / damage).is_file()
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_text_that_was_read_is_what_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "model.h"
    path.write_text("#error changed since it was read\n")
    assert run_model(path, PROBES, text=HEADER.read_text())[0] == run_model(HEADER, PROBES)[0]


@pytest.mark.parametrize("shared", ["hyper-mcu", "hyper-mcu/programs"])
def test_programs_are_not_run_from_where_others_may_write(
    shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("host")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run_model(HEADER, PROBES)
    folder = tmp_path / shared
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == (
        f"{folder}: not safe to run programs from; expected a folder to which nobody else may write, got mode 777"
    )
