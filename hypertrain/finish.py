"""From a trained h_gen to a generator file: activation scales, the threshold and what it stands for, the ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hyper_mcu.hypertrain import evaluate, export
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.metrics import RULE_OF_THREE, equal_error
from hyper_mcu.hypertrain.protocols import val_pairs


@dataclass(frozen=True)
class Measured:
    """A generator on `val_pairs`: how many genuine and impostor pairs, the threshold that it ships (a real score) with
    FMR and FNMR of the integer nets there, and the EER of integers and of real numbers; rates 0…1."""

    genuine: int
    impostor: int
    threshold: float
    fmr: float
    fnmr: float
    eer_int8: float
    eer_float: float

    @property
    def least(self) -> tuple[float, float]:
        """The least FMR and FNMR that so many pairs can show (rule of three)."""
        return min(1.0, RULE_OF_THREE / self.impostor), min(1.0, RULE_OF_THREE / self.genuine)

    @property
    def supported(self) -> bool:
        """Whether so many pairs can show both rates."""
        return all(rate > least - 1e-9 for rate, least in zip((self.fmr, self.fnmr), self.least, strict=True))


def weights_of(hgen: HGen) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """θ float32 (N, params), folded, of embeddings float32 (N, d), by torch."""

    @torch.no_grad()
    def weights(e: NDArray[np.float32]) -> NDArray[np.float32]:
        theta: NDArray[np.float32] = hgen(torch.from_numpy(np.ascontiguousarray(e)).to(hgen.theta0)).cpu().numpy()
        return theta

    return weights


def finish(hgen: HGen, faces: Faces, backbone: tuple[str, str], trained: dict[str, object], path: Path) -> Measured:
    """Writes the generator file and returns what was measured on the held-out people.

    The weights are rounded to half precision first, so that the scales and the threshold are those of the shipped file.
    The scales are what the quantiser of quantisation-aware training has learned, else calibrated on training people.
    The threshold is the equal-error point of the integer net on `val_pairs`. backbone: its name and SHA-256; trained:
    what the model card should know, stored as it is. Raises UserError for nets that no generator file can write.
    """
    export.check_norm(hgen.spec)
    export.as_stored(hgen)
    weights, spec = weights_of(hgen), hgen.spec
    learned = hgen.quantiser is not None
    scales = hgen.quantiser.scales() if hgen.quantiser is not None else evaluate.calibrate(spec, weights, faces)
    pairs = val_pairs(faces)
    scores = evaluate.score_pairs(spec, weights, scales, faces, pairs)
    equal = equal_error(scores["int8"][pairs.same], scores["int8"][~pairs.same])
    eer_float = equal_error(scores["float"][pairs.same], scores["float"][~pairs.same]).eer
    genuine, impostor = int(pairs.same.sum()), int((~pairs.same).sum())
    metadata: dict[str, object] = {
        "backbone": backbone[0],
        "backbone_sha256": backbone[1],
        "scales": [float(s) for s in scales],
        "qat": learned,
        "threshold": equal.threshold,
        "fmr": equal.fmr,
        "fnmr": equal.fnmr,
        "rates_on": f"{genuine} genuine and {impostor} impostor pairs of held-out people",
        "trained": trained,
    }
    export.save(hgen, path, metadata)
    return Measured(genuine, impostor, equal.threshold, equal.fmr, equal.fnmr, equal.eer, eer_float)
