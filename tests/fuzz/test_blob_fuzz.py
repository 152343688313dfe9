"""A few seconds of the fuzzer in tests/fuzz/blob.py, and that it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from blob import build, seeds
from fuzzing import fuzz, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_no_blob_makes_the_reader_or_the_engine_do_anything_undefined(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    tried, fault = fuzz(build(tmp_path), tmp_path / "corpus", seeds(), seconds=6)
    assert fault == ""
    assert tried > 500


@pytest.mark.parametrize(
    ("check", "without", "found"),
    [
        ("size < HM_BLOB_HEAD + HM_BLOB_CRC ||", "", "heap-buffer-overflow"),
        ("conv.shift[c] > 30", "false", "shift exponent"),
        ("INT64_C(1) << bits", "INT64_MAX", "signed integer overflow"),
        ("hm_fill(person, 0, sizeof *person);", "", "deadly signal"),
    ],
    ids=["size", "shift", "sum", "refused person"],
)
def test_a_check_that_is_left_out_is_found(tmp_path: Path, check: str, without: str, found: str) -> None:
    (tmp_path / "corpus").mkdir()
    _, fault = fuzz(build(tmp_path, (check, without)), tmp_path / "corpus", seeds(), seconds=6)
    assert found in fault
