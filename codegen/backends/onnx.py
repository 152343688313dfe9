"""f as an ONNX file in onnxruntime, on this machine's processor, one thread: integer operators, or QLinearConv."""

from __future__ import annotations

import time
from collections.abc import Sequence

from hyper_mcu.codegen import install
from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.emit_onnx import emit
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.person import Person


def integer(person: Person, images: Sequence[Image]) -> Answers:
    """The net with integer operators only. Raises MissingToolError without onnx or onnxruntime."""
    return _answers(person, images, qlinear=False)


def qlinear(person: Person, images: Sequence[Image]) -> Answers:
    """The net with QLinearConv, which requantises in float32. Raises MissingToolError without onnx or onnxruntime."""
    return _answers(person, images, qlinear=True)


def _answers(person: Person, images: Sequence[Image], qlinear: bool) -> Answers:
    began = time.perf_counter()
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingToolError(
            "onnxruntime", "running ONNX files needs it", install.pip("onnxruntime"), "none"
        ) from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(emit(person.qnet, taps=True, qlinear=qlinear), options, ["CPUExecutionProvider"])
    ready = time.perf_counter()
    results = []
    for image in images:
        *layers, logits = session.run(None, {"image": image[None]})
        results.append(Result(tuple(layer[0] for layer in layers), int(logits[0])))
    done = time.perf_counter()
    return Answers(tuple(results), f"onnxruntime {ort.__version__}", ready - began, done - ready)
