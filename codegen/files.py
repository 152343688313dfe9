"""Reading what users name, and writing results: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hyper_mcu.codegen.errors import UserError

MOST_BYTES = 1 << 26  # of a file that is read whole; a model.h of `paper` has 160 KiB


def read(path: Path, expected: str) -> bytes:
    """A whole file; raises UserError where it cannot be read (`expected` says what it should be) or is without end."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as e:
        got = "a folder" if path.is_dir() else (e.strerror or str(e)).lower()
        raise UserError(path, "cannot be read", expected, got) from e
    if len(data) > MOST_BYTES:
        raise UserError(path, "too large", f"{expected}, at most {MOST_BYTES >> 20} MiB", "more")
    return data


def check_place(path: Path) -> None:
    """Raises UserError where `path` cannot become a file: no folder for it, or there is something else than a file."""
    if not path.parent.is_dir():
        raise UserError(path, "cannot write", f"an existing folder {path.parent}", "none")
    if path.is_dir():
        raise UserError(path, "cannot write", "a file name", "a folder")
    if path.is_symlink():
        raise UserError(path, "cannot write", "a file or a new name", "a link")
    if path.exists() and not path.is_file():
        raise UserError(path, "cannot write", "a file or a new name", "a device or pipe")
    if path.exists() and not path.stat().st_mode & 0o200:
        raise UserError(path, "cannot write", "a file that may be written", "a read-only one")


def check_other(option: str, path: Path, given: Iterable[Path]) -> None:
    """Raises UserError where `path`, to be written, is one of the files that were given to be read."""
    for p in given:
        if path.exists() and p.exists() and path.samefile(p):
            raise UserError(option, "would overwrite what is read", "another file", path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to: it becomes `path` at the end, or nothing is left of it.

    What hyper-mcu writes is about people's faces: its owner alone may read it (mode 600, by mkstemp). Raises UserError
    where it cannot be written.
    """
    check_place(path)
    part = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        part = Path(name)
        yield part
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except BaseException as e:  # an interrupted write leaves nothing either
        if part is not None:
            part.unlink(missing_ok=True)
        if not isinstance(e, OSError):
            raise
        raise UserError(path, "cannot write", "space and permission", (e.strerror or str(e)).lower()) from e


def write(path: Path, content: str | bytes) -> None:
    """Writes a whole file, text as UTF-8, by `replacing`."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
