"""Nets quantised from random weights as enrolment quantises generated ones: multipliers are those of their scales."""

from __future__ import annotations

import numpy as np
from strategies import fitting_scales

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.quantize import quantize

# Dense, depthwise and grouped convolutions, a shuffle behind a dense one and one behind a grouped one, a sum, a linear
# end, odd sizes.
EVERY_KIND = NetSpec(
    "every kind",
    (
        Conv(3, 2, "same", 3, 8),
        Shuffle(2),
        Conv(3, 1, "same", 8, 8, 8),
        Conv(1, 1, "same", 8, 8, 2),
        Shuffle(4),
        Conv(5, 1, "same", 8, 8, 4),
        Add(1),
        Conv(7, 2, "valid", 8, 16, 8, relu=False),
    ),
    Head("dot", pool=True),
    height=17,
    width=16,
)


def quantised(spec: NetSpec, seed: int = 1) -> QNet:
    """A net of random weights whose maps are neither empty nor saturated."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=spec.params)
    for t in spec.tensors:
        theta[t.offset : t.offset + t.size] *= (2 * t.shape[0] / t.size) ** 0.5 if len(t.shape) > 1 else 0.1
    theta = theta.astype(np.float32)
    maps = oracle.run_float(spec, theta, oracle.known_image(spec, 9)).maps
    return quantize(spec, theta, fitting_scales(spec, maps))
