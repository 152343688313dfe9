"""InsightFace's .bin files: what they hold is read, however it was pickled; all else is refused, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.protocols import bins

IMAGES = [b"\xff\xd8 one", b"\x89PNG two", b"three", b"four"]


def written(tmp_path: Path, content: object, protocol: int = pickle.HIGHEST_PROTOCOL) -> Path:
    path = tmp_path / "set.bin"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as e:
        bins.read(path)
    start = f"{path}: not a .bin file of InsightFace; expected {bins.EXPECTED}, got "
    assert str(e.value).startswith(start)
    return str(e.value).removeprefix(start)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "same",
    [[True, False], (1, 0), np.array([True, False]), [np.bool_(True), np.bool_(False)]],
    ids=["list", "numbers", "array", "NumPy's"],
)
def test_images_and_labels_of_every_protocol_are_read(tmp_path: Path, protocol: int, same: object) -> None:
    images, flags = bins.read(written(tmp_path, (IMAGES, same), protocol))
    assert images == IMAGES
    assert (flags.tolist(), flags.dtype) == ([True, False], np.bool_)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_images_as_opencv_encodes_them_are_read(tmp_path: Path, protocol: int) -> None:
    arrays = [np.frombuffer(b, np.uint8) for b in IMAGES]
    assert bins.read(written(tmp_path, (arrays, [True, False]), protocol))[0] == IMAGES


def test_python_2s_strings_are_bytes(tmp_path: Path) -> None:
    strings = b"".join(b"T" + len(b).to_bytes(4, "little") + b for b in IMAGES)  # BINSTRING, as Python 2 wrote str
    assert bins.read(written(tmp_path, b"\x80\x02](" + strings + b"e](\x88\x89e\x86."))[0] == IMAGES


class Hostile:
    """What pickles as a call."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], tuple(self.call[1:])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["whole", "image", "label"])
def test_pickle_that_runs_a_program_is_refused_and_runs_nothing(tmp_path: Path, protocol: int, where: str) -> None:
    mark = tmp_path / "mark"
    call = Hostile(os.system, f"touch {mark}")
    held = {"whole": call, "image": ([*IMAGES[:3], call], [True, False]), "label": (IMAGES, [True, call])}[where]
    path = written(tmp_path, held, protocol)
    assert refused(path) in ("posix.system", "nt.system")
    assert not mark.exists()
    with path.open("rb") as f:
        pickle.load(f)
    assert mark.exists(), "the pickle is hostile indeed"


@pytest.mark.parametrize(
    "call",
    [(eval, "1"), (getattr, "", "join"), (__import__, "os"), (io.open, "x"), (np.load, "x"), (bytearray, 10**9)],
    ids=lambda c: c[0].__name__,
)
def test_every_other_function_is_refused(tmp_path: Path, call: tuple[object, ...]) -> None:
    assert refused(written(tmp_path, (IMAGES, Hostile(*call)))).endswith(call[0].__name__)


@pytest.mark.parametrize("state", [b"N", b")", b"N)\x86", b"))\x86"], ids=["none", "empty", "slots", "both"])
def test_pickle_cannot_change_the_functions_that_stand_for_numpys(tmp_path: Path, state: bytes) -> None:
    before = dict(vars(bins._encode)), bins._encode.__defaults__
    refused(written(tmp_path, b"\x80\x02c_codecs\nencode\n" + state + b"b."))  # BUILD: sets attributes
    assert (dict(vars(bins._encode)), bins._encode.__defaults__) == before


DOUBLED = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(1, 60))  # a tuple of 2^59 empty ones in 240 bytes


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"}" + DOUBLED + b"K\x01s.", "a pickle with EMPTY_DICT"),
        (b"(" + DOUBLED + b"K\x01d.", "a pickle with DICT"),
        (b"\x8f(" + DOUBLED + b"\x90.", "a pickle with EMPTY_SET"),
        (b"(" + DOUBLED + b"\x91.", "a pickle with FROZENSET"),
        (b"cnumpy\ndtype\n" + DOUBLED + b"\x85R.", "another value for text"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00a" + DOUBLED + b"\x86R.", "another value for text"),
        (b"cnumpy\nndarray\n(X\x02\x00\x00\x00u1]tR.", "a call of numpy.ndarray"),
    ],
)
def test_pickle_that_would_take_for_ever_or_makes_no_bytes_is_refused(tmp_path: Path, content: bytes, got: str) -> None:
    assert refused(written(tmp_path, b"\x80\x02" + content)) == got


def test_table_of_values_larger_than_memory_is_refused_before_it_is_made(tmp_path: Path) -> None:
    content = b"\x80\x02]r\xff\xff\xff\xff."  # LONG_BINPUT of value number 2^32 − 1
    assert refused(written(tmp_path, content)) == "values with numbers beyond all count"


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "ValueError"),
        (b"not a pickle", None),
        (pickle.dumps((IMAGES, [True, False]))[:-20], None),
        (pickle.dumps(7), "TypeError"),
        (pickle.dumps(([1, 2], [True])), "an array without bytes"),
        (pickle.dumps((IMAGES, ["yes", "no"])), "labels other than true and false"),
        (pickle.dumps((IMAGES, np.array([1.0, 0.0]))), "an array of other values"),
        (pickle.dumps((IMAGES, [])), "4 for 0"),
    ],
)
def test_what_is_no_such_pickle_is_one_line(tmp_path: Path, content: bytes, got: str | None) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UserError) as e:
        bins.read(path)
    assert str(e.value).startswith(f"{path}: not a .bin file of InsightFace; expected ")
    assert "\n" not in str(e.value)
    assert got is None or got in str(e.value)


def test_another_number_of_images_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, (IMAGES[:3], [True, False]))
    with pytest.raises(UserError) as e:
        bins.read(path)
    assert str(e.value) == f"{path}: not a .bin file of InsightFace; expected two images a pair, got 3 for 2"


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.bin: no \.bin file; expected a file, got no such file"):
        bins.read(tmp_path / "no.bin")
