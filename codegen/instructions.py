"""Counting the instructions that Unicorn executes, exactly, at a few per cent of its time.

A Python callback a block would cost thirty times the emulation, so the callback is C (firmware/harness/count_blocks.c),
compiled once for this machine and kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.targets import TARGETS, Isa
from hyper_mcu.codegen.toolchain import cache_dir, compile_library, find_toolchain, private_dir

SOURCE = Path(__file__).parent.parent / "firmware" / "harness" / "count_blocks.c"


class _BlockCounter(ctypes.Structure):
    """block_counter of count_blocks.c."""

    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("elsewhere", ctypes.c_uint64),
        ("origin", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("code", ctypes.c_void_p),
        ("known", ctypes.c_void_p),
    )


@cache
def counter_library() -> Path | None:
    """The compiled callback, or None where this machine has no compiler for it."""
    try:
        tools = find_toolchain(TARGETS["host"])
    except UserError:
        return None
    key = hashlib.sha256(repr(tools).encode() + SOURCE.read_bytes()).hexdigest()[:16]
    library = private_dir(cache_dir()) / f"count_blocks-{key}.so"
    if not library.is_file():
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as folder:  # another thread may be here
            part = Path(folder) / library.name
            compile_library(SOURCE, part, tools)
            part.replace(library)
    return library


def count(uc: Any, library: Path, isa: Isa, origin: int, code: bytes) -> Callable[[], int | None]:
    """Begins to count in the Unicorn instance `uc`, whose instructions, of `isa`, are `code` at `origin`.

    Returns a function for the instructions executed so far; None if some lay outside the code or Unicorn's binding is
    laid out in another way than in 2.1.
    """
    unicorn: Any = import_module("unicorn")  # untyped
    held = ctypes.create_string_buffer(code, len(code))
    known = (ctypes.c_uint32 * (len(code) // 2 + 1))()
    counter = _BlockCounter(0, 0, origin, len(code), ctypes.addressof(held), ctypes.addressof(known))
    try:
        hook_add, handle = unicorn.unicorn_py3.unicorn.uclib.uc_hook_add, uc._uch
    except AttributeError:
        return lambda: None
    callback = ctypes.cast(getattr(ctypes.CDLL(str(library)), f"count_{isa.name}"), ctypes.c_void_p)
    everywhere = (ctypes.c_uint64(1), ctypes.c_uint64(0))  # begin > end
    hook = ctypes.c_size_t()
    kind = ctypes.c_int(unicorn.unicorn_const.UC_HOOK_BLOCK)
    failed = hook_add(handle, ctypes.byref(hook), kind, callback, ctypes.byref(counter), *everywhere)

    def so_far(keep: object = (held, known)) -> int | None:  # Unicorn holds bare pointers: these must outlive it
        return None if failed or counter.elsewhere else int(counter.instructions)

    return so_far
