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


def write(path: Path, text: str) -> None:
    """Writes a text file beside its name and renames it; raises UserError where it cannot, leaving nothing behind."""
    check_folder(path)
    part = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as f:
            part = f.name
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(part, 0o644 & ~_umask())
        os.replace(part, path)
    except BaseException as e:  # an interrupted write leaves nothing either
        if part:
            Path(part).unlink(missing_ok=True)
        if not isinstance(e, OSError):
            raise
        raise UserError(path, "cannot write", "space and permission", (e.strerror or str(e)).lower()) from e


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
