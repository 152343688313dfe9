"""How much memory TensorFlow Lite Micro takes for a model, by its own word: the smallest arena that it accepts.

Its recorder says what is allocated in the end, which is less than what small models need in between. Below that
TFLite Micro may crash instead of refusing, so the search begins there, and runs in a process of its own: what
TFLite Micro has to say goes to stderr past Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from hyper_mcu.codegen.backends.tflite import generous_arena, interpreter
from hyper_mcu.codegen.netspec import NetSpec

ALIGNMENT = 16  # TFLite Micro's, of the arena and of what lies in it


def arena_bytes(model: bytes, spec: NetSpec) -> int:
    """The smallest arena for the .tflite of a net, a multiple of 16 bytes, on this 64-bit machine.

    Raises MissingToolError without tflite-micro.
    """
    most = generous_arena(model, spec)
    interpreter(model, most)  # what is missing is said here
    words = [sys.executable, "-P", "-m", "hyper_mcu.codegen.arena", str(most)]  # -P: no module of the current folder
    return int(subprocess.run(words, input=model, capture_output=True, check=True).stdout)


def _measure(model: bytes, most: int) -> int:
    """arena_bytes, with stderr lost to a file."""
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), sys.stderr.fileno())
        interpreter(model, most).print_allocations()
        said.seek(0)
        found = re.search(rb"Arena allocation total (\d+)", said.read())
    assert found
    low, high = int(found[1]) // ALIGNMENT - 1, most // ALIGNMENT  # too small, enough
    while high - low > 1:
        middle = (low + high) // 2
        try:
            interpreter(model, middle * ALIGNMENT)
            high = middle
        except RuntimeError:
            low = middle
    return high * ALIGNMENT


if __name__ == "__main__":
    print(_measure(sys.stdin.buffer.read(), int(sys.argv[1])))
