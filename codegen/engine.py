"""The emitted C in this process: one engine of an architecture, any number of its nets, thousands of verdicts a second.

It scores what the chip would score. Compiled with the host's compiler from the very header that enrolment writes.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import ABI, architecture, check_sum, payload, session_bytes
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.passes import compiled
from hyper_mcu.codegen.person import KnownAnswer, Person, Provenance
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_library, find_toolchain


class _Person(ctypes.Structure):
    """hm_person of a model.h."""

    _fields_ = (
        ("abi", ctypes.c_uint32),
        ("architecture", ctypes.c_uint32),
        ("threshold", ctypes.c_int32),
        ("known_seed", ctypes.c_uint32),
        ("known_logit", ctypes.c_int32),
        ("crc", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("weights", ctypes.c_char_p),
    )


class _Verdict(ctypes.Structure):
    """hm_verdict of a model.h."""

    _fields_ = (
        ("logit", ctypes.c_int32),
        ("threshold", ctypes.c_int32),
        ("decision", ctypes.c_uint32),
        ("match", ctypes.c_bool),
    )


def logits(nets: Sequence[QNet], images: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Logits int32 (P,) of net i, all of one architecture, on image i of images uint8 (P, H, W, 3), by compiled C.

    A net that stands several times in a row is prepared once. Raises UserError for nets of several architectures, for
    images of another shape or type, and where there is no host compiler.
    """
    out, spec = np.empty(len(images), np.int32), nets[0].spec
    _check(spec, nets, images)
    if spec not in _loaded:
        _loaded[spec] = _library(_bare(nets[0]))
    library = _loaded[spec]
    session = ctypes.create_string_buffer(session_bytes(spec) + 8)
    aligned = ctypes.c_void_p(ctypes.addressof(session) + -ctypes.addressof(session) % 8)
    images, verdict, last, c_person = np.ascontiguousarray(images), _Verdict(), None, _Person()
    for i, net in enumerate(nets):
        if net is not last:
            last, c_person, bare, program = net, _Person(), _bare(net), compiled(net)
            c_person.abi, c_person.architecture, c_person.crc = ABI, architecture(spec), check_sum(bare, program)
            c_person.known_seed, c_person.known_logit = bare.known.seed, bare.known.logit
            c_person.name, c_person.weights = b"", payload(program)
        image = images[i].ctypes.data_as(ctypes.c_void_p)
        status = library.hm_verify(aligned, ctypes.byref(c_person), image, ctypes.byref(verdict))
        if status:
            raise UserError("engine", "hm_verify refused", "status 0", status)
        out[i] = verdict.logit
    return out


def _check(spec: NetSpec, nets: Sequence[QNet], images: NDArray[np.uint8]) -> None:
    """C reads whatever lies behind a pointer, so that its sizes are made sure of here."""
    shape = (len(nets), spec.height, spec.width, spec.channels)
    if images.shape != shape or images.dtype != np.uint8:
        raise UserError("images", "shape and type", f"uint8 {shape}", f"{images.dtype} {images.shape}")
    other = next((net.spec.id for net in nets if net.spec is not spec and net.spec != spec), None)
    if other is not None:
        raise UserError("nets", "architecture", spec.id, other)


_loaded: dict[NetSpec, ctypes.CDLL] = {}


def _bare(net: QNet) -> Person:
    """A Person with nothing to tell but its net."""
    made = Provenance("", "", "", "", "")
    known = KnownAnswer(1, 0, hashlib.sha256().hexdigest())
    return Person(
        name="bare",
        qnet=net,
        threshold=0,
        score=0.0,
        fmr=0.0,
        fnmr=0.0,
        rates_on="nobody",
        known=known,
        provenance=made,
    )


def _library(person: Person) -> ctypes.CDLL:
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "engine.c", Path(folder) / "engine.so"
        (Path(folder) / "model.h").write_text(emit(person), encoding="ascii")
        source.write_text('#define HYPER_MCU_IMPLEMENTATION\n#include "model.h"\n', encoding="ascii")
        compile_library(source, out, find_toolchain(target_named("host")))
        return ctypes.CDLL(str(out))
