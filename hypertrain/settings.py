"""Checks of the settings of training: one line that names the setting, as `--set` takes it, and its value."""

from __future__ import annotations

import math
from typing import Any

from hyper_mcu.codegen.errors import UserError


def at_least(group: str, settings: Any, **least: float) -> None:
    """Raises UserError where the named setting of `group` is smaller, or no finite number."""
    for name, minimum in least.items():
        value = getattr(settings, name)
        if not minimum <= value < math.inf:
            raise UserError(f"{group}.{name}", "out of range", f"at least {minimum:g}", value)
