"""Telling who waits what is going on: texts that replace each other, and events, each of which is to be seen."""

from __future__ import annotations

from collections.abc import Callable


class Event(str):
    """A text that is said at once and stays, as what it tells is told once: what is waited for, what was left out."""


Progress = Callable[[str], None]


def silent(text: str) -> None:
    """For when nobody watches."""
