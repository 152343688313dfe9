"""A few seconds of the fuzzer in tests/fuzz/device.py, and that it finds what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from device import build, seeds
from fuzzing import fuzz, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def test_nothing_on_the_line_makes_a_device_do_anything_undefined_or_open(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    tried, fault = fuzz(build(tmp_path), tmp_path / "corpus", seeds(), seconds=6)
    assert fault == ""
    assert tried > 100


@pytest.mark.parametrize(
    ("check", "without", "found"),
    [
        ("receiver->n < sizeof receiver->bytes", "true", "out of bounds"),
        ("n < kind->least + tag ||", "", "ERROR: AddressSanitizer"),
        ("code != HM_CODE_OK || decision != HM_MATCH", "false", "deadly signal"),
        ("return (hm_code)hm_known_answer(&device->session, &device->person)", "return HM_CODE_OK", "deadly signal"),
    ],
    ids=["receiver", "length", "tag", "known answer"],
)
def test_a_check_that_is_left_out_is_found(tmp_path: Path, check: str, without: str, found: str) -> None:
    (tmp_path / "corpus").mkdir()
    _, fault = fuzz(build(tmp_path, (check, without)), tmp_path / "corpus", seeds(), seconds=6)
    assert found in fault
