"""What a training run says while it goes on: one JSON object a line in its log, and a line for who watches."""

from __future__ import annotations

import json
import time
from pathlib import Path

from hyper_mcu.codegen.progress import Progress


class Journal:
    """log.jsonl of one stage of training: the settings first, then rows of numbers with the seconds since."""

    def __init__(self, folder: Path, stage: str, steps: int, settings: dict[str, object], progress: Progress) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.stage, self.steps, self.progress = folder / "log.jsonl", stage, steps, progress
        self._began, self._checked = time.monotonic(), ""
        self.path.write_text(json.dumps(settings) + "\n")

    def __call__(self, step: int, **numbers: float) -> None:
        """One row; a `val_eer` among the numbers is shown until there is a newer one."""
        seconds = time.monotonic() - self._began
        if "val_eer" in numbers:
            self._checked = f", EER on held-out people {numbers['val_eer']:.2%}"
        left = seconds / step * (self.steps - step) / 60
        self.progress(f"{self.stage}: step {step} of {self.steps}{self._checked}, {left:.0f} min left")
        with self.path.open("a") as log:
            log.write(json.dumps({"step": step, **numbers, "seconds": round(seconds, 1)}) + "\n")
