"""What who waits is told: how much is done, and how long the rest will take."""

from __future__ import annotations

import pytest

from hyper_mcu.codegen import progress


def test_time_left_is_told_by_the_pace_since_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = 100.0, list[str]()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    tell = progress.counting(said.append, "peeling", 40)
    tell(0)
    now += 1000  # the knife is sharpened
    tell(4)
    now += 20
    tell(8)
    tell(20)
    tell(40)
    assert said == [
        "peeling: 0 of 40",
        "peeling: 4 of 40",
        "peeling: 8 of 40, 3 min left",
        "peeling: 20 of 40, 25 s left",
        "peeling: 40 of 40, 0 s left",
    ]
