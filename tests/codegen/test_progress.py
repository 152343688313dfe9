"""What who waits is told: how much is done, and how long the rest will take."""

from __future__ import annotations

import pytest

from hyper_mcu.codegen import progress


def test_time_left_is_told_by_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = 100.0, list[str]()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    tell = progress.counting(said.append, "peeling", 40)
    tell(0)
    now += 20
    tell(4)
    tell(10)
    tell(40)
    assert said == ["peeling: 0 of 40", "peeling: 4 of 40, 3 min left", "peeling: 10 of 40, 60 s left",
                    "peeling: 40 of 40, 0 s left"]  # fmt: skip
