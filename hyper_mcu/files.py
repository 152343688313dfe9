"""Writing results: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hyper_mcu.codegen.errors import UserError


def check_folder(path: Path) -> None:
    """Raises UserError where the folder that is to hold `path` does not exist."""
    if not path.parent.is_dir():
        raise UserError(path, "cannot write", f"an existing folder {path.parent}", "none")
    if path.is_dir():
        raise UserError(path, "cannot write", "a file name", "a folder")


def write(path: Path, content: str | bytes) -> None:
    """Writes a file beside its name and renames it; raises UserError where it cannot, leaving nothing behind.

    Text is written as UTF-8. What hyper-mcu writes is about a person's face: its owner alone may read it (mode 600),
    or who could read the file that it replaces.
    """
    check_folder(path)
    part = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as f:
            part = f.name
            f.write(content.encode() if isinstance(content, str) else content)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(part, path.stat().st_mode & 0o777 if path.exists() else 0o600)
        os.replace(part, path)
    except BaseException as e:  # an interrupted write leaves nothing either
        if part:
            Path(part).unlink(missing_ok=True)
        if not isinstance(e, OSError):
            raise
        raise UserError(path, "cannot write", "space and permission", (e.strerror or str(e)).lower()) from e
