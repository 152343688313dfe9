"""A result names the program that made it: its version, and the commit where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hyper_mcu import __version__
from hyper_mcu.hypertrain import provenance


def test_installed_program_knows_its_version_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.program() == {"version": __version__}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_checkout_names_its_commit_and_whether_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def git(*words: str) -> str:
        own = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *own, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    commit = git("rev-parse", "--short", "HEAD")
    assert provenance.program() == {"version": __version__, "commit": commit}
    (tmp_path / "a").write_text("2")
    assert provenance.program()["commit"] == f"{commit}-dirty"
