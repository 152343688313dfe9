"""A refused command, and a person who is enrolled once."""

from __future__ import annotations

from pathlib import Path

import pytest
from enrolled import PORTRAIT, Command, Refused


@pytest.fixture
def refused(command: Command, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line on stderr of a refused `hyper-mcu WORDS`."""

    def run(*words: object) -> str:
        capsys.readouterr()
        assert command(*words) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err.rstrip("\n")

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.h of the portrait, written by `enroll`."""
    from hyper_mcu.cli.enroll import command

    path = tmp_path_factory.mktemp("model") / "model.h"
    command.main([str(PORTRAIT), "--out", str(path)], standalone_mode=False)
    return path
