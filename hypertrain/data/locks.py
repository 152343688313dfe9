"""Who may write what in the cache: for each set one process at a time.

All who write share CACHE/lock; who finds nobody else there clears up first. CACHE/lock-SET is for one alone.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event, Progress, silent

# Half files of processes that were killed, as files.replacing names them.
LEFT = (".images-*", ".index-*", ".parquet-*", ".broken-*", "embeddings/*/.*", "photos-*/.*")


def name_of(root: Path) -> str:
    """The name in the cache of the set in `root`, a folder or a file."""
    path = root.resolve()
    return f"{path.name}-{hashlib.blake2b(str(path).encode(errors='surrogateescape'), digest_size=4).hexdigest()}"


@contextmanager
def alone(cache: Path, root: Path, progress: Progress = silent) -> Iterator[None]:
    """Waits until no other process prepares the set in `root`, and keeps others from it until the end; the folder is
    made. Raises UserError where it cannot be written."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        everybody, own = (cache / "lock").open("w"), (cache / f"lock-{name_of(root)}").open("w")
    except OSError as e:
        raise UserError(cache, "cannot write", "a folder for the cache", (e.strerror or str(e)).lower()) from e
    with everybody, own:
        if _taken(everybody, fcntl.LOCK_EX):
            _clear(cache)
        _wait(everybody, fcntl.LOCK_SH, f"waiting for another process that clears up {cache}", progress)
        _wait(own, fcntl.LOCK_EX, f"waiting for another process that prepares {root}", progress)
        yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """For what takes no time: the lock of this name, without a word."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait(lock: TextIO, kind: int, said: str, progress: Progress) -> None:
    if not _taken(lock, kind):
        progress(Event(said))
        fcntl.flock(lock, kind)


def _taken(lock: TextIO, kind: int) -> bool:
    """Whether it could be had at once."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(cache: Path) -> None:
    """Deletes half files, which nobody is writing."""
    for left in LEFT:
        for path in filter(Path.is_file, cache.glob(left)):
            path.unlink(missing_ok=True)
