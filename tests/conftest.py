"""Where the research photos are, the command in this process, and a run that may skip nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FACES = "HYPER_MCU_FACES"  # names the folder of research photos; else shared/faces beside the checkout
NO_SKIPS = "HYPER_MCU_NO_SKIPS"  # 1: a skipped test fails the run
# The research photos are people's faces and not part of the repository: a machine that has a checkout and nothing else
# cannot run what needs them, so a skip for this reason alone is named and forgiven.
NO_FACES = f"no research photos; {FACES} names their folder"

_skipped: dict[str, str] = {}


@pytest.fixture(scope="session")
def research_faces() -> Path:
    """The folder with raw/, cfp/ and train.csv; skips the test where there is none.

    A folder that the variable names and that is not there is a mistake, not a reason to skip.
    """
    named = os.environ.get(FACES, "")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "faces"
    if not (folder / "raw").is_dir():
        if named:
            pytest.fail(f"{FACES}: no research photos; expected a folder with raw/, got {named}")
        pytest.skip(NO_FACES)
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch with one thread: maps of a few pixels are not worth waking others for."""
    torch = pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Exit code of `hyper-mcu WORDS`, in this process."""
    from hyper_mcu import cli

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["hyper-mcu", *(str(w) for w in words)])
        with pytest.raises(SystemExit) as e:
            cli.main()
        assert isinstance(e.value.code, int)
        return e.value.code

    return run


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped[report.nodeid] = told.removeprefix("Skipped: ")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note(report)  # a module that skips itself, as importorskip does


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    forbidden = os.environ.get(NO_SKIPS) == "1" and any(why != NO_FACES for why in _skipped.values())
    if forbidden and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get(NO_SKIPS) != "1":
        return
    for test, why in _skipped.items():
        verdict = "skipped, forgiven" if why == NO_FACES else f"skipped, and {NO_SKIPS}=1 forbids it"
        terminalreporter.write_line(f"{test}: {verdict}: {why}")
