"""Scores of pairs through generated nets, float and integer.

Stages that all generated nets share are computed once an image; what lies behind them once a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen import engine
from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Conv, NetSpec
from hyper_mcu.codegen.progress import Progress, counting, silent
from hyper_mcu.codegen.quantize import quantize, scales_of
from hyper_mcu.hypertrain import augment, batched, oracle
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.data.crops import cores
from hyper_mcu.hypertrain.net import normalise, pad_same, shuffle, split
from hyper_mcu.hypertrain.protocols import Pairs

Weights = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # embeddings (N, D) → θ (N, params), folded
Scores = dict[str, NDArray[np.float64]]  # by arithmetic: "float", "int8"
LOOK = 32  # images that shared stages look at in one go: their maps stay in the cache
BATCH = 256  # pairs in one go
AHEAD = 4  # batches whose nets are made while others are scored
ROOM = 1 << 30  # bytes of shared stages' maps that are kept


@torch.no_grad()
def float_maps(
    spec: NetSpec, theta: Tensor, x: Tensor, stop: int | None = None, activation: batched.Activation | None = None
) -> list[Tensor]:
    """Outputs of every stage before `stop`, (P, C, H, W) each, of net i (θ (P, params), folded) on image i
    (x (P, 3, H, W)), or of one net (θ (1, params)) on every image. activation(stage, y) takes the place of ReLU and is
    called for every stage, Adds and the linear end too."""
    n, named, maps = len(theta), split(spec, theta), list[Tensor]()
    for s in spec.stages[:stop]:
        if isinstance(c := s.layer, Conv):
            w = named[f"stage{s.index}.weight"].permute(0, 1, 4, 2, 3).flatten(0, 1)
            b = named[f"stage{s.index}.bias"]
            padded = pad_same(x, s)
            beside = padded.reshape(len(x) // n, -1, *padded.shape[2:])  # all nets' maps as channels of one
            late = spec.norm in RUN_TIME_NORMS  # the bias comes behind the normalisation
            y = F.conv2d(beside, w, None if late else b.flatten(), c.stride, 0, 1, n * c.groups)
            y = y.reshape(len(x), c.cout, *s.out_shape[:2])
            x = normalise(spec, y) + b[:, :, None, None] if late else y
        else:
            x = x + maps[c.of]
        if activation is not None:
            x = activation(s, x)
        elif isinstance(c, Conv) and c.relu:
            x = F.relu_(x)
        x = shuffle(x, s.shuffle)
        maps.append(x)
    return maps


def float_scores(spec: NetSpec, theta: Tensor, x: Tensor, first: int = 0) -> Tensor:
    """Real scores (P,) of net i on x[i], the input of stage `first`: a cosine for CosDot, b + w·u for Dot."""
    return batched.pair_scores(spec, theta, x, torch.arange(len(theta))[:, None], first)[:, 0]


def shared_stages(spec: NetSpec, theta: NDArray[np.float32]) -> int:
    """How many leading stages have the same numbers in every θ (N, params) and are read by none behind but the next."""
    alike = (theta == theta[:1]).all(0)
    count = 0
    for s in spec.stages:
        own = [t for t in spec.tensors if t.name.split(".")[0] == f"stage{s.index}"]
        if not all(alike[t.offset : t.offset + t.size].all() for t in own):
            break
        count += 1
    return oracle.before_adds(spec, count)


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """A thread a core, each computing alone: torch's own threads wait for each other at every small step, and for long
    where the machine has other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


Look = Callable[[NDArray[np.uint8], int], Tensor]  # crops, and before which stage to stop → that stage's input
Inputs = Callable[[NDArray[np.int64]], Tensor]  # images by number → the input of the first stage that is not shared


def _shared(
    spec: NetSpec, count: int, crops: Callable[[NDArray[np.int64]], NDArray[np.uint8]], pool: ThreadPoolExecutor
) -> Callable[[int, Look], Inputs]:
    """What shared stages make of the `count` probed images, by (first, look): the inputs of stage `first`. Computed
    once for all images, and again where nets that come later share fewer stages; for each pair where it is too much to
    keep."""
    kept: dict[int, Tensor] = {}

    def of(first: int, look: Look) -> Inputs:
        size = count * int(np.prod(spec.stages[first - 1].out_shape)) * 4 if first else 0
        if first == 0 or size > ROOM:
            return lambda at: look(crops(at), first)
        if first not in kept:
            kept.clear()
            parts = [np.arange(i, min(i + LOOK, count)) for i in range(0, count, LOOK)]
            kept[first] = torch.cat(list(pool.map(lambda at: look(crops(at), first), parts)))
        return lambda at, maps=kept[first]: maps[torch.from_numpy(at)]  # type: ignore[misc]

    return of


@torch.no_grad()
def score_pairs(
    spec: NetSpec,
    weights: Weights,
    scales: NDArray[np.float32] | None,
    faces: Faces,
    pairs: Pairs,
    batch: int = BATCH,
    progress: Progress = silent,
    by_c: bool = False,
) -> Scores:
    """Scores (P,) of pairs by "float" and, where `scales` are given, by "int8" arithmetic; by_c: the latter by the
    emitted C, compiled here, instead of the integer oracle's twin."""
    rows, column = np.unique(pairs.probe, return_inverse=True)

    def crops(at: NDArray[np.int64]) -> NDArray[np.uint8]:
        return augment.images(faces.crops[rows[at]], spec.height)

    out: dict[str, list[Future[NDArray[np.float64]]]] = {"float": [], "int8": []}
    order = np.argsort(pairs.enrol, kind="stable")
    reference = weights(faces.enrolled(pairs.enrol[order[:1]]))
    tell = counting(progress, "scoring pairs", len(order))
    with _pool() as pool:
        real, whole = (_shared(spec, len(rows), crops, pool) for _ in range(2))
        for k, i in enumerate(range(0, len(order), batch)):
            tell(i)
            here = order[i : i + batch]
            enrolled, net = np.unique(pairs.enrol[here], return_inverse=True)
            # what is shared has to be shared by the nets of all batches, so each batch has one net in common
            theta, net, at = np.concatenate([reference, weights(faces.enrolled(enrolled))]), net + 1, column[here]
            out["float"].append(pool.submit(_by_float(spec, theta, real), net, at))
            if scales is not None and by_c:
                out["int8"].append(pool.submit(_by_c, spec, theta, scales, net, crops(at)))
            elif scales is not None:
                out["int8"].append(pool.submit(_by_twin(spec, theta, scales, whole), net, at))
            for waiting in out.values():
                wait(waiting[: max(k - AHEAD, 0)])
    back = np.argsort(order, kind="stable")
    return {k: np.concatenate([f.result() for f in v])[back] for k, v in out.items() if v}


Scorer = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]  # nets, images → scores


def _by_float(spec: NetSpec, theta: NDArray[np.float32], shared: Callable[[int, Look], Inputs]) -> Scorer:
    """Scores by the nets θ (N, params)."""
    first, weights = shared_stages(spec, theta), torch.from_numpy(theta)

    def look(crops: NDArray[np.uint8], stop: int) -> Tensor:
        x = augment.to_input(crops)
        return float_maps(spec, weights[:1], x, stop)[-1] if stop else x

    inputs = shared(first, look)

    def score(net: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.float64]:
        return float_scores(spec, weights[torch.from_numpy(net)], inputs(at), first).numpy().astype(np.float64)

    return score


def _by_twin(
    spec: NetSpec, theta: NDArray[np.float32], scales: NDArray[np.float32], shared: Callable[[int, Look], Inputs]
) -> Scorer:
    """Scores by the integers of the nets θ (N, params)."""
    nets = oracle.quantize_all(spec, theta, scales)

    def look(crops: NDArray[np.uint8], stop: int) -> Tensor:
        return oracle.maps(nets, oracle.pixels(crops), 0, stop)[0] if stop else oracle.pixels(crops)

    inputs = shared(nets.shared, look)

    def score(net: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.float64]:
        scores = []
        for i in range(0, len(at), LOOK):
            asked = nets.take(net[i : i + LOOK])
            logits = oracle.run(asked, inputs(at[i : i + LOOK]), nets.shared).logits
            scores.append(asked.scores(logits, float(scales[-1])))
        return np.concatenate(scores)

    return score


def _by_c(
    spec: NetSpec,
    theta: NDArray[np.float32],
    scales: NDArray[np.float32],
    net: NDArray[np.int64],
    images: NDArray[np.uint8],
) -> NDArray[np.float64]:
    made = [quantize(spec, t, scales) for t in theta]
    nets = [made[k] for k in net]
    logits = engine.logits(nets, images).tolist()
    return np.array([q.score(logit) for q, logit in zip(nets, logits, strict=True)])


def calibrate(
    spec: NetSpec, weights: Weights, faces: Faces, count: int = 256, quantile: float = 0.9999
) -> NDArray[np.float32]:
    """Activation scales float32 (stages,) of the architecture: the given quantile of each stage's outputs over random
    training people and training images is the largest byte."""
    rng = np.random.default_rng(0)
    index = faces.select("train")
    people, probes = rng.choice(index, count), rng.choice(index, count)
    tops: list[list[float]] = [[] for _ in spec.stages]
    for i in range(0, count, 32):
        theta = torch.from_numpy(weights(faces.enrolled(people[i : i + 32])))
        x = augment.plain(faces.crops[np.sort(probes[i : i + 32])], spec.height)
        for top, m in zip(tops, float_maps(spec, theta, x), strict=True):
            top.append(float(np.quantile(m.abs().numpy(), quantile)))
    return scales_of(spec, np.array([np.mean(t) for t in tops]))
