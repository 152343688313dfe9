"""What is said of a person beside the integers: the JSON at the end of model.h and of person.bin, and what exports for
other runtimes say."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.layout import unpacked
from hyper_mcu.codegen.netspec import NetSpec, cosdot_bits, from_json
from hyper_mcu.codegen.person import KnownAnswer, Person, Provenance

# What facts that nobody here wrote may raise, beside UserError.
NONSENSE = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError)


def facts(p: Person) -> dict[str, Any]:
    """All of a person that the integers do not say, as JSON holds it; weight_scale: base64 of float32."""
    scales = b"".join(c.weight_scale.astype("<f4").tobytes() for _, c in p.qnet.convs)
    return {
        "name": p.name,
        "threshold": p.threshold,
        "score": float(p.score),
        "fmr": float(p.fmr),
        "fnmr": float(p.fnmr),
        "rates_on": p.rates_on,
        "known": asdict(p.known),
        "provenance": asdict(p.provenance),
        "qnet_sha256": p.qnet.sha256(),
        "netspec": json.loads(p.qnet.spec.to_json()),
        "out_scale": [float(c.out_scale) for _, c in p.qnet.convs],
        "head_scale": float(p.qnet.head.weight_scale),
        "weight_scale": base64.b64encode(scales).decode(),
    }


def verdict_facts(p: Person) -> dict[str, Any]:
    """Whose net an export holds and what turns its output into a verdict, but for the head's weight: the keys of
    SPEC.md, "f as ONNX"."""
    spec = p.qnet.spec
    own = {"K": cosdot_bits(spec.head_size)} if spec.head.kind == "cosdot" else {"bias": p.qnet.head.bias}
    return {
        "name": p.name,
        "netspec": spec.id,
        "netspec_sha256": spec.sha256,
        "head": spec.head.kind,
        "pool": spec.head.pool,
        **own,
        "threshold": p.threshold,
        "fmr": float(p.fmr),
        "fnmr": float(p.fnmr),
        "rates_on": p.rates_on,
    }


def spec_of(said: Mapping[str, Any]) -> NetSpec:
    """The architecture in these facts; raises UserError where it is none, and NONSENSE."""
    return from_json(json.dumps(said["netspec"]))


def person_of(said: Mapping[str, Any], arrays: Mapping[str, NDArray[np.int64]]) -> Person:
    """The Person of these facts and the members of hm_weights, flat, by name.

    Raises UserError for what breaks a rule, and NONSENSE for facts of another kind.
    """
    scales = np.frombuffer(base64.b64decode("".join(said["weight_scale"])), "<f4").astype(np.float32)
    with np.errstate(over="ignore"):  # a scale beyond float32 is refused as an infinite one
        return Person(
            name=said["name"],
            qnet=unpacked(spec_of(said), arrays, scales, said["out_scale"], said["head_scale"]),
            threshold=said["threshold"],
            score=said["score"],
            fmr=said["fmr"],
            fnmr=said["fnmr"],
            rates_on=said["rates_on"],
            known=KnownAnswer(**said["known"]),
            provenance=Provenance(**said["provenance"]),
        )
