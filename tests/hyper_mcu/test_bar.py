"""What is said while one waits: progress now and then, events at once, whether a terminal is there or not."""

from __future__ import annotations

import io
import sys
import time

import pytest

from hyper_mcu import cli
from hyper_mcu.codegen.progress import Event

WAITING = Event("waiting for another process that prepares [cache] of a folder with a name longer than eighty columns")


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_events_are_said_at_once_and_progress_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.bar() as (say, watch):
        say("embedding crops: 1 of 9")
        say(WAITING)
        watch("distill 25/100: direct 0.5", 0.25)
        watch(Event("distill: goes on after step 25 of 100"), 0.25)
        assert capsys.readouterr().err == f"{WAITING}\ndistill: goes on after step 25 of 100\n"
        watch("distill 100/100: direct 0.1", 1.0)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "distill 100/100: direct 0.1\n")


def test_progress_is_said_where_nothing_was_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    for seconds, expected in ((0.0, "a\nb\n"), (1e9, "")):
        watch = cli._now_and_then(seconds)
        watch("a", 0.1)
        watch("b", 0.2)
        assert capsys.readouterr().err == expected


def test_on_a_terminal_events_stay_as_they_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with cli.bar() as (say, watch):
        say("embedding crops: 1 of 9")
        say(WAITING)
        watch(Event("distill: complete"), 1.0)
    lines = [line.strip() for line in terminal.getvalue().splitlines()]
    assert any(line.endswith(WAITING) for line in lines)
    assert any(line.endswith("distill: complete") for line in lines)


def test_nothing_is_said_where_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.bar(False) as (say, watch):
        say(WAITING)
        watch(WAITING, 1.0)
    assert capsys.readouterr().err == ""


def test_status_takes_a_file_name_as_it_is_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with cli.status() as progress:
        progress("exporting d[/x]/[bold]a.bin")
        time.sleep(0.3)  # it is drawn a few times a second
    assert "exporting d[/x]/[bold]a.bin" in terminal.getvalue()
