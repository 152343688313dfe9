"""The photos of people that packages bring, on which commands are tried, and the types of two fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hyper_mcu import cli
from hyper_mcu.faces.weights import demo_photo

PORTRAIT, TEAM = demo_photo("yaoming.jpg"), demo_photo("players.jpg")
STRANGER = Path(cli.__file__).parents[1] / "demo" / "astronaut.jpg"

Command = Callable[..., int]  # tests/conftest.py
Refused = Callable[..., str]  # conftest.py
