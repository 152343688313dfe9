"""Scores of pairs through generated nets, float and integer, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen import engine
from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.codegen.qnet import QNet
from hyper_mcu.codegen.quantize import quantize, scales_of
from hyper_mcu.hypertrain import augment
from hyper_mcu.hypertrain.data import MARGIN, Faces
from hyper_mcu.hypertrain.distill import enrol_embeddings
from hyper_mcu.hypertrain.metrics import equal_error, ten_folds
from hyper_mcu.hypertrain.net import flatten, pad_same, shuffle, split
from hyper_mcu.hypertrain.protocol import Pairs

Weights = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # embeddings (N, d) → θ (N, params), folded


@dataclass(frozen=True)
class Figures:
    """Ten-fold accuracy (mean, SD) and equal error rate of one set of scores, 0…1, and the score at that point."""

    accuracy_mean: float
    accuracy_sd: float
    eer: float
    threshold: float


def figures(scores: NDArray[np.float64], pairs: Pairs) -> Figures:
    """Figures of the scores (P,) of `pairs`."""
    equal = equal_error(scores[pairs.same], scores[~pairs.same])
    return Figures(*ten_folds(scores, pairs.same, pairs.fold), equal.eer, equal.threshold)


@torch.no_grad()
def float_maps(spec: NetSpec, theta: Tensor, x: Tensor) -> list[Tensor]:
    """Outputs of every stage, (P, C, H, W) each, of net i (θ (P, params), folded) on image i (x (P, 3, H, W))."""
    n, named, maps = len(theta), split(spec, theta), list[Tensor]()
    for s in spec.stages:
        if isinstance(c := s.layer, Conv):
            w = named[f"stage{s.index}.weight"].permute(0, 1, 4, 2, 3).flatten(0, 1)
            b = named[f"stage{s.index}.bias"].flatten()
            xs = pad_same(x, s).flatten(0, 1)[None]
            x = F.conv2d(xs, w, b, c.stride, 0, 1, n * c.groups)[0].unflatten(0, (n, -1))
            x = F.relu(x) if c.relu else x
        else:
            x = x + maps[s.layer.of]  # type: ignore[union-attr]
        x = shuffle(x, s.shuffle)
        maps.append(x)
    return maps


def float_scores(spec: NetSpec, theta: Tensor, x: Tensor) -> Tensor:
    """Real scores (P,) of net i on image i: a cosine for CosDot, b + w·u for Dot."""
    u, named = flatten(spec, float_maps(spec, theta, x)[-1]), split(spec, theta)
    dot = (u * named["head.weight"]).sum(1)
    if spec.head.kind == "dot":
        return dot + named["head.bias"][:, 0]
    return dot / (u.norm(dim=1) * named["head.weight"].norm(dim=1)).clamp(min=1e-12)


def integer_scores(
    spec: NetSpec, theta: Tensor, scales: NDArray[np.float32], images: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The same scores from the emitted C: CosDot's logit as the cosine that it stands for, Dot's in real units."""
    made: dict[bytes, QNet] = {}
    for t in theta.numpy():
        if t.tobytes() not in made:
            made[t.tobytes()] = quantize(spec, t, scales)
    nets = [made[t.tobytes()] for t in theta.numpy()]
    logits = engine.logits(nets, images).tolist()
    return np.array([q.score(logit) for q, logit in zip(nets, logits, strict=True)])


def score_pairs(
    spec: NetSpec, weights: Weights, scales: NDArray[np.float32] | None, faces: Faces, pairs: Pairs, batch: int = 64
) -> dict[str, NDArray[np.float64]]:
    """Scores (P,) of pairs by "float" and, where `scales` are given, by "int8" arithmetic."""
    e = enrol_embeddings(faces)
    out: dict[str, list[NDArray[np.float64]]] = {"float": [], "int8": []}
    order = np.argsort(pairs.enrol, kind="stable")
    for i in range(0, len(order), batch):
        rows = order[i : i + batch]
        enrolled, where = np.unique(pairs.enrol[rows], return_inverse=True)
        theta = torch.from_numpy(weights(e[enrolled])[where])
        images = np.ascontiguousarray(faces.crops[pairs.probe[rows], MARGIN:-MARGIN, MARGIN:-MARGIN])
        out["float"].append(float_scores(spec, theta, augment.to_input(images)).numpy().astype(np.float64))
        if scales is not None:
            out["int8"].append(integer_scores(spec, theta, scales, images))
    back = np.argsort(order, kind="stable")
    return {k: np.concatenate(v)[back] for k, v in out.items() if v}


def calibrate(
    spec: NetSpec, weights: Weights, faces: Faces, count: int = 256, quantile: float = 0.9999
) -> NDArray[np.float32]:
    """Activation scales float32 (stages,) of the architecture: the given quantile of each stage's outputs over random
    training people and training images is the largest byte."""
    rng = np.random.default_rng(0)
    index = faces.select("train")
    people, probes = rng.choice(index, count), rng.choice(index, count)
    e = enrol_embeddings(faces)
    tops: list[list[float]] = [[] for _ in spec.stages]
    for i in range(0, count, 32):
        theta = torch.from_numpy(weights(e[people[i : i + 32]]))
        x = augment.to_input(faces.crops[np.sort(probes[i : i + 32]), MARGIN:-MARGIN, MARGIN:-MARGIN])
        for top, m in zip(tops, float_maps(spec, theta, x), strict=True):
            top.append(float(np.quantile(m.abs().numpy(), quantile)))
    return scales_of(spec, np.array([np.mean(t) for t in tops]))
