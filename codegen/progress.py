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
    pace since the first ones were: what comes before them is done once."""
    first: list[tuple[int, float]] = []

    def tell(done: int) -> None:
        left = ""
        if first and done > first[0][0]:
            at, begun = first[0]
            seconds = (time.monotonic() - begun) / (done - at) * (total - done)
            left = f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"
        elif done and not first:
            first.append((done, time.monotonic()))
        progress(f"{what}: {done} of {total}{left}")

    return tell
