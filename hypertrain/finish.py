"""From a trained h_gen to a generator file: activation scales, what thresholds stand for, the ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hyper_mcu.codegen.rates import Rates
from hyper_mcu.hypertrain import evaluate, export, operating
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.protocols import val_pairs


@dataclass(frozen=True)
class Measured:
    """A generator on `val_pairs`: what its integer nets do (rates), and the EER, 0…1, of integers and of real numbers,
    by scores as they are."""

    rates: Rates
    eer_int8: float
    eer_float: float


def weights_of(hgen: HGen) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """θ float32 (N, params), folded, of embeddings float32 (N, d), by torch."""

    @torch.no_grad()
    def weights(e: NDArray[np.float32]) -> NDArray[np.float32]:
        theta: NDArray[np.float32] = hgen(torch.from_numpy(np.ascontiguousarray(e)).to(hgen.theta0)).cpu().numpy()
        return theta

    return weights


def finish(hgen: HGen, faces: Faces, backbone: tuple[str, str], trained: dict[str, object], path: Path) -> Measured:
    """Writes the generator file and returns what was measured on the held-out people.

    The weights are rounded to half precision first, so that the scales and the rates are those of the shipped file. The
    scales are what the quantiser of quantisation-aware training has learned, else calibrated on training people.
    backbone: its name and SHA-256; trained: what the model card should know, stored as it is. Raises UserError for nets
    that no generator file can write.
    """
    export.check_norm(hgen.spec)
    export.as_stored(hgen)
    weights, spec = weights_of(hgen), hgen.spec
    learned = hgen.quantiser is not None
    scales = hgen.quantiser.scales() if hgen.quantiser is not None else evaluate.calibrate(spec, weights, faces)
    pairs = val_pairs(faces)
    scores = evaluate.score_pairs(spec, weights, scales, faces, pairs)
    eer = {kind: equal_error(s[pairs.same], s[~pairs.same]).eer for kind, s in scores.items()}
    measured = Measured(operating.rates(scores["int8"], pairs, faces), eer["int8"], eer["float"])
    metadata: dict[str, object] = {
        "backbone": backbone[0],
        "backbone_sha256": backbone[1],
        "scales": [float(s) for s in scales],
        "qat": learned,
        "rates": measured.rates.to_json(),
        "trained": trained,
    }
    export.save(hgen, path, metadata)
    return measured
