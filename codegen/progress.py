"""Telling who waits what is going on: texts that replace each other, and events, each of which is to be seen."""

from __future__ import annotations

import time
from collections.abc import Callable


class Event(str):
    """A text that is said at once and stays, as what it tells is told once: what is waited for, what was left out."""


Progress = Callable[[str], None]


def silent(text: str) -> None:
    """For when nobody watches."""


def counting(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Tells, whenever called with how many of `total` are done, that number and how long the rest will take, by the
    pace so far."""
    begun = time.monotonic()

    def tell(done: int) -> None:
        left = (time.monotonic() - begun) / done * (total - done) if done else 0.0
        soon = f", {left / 60:.0f} min left" if left >= 90 else f", {left:.0f} s left" if done else ""
        progress(f"{what}: {done} of {total}{soon}")

    return tell
