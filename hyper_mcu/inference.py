"""Running ONNX models on this machine's processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

THREADS = 2  # more gain nothing at one face a call, and the machine has other work
ERRORS = 3  # onnxruntime's severity; below it, remarks such as that a batch is larger than the graph says


def session(model: Path | bytes) -> Any:
    """An onnxruntime session of a model's file or content; raises onnxruntime's own errors."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, ERRORS
    return ort.InferenceSession(model if isinstance(model, bytes) else str(model), options)
