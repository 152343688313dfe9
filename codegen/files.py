"""Writing results: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyper_mcu.codegen.errors import UserError


def check_folder(path: Path) -> None:
    """Raises UserError where the folder that is to hold `path` does not exist."""
    if not path.parent.is_dir():
        raise UserError(path, "cannot write", f"an existing folder {path.parent}", "none")
    if path.is_dir():
        raise UserError(path, "cannot write", "a file name", "a folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to: it becomes `path` at the end, or nothing is left of it.

    What hyper-mcu writes is about people's faces: its owner alone may read it (mode 600), or who could read the file
    that it replaces. Raises UserError where it cannot be written.
    """
    check_folder(path)
    part = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        part = Path(name)
        yield part
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
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
