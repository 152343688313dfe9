"""Writing results: whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError


def test_written_text_is_all_that_is_left(tmp_path: Path) -> None:
    files.write(tmp_path / "a.h", "α\n")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h"]
    assert (tmp_path / "a.h").read_text(encoding="utf-8") == "α\n"


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        files.write(tmp_path / "no" / "a.h", "x")
    assert str(e.value) == f"{tmp_path}/no/a.h: cannot write; expected an existing folder {tmp_path}/no, got none"


def test_folder_as_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        files.write(tmp_path, "x")
    assert str(e.value) == f"{tmp_path}: cannot write; expected a file name, got a folder"


def test_links_devices_and_read_only_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own.h").write_text("own")
    (tmp_path / "link.h").symlink_to("own.h")
    os.mkfifo(tmp_path / "pipe.h")
    (tmp_path / "fixed.h").write_text("fixed")
    (tmp_path / "fixed.h").chmod(0o444)
    for name, text in (
        ("link.h", "cannot write; expected a file or a new name, got a link"),
        ("pipe.h", "cannot write; expected a file or a new name, got a device or pipe"),
        ("fixed.h", "cannot write; expected a file that may be written, got a read-only one"),
    ):
        with pytest.raises(UserError) as e:
            files.write(tmp_path / name, "x")
        assert str(e.value) == f"{tmp_path}/{name}: {text}"
    assert (tmp_path / "own.h").read_text() == "own"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed.h", "link.h", "own.h", "pipe.h"]


def full(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `write` says when the disk is full, with an older file at the same name."""
    path.write_text("old")

    def no_space(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UserError) as e:
        files.write(path, "new")
    return str(e.value)


def test_full_disk_keeps_the_old_file_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h"
    said = full(path, monkeypatch)
    assert said == f"{path}: cannot write; expected space and permission, got no space left on device"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


FULL = """
import resource, signal, sys
from pathlib import Path
from hyper_mcu.codegen import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))  # no file beyond 64 KiB: a real write fails half way
try:
    files.write(Path(sys.argv[1]), "x" * 200_000)
except files.UserError as e:
    print(e)
"""


def test_a_write_that_really_fails_half_way_is_one_line_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h"
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}: cannot write; expected space and permission, got file too large\n"
    assert list(tmp_path.iterdir()) == []
