"""A few seconds of the fuzzer in tests/fuzz/seal.py, and that it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import fuzz, missing
from seal import build, seeds

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_no_bytes_make_the_seal_do_anything_undefined_or_open_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    tried, fault = fuzz(build(tmp_path), tmp_path / "corpus", seeds(), seconds=6)
    assert fault == ""
    assert tried > 500


@pytest.mark.parametrize(
    ("check", "without", "found"),
    [
        ("n <= HM_SEAL_HEAD + HM_SEAL_TAG ||", "", "heap-buffer-overflow"),
        ("hm_word(bytes + HM_SEAL_PAYLOAD) == n - HM_SEAL_HEAD - HM_SEAL_TAG &&", "", "deadly signal"),
        ("own > counter ? HM_CODE_OK : HM_CODE_OLD", "HM_CODE_OK", "deadly signal"),
        ("seal != HM_MATCH", "seal == 0", "deadly signal"),
        (" &&\n           hm_is_name(bytes + HM_SEAL_NAME, HM_NAME_BYTES)", "", "deadly signal"),
    ],
    ids=["size", "payload", "counter", "seal", "name"],
)
def test_a_check_that_is_left_out_is_found(tmp_path: Path, check: str, without: str, found: str) -> None:
    (tmp_path / "corpus").mkdir()
    _, fault = fuzz(build(tmp_path, (check, without)), tmp_path / "corpus", seeds(), seconds=6)
    assert found in fault
