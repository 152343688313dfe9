"""hyper-mcu: one photo in, one personal face-verification network for a microcontroller out."""

import os
from pathlib import Path

# onnxruntime reports its use to its maker unless told not to before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"


def includedir() -> str:
    """Absolute path of the folder with the C headers that every model.h is made of."""
    return str(Path(__file__).resolve().parent / "firmware" / "core")
