"""As many inputs as take seconds of every fuzzer beside this file, and that each finds what is planted."""

from __future__ import annotations

from pathlib import Path

import blob
import device
import pytest
import seal
from fuzzing import Fuzzer, Planted, fuzz, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

FUZZERS = {"blob": blob.FUZZER, "seal": seal.FUZZER, "device": device.FUZZER}
PLANTED = {f"{name}-{what}": (f, fault) for name, f in FUZZERS.items() for what, fault in f.planted.items()}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """An empty folder of inputs."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("fuzzer", FUZZERS.values(), ids=FUZZERS)
def test_no_input_makes_the_c_do_anything_undefined_or_forbidden(fuzzer: Fuzzer, tmp_path: Path, corpus: Path) -> None:
    tried, fault = fuzz(fuzzer.build(tmp_path), corpus, fuzzer.seeds(), f"-runs={fuzzer.runs}")
    assert fault == ""
    assert tried >= fuzzer.runs


@pytest.mark.parametrize(("fuzzer", "planted"), PLANTED.values(), ids=PLANTED)
def test_a_check_that_is_left_out_is_found(fuzzer: Fuzzer, planted: Planted, tmp_path: Path, corpus: Path) -> None:
    program = fuzzer.build(tmp_path, (planted.check, planted.without))
    _, fault = fuzz(program, corpus, fuzzer.seeds(), f"-runs={fuzzer.runs}")
    assert planted.found in fault
