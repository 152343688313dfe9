"""Telling who waits what is going on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(text: str) -> None:
    """For when nobody watches."""
