"""f as a .tflite file in other people's runtimes, on this machine's processor, one thread.

TFLite Micro's and LiteRT's reference kernels compute what SPEC.md says. Kernels that LiteRT takes by itself (XNNPACK)
round otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen import install
from hyper_mcu.codegen.backends import Answers, Image
from hyper_mcu.codegen.emit_tflite import emit
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.oracle import Result, head
from hyper_mcu.codegen.person import Person

Int8 = NDArray[np.int8]
Ask = Callable[[Int8], list[Int8]]  # the input (1, H, W, C), every stage's map (1, H, W, C)
Loaded = tuple[Ask, str]  # and what computes, name and version


def tflm(person: Person, images: Sequence[Image]) -> Answers:
    """TensorFlow Lite Micro's reference kernels. Raises MissingToolError without tflite-micro."""
    return _answers(person, images, _tflm)


def litert_reference(person: Person, images: Sequence[Image]) -> Answers:
    """LiteRT's reference kernels. Raises MissingToolError without ai-edge-litert."""
    return _answers(person, images, lambda model, _: _litert(model, "BUILTIN_REF"))


def litert_xnnpack(person: Person, images: Sequence[Image]) -> Answers:
    """LiteRT with the kernels that it takes by itself, XNNPACK's. Raises MissingToolError without ai-edge-litert."""
    return _answers(person, images, lambda model, _: _litert(model, "AUTO"))


def tensorflow(person: Person, images: Sequence[Image]) -> Answers:
    """TensorFlow's own interpreter with the reference kernels. Raises MissingToolError without tensorflow."""
    return _answers(person, images, lambda model, _: _tensorflow(model))


def interpreter(model: bytes, arena_bytes: int) -> Any:
    """TFLite Micro's interpreter; RuntimeError where the arena is too small. MissingToolError without tflite-micro."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        raise _missing("tflite-micro", "tflite") from None
    return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)


def generous_arena(model: bytes, spec: NetSpec) -> int:
    """Bytes of an arena far larger than it has to be, whatever maps are outputs."""
    maps = sum(h * w * c for h, w, c in (s.out_shape for s in spec.stages))
    return 2 * (spec.input_bytes + maps) + 8 * len(model) + (1 << 20)


def _answers(person: Person, images: Sequence[Image], load: Callable[[bytes, NetSpec], Loaded]) -> Answers:
    began, spec = time.perf_counter(), person.qnet.spec
    ask, tool = load(emit(person.qnet, taps=True), spec)
    ready = time.perf_counter()
    results = []
    for image in images:
        layers = tuple(layer[0] for layer in ask((image ^ 0x80).view(np.int8)[None]))
        u = layers[-1].astype(np.int64) + (0 if spec.linear_end else 128)
        results.append(Result(layers, head(person.qnet, u)))
    done = time.perf_counter()
    return Answers(tuple(results), tool, ready - began, done - ready)


def _tflm(model: bytes, spec: NetSpec) -> Loaded:
    runtime = interpreter(model, generous_arena(model, spec))

    def ask(x: Int8) -> list[Int8]:
        runtime.set_input(x, 0)
        runtime.invoke()
        return [runtime.get_output(i) for i in range(len(spec.stages))]

    return ask, f"tflite-micro {version('tflite-micro')}"


def _litert(model: bytes, kernels: str) -> Loaded:
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        raise _missing("ai-edge-litert", "tflite") from None
    tool = f"ai-edge-litert {version('ai-edge-litert')}"
    return _lite(litert.Interpreter, getattr(litert.OpResolverType, kernels), model), tool


def _tensorflow(model: bytes) -> Loaded:
    try:
        import tensorflow as tf
    except ImportError:
        raise _missing("tensorflow", "tensorflow") from None
    reference = tf.lite.experimental.OpResolverType.BUILTIN_REF
    return _lite(tf.lite.Interpreter, reference, model), f"tensorflow {tf.__version__}"


def _lite(make: Callable[..., Any], kernels: Any, model: bytes) -> Ask:
    runtime = make(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
    runtime.allocate_tensors()
    (given,) = runtime.get_input_details()
    wanted = [d["index"] for d in runtime.get_output_details()]

    def ask(x: Int8) -> list[Int8]:
        runtime.set_tensor(given["index"], x)
        runtime.invoke()
        return [runtime.get_tensor(i) for i in wanted]

    return ask


def _missing(distribution: str, extra: str) -> MissingToolError:
    return MissingToolError(distribution, "running .tflite files needs it", install.extra(extra), "no such package")
