"""Checks of the settings of training: one line that names the setting, as `--set` takes it, and its value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hyper_mcu.codegen.errors import UserError


def at_least(section: str, settings: Any, **least: float) -> None:
    """Raises UserError where the named setting of `section` is smaller, or no finite number."""
    for name, minimum in least.items():
        value = getattr(settings, name)
        if not minimum <= value < math.inf:
            raise UserError(f"{section}.{name}", "out of range", f"at least {minimum:g}", value)


def warmup_within(section: str, settings: Any) -> None:
    """Raises UserError where `warmup` does not end within the stage's `steps`."""
    if 0 < settings.steps <= settings.warmup:
        raise UserError(
            f"{section}.warmup", "longer than the run", f"below {section}.steps {settings.steps}", settings.warmup
        )


def share(section: str, settings: Any, *names: str) -> None:
    """Raises UserError where the named setting is no share of 0…1."""
    for name in names:
        value = getattr(settings, name)
        if not 0 <= value <= 1:
            raise UserError(f"{section}.{name}", "out of range", "a share of 0…1", value)


def one_of(section: str, settings: Any, **allowed: Sequence[str]) -> None:
    """Raises UserError where the named setting is none of the allowed words."""
    for name, words in allowed.items():
        if getattr(settings, name) not in words:
            expected = ", ".join(w or "nothing" for w in words)
            raise UserError(f"{section}.{name}", "unknown", expected, getattr(settings, name))
