"""The install line of a message works where it is read: this interpreter, and where hyper-mcu came from."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyper_mcu.codegen import install

PIP = "'/a b/python' -m pip install "


class Installed:
    """Stands for the installed distribution, of which only the record of its origin is read."""

    def __init__(self, record: dict[str, object] | None) -> None:
        self.record = record

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.record is None else json.dumps(self.record)


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, PIP + "'hyper-mcu[heic]'"),
        ({"url": "file:///src/my%20mcu", "dir_info": {"editable": True}}, PIP + "-e '/src/my mcu[heic]'"),
        ({"url": "file:///src/mcu", "dir_info": {}}, PIP + "'/src/mcu[heic]'"),
        (
            {"url": "https://example.org/mcu.git", "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}},
            PIP + "'hyper-mcu[heic] @ git+https://example.org/mcu.git@0123abcd'",
        ),
        ({"url": "file:///tmp/hyper_mcu.whl", "archive_info": {}}, PIP + "'/tmp/hyper_mcu.whl[heic]'"),
        (
            {"url": "https://example.org/hyper_mcu.whl", "archive_info": {}},
            PIP + "'hyper-mcu[heic] @ https://example.org/hyper_mcu.whl'",
        ),
    ],
)
def test_an_extra_comes_from_where_hyper_mcu_came_from(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, object] | None, line: str
) -> None:
    monkeypatch.setattr(sys, "executable", "/a b/python")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(record))
    assert install.extra("heic") == line


def test_a_checkout_on_the_path_alone_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(sys, "executable", "python")
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert install.extra("train") == "python -m pip install 'hyper-mcu[train]'"


def test_the_line_is_accepted_by_pip(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "hyper-mcu-nothing"\nversion = "0"\n[project.optional-dependencies]\nheic = []\n'
    )
    line = install.pip(f"{tmp_path}[heic]", "--dry-run", "--no-build-isolation", "--no-deps", "-e")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert "Would install hyper-mcu-nothing" in done.stdout, done.stderr
