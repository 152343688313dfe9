"""Running ONNX models on this machine's processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

THREADS = 2  # more gain nothing at one face a call, and the machine has other work
FATAL = 4  # onnxruntime's severity; what is below it is a remark, or raised as well


def session(model: Path | bytes) -> Any:
    """An onnxruntime session of a model's file or content; raises onnxruntime's own errors."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, FATAL
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
