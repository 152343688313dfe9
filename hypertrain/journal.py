"""What a stage of training says while it goes on: JSON lines, TensorBoard, and a line for who watches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.progress import Event

Watch = Callable[[str, float], None]  # what is going on, and how much of it is done, 0…1


def unwatched(text: str, done: float) -> None:
    """For when nobody watches."""


class Journal:
    """log.jsonl and tensorboard/ of one stage: the settings first, then rows of numbers with the seconds since.

    unit: what steps are counted in, for their speed. A stage that goes on from step `start` keeps the rows up to there
    and drops later ones, which will be made again.
    """

    def __init__(
        self,
        folder: Path,
        stage: str,
        steps: int,
        settings: Mapping[str, object],
        watch: Watch,
        start: int = 0,
        unit: str = "pairs",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.stage, self.steps, self.watch = folder / "log.jsonl", stage, steps, watch
        kept = [r for r in self._rows()[1:] if r["step"] <= start] if start else []
        self._before = float(kept[-1]["seconds"]) if kept else 0.0
        self._checked = next((f", EER {r['val_eer']:.2%}" for r in reversed(kept) if "val_eer" in r), "")
        self._began, self._start = time.monotonic(), start
        self._unit, self._done, self._busy = unit, 0, 0.0
        files.write(self.path, "".join(json.dumps(r) + "\n" for r in [settings, *kept]))
        board = folder / "tensorboard"
        self._board = SummaryWriter(str(board), purge_step=start + 1 if start else 0)
        for path in board.iterdir():  # its owner's alone, as all of a run
            path.chmod(0o600)
        if start:
            goes_on = "complete" if start == steps else f"goes on after step {start:,} of {steps:,}"
            watch(Event(f"{stage}: {goes_on}"), start / steps)

    @property
    def seconds(self) -> float:
        """How long the stage took so far, over all calls."""
        return self._before + time.monotonic() - self._began

    def _rows(self) -> list[dict[str, Any]]:
        """What was logged, as far as it was written: a killed process may leave half a line."""
        rows = []
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def count(self, units: int, seconds: float) -> None:
        """One more step, of so many units."""
        self._done, self._busy = self._done + units, self._busy + seconds

    def row(self, step: int, **numbers: float) -> None:
        """One row; a `val_eer` among the numbers is shown until there is a newer one. Raises UserError where it cannot
        be written."""
        if "val_eer" in numbers:
            self._checked = f", EER {numbers['val_eer']:.2%}"
        speed = f"{self._unit}_per_second"
        if self._done:  # of the steps since the row before, without checks
            numbers[speed] = round(self._done / self._busy, 1)
            self._done, self._busy = 0, 0.0
        try:
            with self.path.open("a") as log:
                log.write(json.dumps({"step": step, **numbers, "seconds": round(self.seconds, 1)}) + "\n")
            for name, value in numbers.items():
                self._board.add_scalar(f"{self.stage}/{name}", value, step)
            self._board.flush()
        except OSError as e:
            raise UserError(self.path, "cannot write", "space and permission", (e.strerror or str(e)).lower()) from e
        left = (time.monotonic() - self._began) / max(step - self._start, 1) * (self.steps - step)
        parts = ", ".join(f"{k} {v:.3g}" for k, v in numbers.items() if k not in ("val_eer", speed))
        rate = f"{numbers[speed]:,.0f} {self._unit}/s" if speed in numbers else "first check"
        said = ", ".join(part for part in (parts, rate) if part)
        self.watch(
            f"{self.stage} {step:,}/{self.steps:,}: {said}{self._checked}, {left / 60:.0f} min left",
            step / max(self.steps, 1),
        )

    def close(self, best: int, eer: float) -> None:
        """Says which step was the best of the checks; what comes back is its state."""
        began = ", where it began: the steps did not help" if best == 0 and self.steps else ""
        self.watch(Event(f"{self.stage}: best at step {best:,} of {self.steps:,}, EER {eer:.2%}{began}"), 1.0)
        self._board.close()
