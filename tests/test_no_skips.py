"""A run that may skip nothing fails by name for whatever was skipped, in a test, at its mark or in a whole module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"
PASSES = "def test_passes():\n    pass\n"
SKIPS = "import pytest\ndef test_skips():\n    pytest.skip('no emulator here')\n"
MARKED = "import pytest\n@pytest.mark.skipif(True, reason='no compiler here')\ndef test_skips():\n    pass\n"
MODULE = "import pytest\npytest.importorskip('no_such_package', reason='no package here')\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_fails():\n    assert False\n"
FACES = "def test_faces(research_faces):\n    assert research_faces.name == 'faces'\n"
FAILS = SKIPS + "def test_fails():\n    assert False\n"


def run(folder: Path, text: str, *more: str, **environment: str) -> tuple[int, list[str]]:
    """Exit code of pytest on a folder with this one test file and one that passes, and the lines it says on stdout."""
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(CONFTEST, tests)
    (tests / "test_it.py").write_text(text)
    (tests / "test_other.py").write_text(PASSES)
    (tests / "pytest.ini").write_text("[pytest]\n")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HYPER_MCU_") and k != "PYTEST_ADDOPTS"}
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    words = [sys.executable, "-m", "pytest", *plain, *more, str(tests)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=clean | environment, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SKIPS, r"\S*test_it\.py::test_skips: skipped, and HYPER_MCU_NO_SKIPS=1 forbids it: no emulator here"),
        (MARKED, r"\S*test_it\.py::test_skips: skipped, and HYPER_MCU_NO_SKIPS=1 forbids it: no compiler here"),
        (MODULE, r"\S*test_it\.py: skipped, and HYPER_MCU_NO_SKIPS=1 forbids it: no package here"),
    ],
    ids=["test", "mark", "module"],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_skipped_test_fails_the_run_by_name(tmp_path: Path, text: str, said: str, workers: str) -> None:
    code, lines = run(tmp_path, text, "-n", workers, HYPER_MCU_NO_SKIPS="1")
    assert code == 1
    assert [line for line in lines if re.fullmatch(said, line)]


@pytest.mark.parametrize("environment", [{}, {"HYPER_MCU_NO_SKIPS": "0"}], ids=["unset", "0"])
def test_elsewhere_a_skip_is_no_failure(tmp_path: Path, environment: dict[str, str]) -> None:
    code, lines = run(tmp_path, SKIPS, **environment)
    assert code == 0
    assert not [line for line in lines if "forbids" in line]


@pytest.mark.parametrize("text", [PASSES, EXPECTED_FAILURE], ids=["passes", "xfail"])
def test_run_without_skips_is_left_alone(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, text, HYPER_MCU_NO_SKIPS="1")[0] == 0


def test_failure_stays_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, FAILS, HYPER_MCU_NO_SKIPS="1")[0] == 1


def test_missing_research_photos_are_the_one_reason_that_is_forgiven(tmp_path: Path) -> None:
    code, lines = run(tmp_path, FACES, HYPER_MCU_NO_SKIPS="1")
    assert code == 0
    why = "test_faces: skipped, forgiven: no research photos; HYPER_MCU_FACES names their folder"
    assert [line for line in lines if line.endswith(why)]


def test_research_photos_are_where_the_variable_says_or_beside_the_checkout(tmp_path: Path) -> None:
    for name in ("elsewhere", "beside"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "faces" / "raw").mkdir(parents=True)
    (tmp_path / "beside" / "shared" / "faces" / "raw").mkdir(parents=True)
    named = {"HYPER_MCU_FACES": str(tmp_path / "elsewhere" / "faces"), "HYPER_MCU_NO_SKIPS": "1"}
    assert run(tmp_path, FACES, **named)[1][-1].startswith("2 passed")
    assert run(tmp_path / "beside", FACES)[1][-1].startswith("2 passed")


def test_variable_that_names_no_such_folder_is_a_failure(tmp_path: Path) -> None:
    code, lines = run(tmp_path, FACES, HYPER_MCU_FACES=str(tmp_path / "none"))
    assert code == 1
    why = f"HYPER_MCU_FACES: no research photos; expected a folder with raw/, got {tmp_path}/none"
    assert [line for line in lines if why in line]
