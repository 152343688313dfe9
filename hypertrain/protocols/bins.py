"""InsightFace's .bin files: a pickle of (encoded images, two a pair; whether each pair is of one person).

A pickle may name any function of any module, to be called while it is read. Here the names that those files hold stand
for functions of this module, which keep bytes and do nothing else; every other name is refused. So is what builds
dictionaries, sets or other objects, which those files do not hold: a key may take for ever to be hashed.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError

EXPECTED = "a pickle of encoded images and of which pairs are the same person"


class _Array:
    """What stands for a NumPy array or number while it is unpickled: its type's name and bytes."""

    __slots__ = ("content", "kind")

    def __init__(self, kind: str = "", content: bytes = b"") -> None:
        self.kind, self.content = kind, content

    def __setstate__(self, state: Any) -> None:
        """NumPy's state of an array: version, shape, type, order, bytes."""
        _, _, kind, _, content = state
        self.kind, self.content = _name(kind), _bytes(content)

    def flags(self) -> list[bool]:
        """The values of an array of truth values."""
        if self.kind not in ("b1", "?", "bool") or self.content.strip(b"\0\1"):
            raise pickle.UnpicklingError("an array of other values")
        return [bool(v) for v in self.content]


@dataclass
class _Type:
    """What stands for a NumPy data type."""

    kind: str

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, of no account for bytes and truth values."""


def _name(kind: Any) -> str:
    return kind.kind if isinstance(kind, _Type) else ""


def _bytes(content: Any) -> bytes:
    if not isinstance(content, bytes | bytearray):
        raise pickle.UnpicklingError("an array without bytes")
    return bytes(content)


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):  # a tuple of tuples of tuples may be endless as text
        raise pickle.UnpicklingError("another value for text")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _dtype(kind: Any, *_: Any) -> _Type:
    return _Type(_text(kind))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _ndarray(*_: Any) -> Any:
    """Only named, as what `_reconstruct` is to make."""
    raise pickle.UnpicklingError("a call of numpy.ndarray")


def _scalar(kind: Any, content: Any) -> _Array:
    return _Array(_name(kind), _bytes(content))


def _frombuffer(content: Any, kind: Any, *_: Any) -> _Array:
    return _Array(_name(kind), _bytes(content))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or _text(encoding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("text in another encoding")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_MULTIARRAY = {"_reconstruct": _reconstruct, "scalar": _scalar}
KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"{p}.multiarray", name): f for p in ("numpy.core", "numpy._core") for name, f in _MULTIARRAY.items()},
    **{(f"{p}.numeric", "_frombuffer"): _frombuffer for p in ("numpy.core", "numpy._core")},
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,  # bytes, as Python 3 pickles them for Python 2
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}


OPERATIONS = {  # of pickletools: what tuples and lists of the above take, in every protocol
    "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG",
    "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "TUPLE",
    "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "PUT", "BINPUT",
    "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
}  # fmt: skip


class _Reader(pickle.Unpickler):
    """Builds tuples, lists, numbers, text and bytes, and what stands for NumPy's arrays."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")  # Python 2's strings are bytes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return KNOWN[module, name]


def _check_operations(content: bytes) -> None:
    """Refuses a pickle that builds anything else, and one that numbers its values beyond their count: the unpickler
    would make a table of that size."""
    for count, (code, value, _) in enumerate(pickletools.genops(content)):
        if code.name not in OPERATIONS:
            raise pickle.UnpicklingError(f"a pickle with {code.name}")
        if code.name.endswith("PUT") and int(value or 0) > count:
            raise pickle.UnpicklingError("values with numbers beyond all count")


def read(path: Path) -> tuple[list[bytes], NDArray[np.bool_]]:
    """The encoded images (2·P, of pair i number 2i and 2i + 1) and whether each pair (P,) is of one person.

    Raises UserError for a file that is none, and for a pickle that holds anything else: nothing of it is run.
    """
    try:
        content = path.read_bytes()
        _check_operations(content)
        images, same = _Reader(content).load()
        encoded = [_image(v) for v in images]
        flags = _flags(same)
    except OSError as e:
        raise UserError(path, "no .bin file", "a file", (e.strerror or str(e)).lower()) from e
    except pickle.UnpicklingError as e:
        raise UserError(path, "not a .bin file of InsightFace", EXPECTED, str(e)[:80]) from e
    except Exception as e:  # a damaged pickle raises whatever its bytes make of the unpickler
        raise UserError(path, "not a .bin file of InsightFace", EXPECTED, type(e).__name__) from e
    if not flags or len(encoded) != 2 * len(flags):
        raise UserError(path, "not a .bin file of InsightFace", "two images a pair", f"{len(encoded)} for {len(flags)}")
    return encoded, np.array(flags)


def _image(value: Any) -> bytes:
    if isinstance(value, _Array) and value.kind in ("u1", "uint8"):
        return value.content
    return _bytes(value)


def _flags(same: Any) -> list[bool]:
    if isinstance(same, _Array):
        return same.flags()
    out = []
    for v in same:
        flag = v.flags()[0] if isinstance(v, _Array) else v
        if flag not in (True, False):
            raise pickle.UnpicklingError("labels other than true and false")
        out.append(bool(flag))
    return out
