"""What stage `hyper` trains as one module, and how its nets score images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper_mcu.hypertrain import augment, batched
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.evaluate import float_maps
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.net import features


class Personal(nn.Module):
    """All that is trained: h_gen, with the activation scales where it quantises, and the logit's slope and zero."""

    def __init__(self, hgen: HGen) -> None:
        super().__init__()
        self.hgen = hgen
        self.logit = nn.Parameter(torch.tensor([12.0, 0.35]))  # slope, and the cosine at zero

    def nets(self, raw: Tensor) -> Tensor:
        """θ as the nets run it: folded, and quantised where it is to be."""
        folded, quantiser = self.hgen.fold(raw), self.hgen.quantiser
        return folded if quantiser is None else quantiser.theta(folded)

    def scores(self, theta: Tensor, shared: Tensor, columns: Tensor | None = None) -> Tensor:
        """Scores of nets on images whose shared features are given: (N, M), or (N, K) of some columns."""
        quantiser, spec, first = self.hgen.quantiser, self.hgen.spec, self.hgen.shape.first
        activation = None if quantiser is None else quantiser.activation
        if columns is None:
            return batched.scores(spec, theta, shared, first, activation)
        return batched.pair_scores(spec, theta, shared, columns, first, activation)

    def logits(self, scores: Tensor) -> Tensor:
        """Logits of scores: CosDot's cosines on a learned slope, Dot's scores as they are."""
        return self.logit[0] * (scores - self.logit[1]) if self.hgen.spec.head.kind == "cosdot" else scores

    def shared(self, x: Tensor, amp: bool = True) -> Tensor:
        """Output of the stages that all people share, float32 (M, C, H, W)."""
        h = self.hgen
        if h.shape.first == 0:
            return x.float()
        if h.quantiser is not None:  # as integers compute them
            theta = h.quantiser.theta(h.fold(h.base())[None])
            return float_maps(h.spec, theta, x.float(), h.shape.first, h.quantiser.activation)[-1]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
            return features(h.spec, h.theta0, h.stats, x, training=False, stop=h.shape.first).float()


class Raw(nn.Module):
    """h_gen's `raw` as a forward pass: what DistributedDataParallel wraps. What it does not use is averaged by hand."""

    def __init__(self, hgen: HGen) -> None:
        super().__init__()
        self.hgen = hgen

    def forward(self, e: Tensor) -> Tensor:
        """θ (N, params) of embeddings (N, D), before folding."""
        return self.hgen.raw(e)


@torch.no_grad()
def score_matrix(
    module: Personal, e: Tensor, faces: Faces, probes: NDArray[np.int64], nets: int = 16, images: int = 256
) -> NDArray[np.float32]:
    """Scores float32 (N, M) of the nets of embeddings e (N, D) on some images."""
    thetas = [module.nets(module.hgen.raw(part)) for part in e.to(module.logit.device).split(nets)]
    return scores_of(module, thetas, faces, probes, images)


@torch.no_grad()
def scores_of(
    module: Personal, thetas: Sequence[Tensor], faces: Faces, probes: NDArray[np.int64], images: int = 256
) -> NDArray[np.float32]:
    """Scores float32 (N, M) on some images of the nets θ (N, params), given as parts that run together."""
    device, columns = module.logit.device, []
    for i in range(0, len(probes), images):
        x = augment.plain(faces.crops[probes[i : i + images]], module.hgen.spec.height).to(device)
        shared = module.shared(x)
        columns.append(torch.cat([module.scores(t, shared) for t in thetas]).float().cpu().numpy())
    return np.concatenate(columns, 1)


def check(module: Personal, faces: Faces, index: NDArray[np.int64], nets: int = 96, images: int = 0) -> float:
    """EER of so many enrolled held-out images (every k-th) against so many of them (0: all)."""
    probes = index[: images or len(index)]
    enrolled = np.linspace(0, len(probes) - 1, min(nets, len(probes))).astype(int)
    s = score_matrix(module, torch.from_numpy(faces.enrolled()[probes[enrolled]]), faces, probes)
    same = faces.identity[probes[enrolled]][:, None] == faces.identity[probes][None]
    self_pair = enrolled[:, None] == np.arange(len(probes))[None]
    return equal_error(s[same & ~self_pair], s[~same]).eer
