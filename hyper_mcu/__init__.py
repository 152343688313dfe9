"""hyper-mcu: one photo in, one personal face-verification network for a microcontroller out."""

from pathlib import Path

__version__ = "0.1.0"


def includedir() -> str:
    """Absolute path of the folder with the C headers that every model.h is made of."""
    return str(Path(__file__).resolve().parent / "firmware" / "core")
