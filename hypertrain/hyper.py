"""Stage `hyper`: h_gen by the paper's loss over all pairs of a batch, and by the teacher's similarities.

Every net of the enrolled embeddings looks at every image of B people × n photos. Mixtures of embeddings have no label,
but the teacher's similarity ⟨e, E(x)⟩ is known for any e: that keeps the personal part from memorising the training
people. With nets = 0, mixtures = 0, noise = 0, teacher = 0 it is the paper's objective as printed (equations 3 to 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.hypertrain import batched, loss, pairs, processes, sampling, schedule
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.loop import Run
from hyper_mcu.hypertrain.personal import Personal, Raw, check
from hyper_mcu.hypertrain.settings import at_least, one_of, share


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of the stage; 0 steps leave it out.

    Batch: `people` B and `photos` n at first, doubled at the shares `double_at` of the run; `unbalanced` takes the
    photos that a person has; `nets` of the images are enrolled (0: all of them), and so are `mixtures` random
    embeddings; `noise` is the norm of what is added to every enrolled embedding. KCS: `clusters` K (0: none) after
    `cluster_start` steps. Loss: `bce` times equation 6 with β `beta`; α_norm times equation 8, over θ or, with `norm` =
    change, over θ − θ0; `teacher` times the squared difference of similarities; `own`: a net is taught its own
    enrolment photo too. Pairs: `hard` and `random` negatives a net beside all positives (0 and 0: every pair). `chunk`
    nets at a time (0: all) bound the memory. `statistics`: momentum by which the channel statistics follow the
    generated nets. `qat`: nets are quantised in training, and the activation scales learned. Checks enrol `check_nets`
    held-out images and probe `check_images` (0: all).
    """

    steps: int = 1500
    people: int = 48
    photos: int = 4
    unbalanced: bool = False
    double_at: tuple[float, ...] = ()
    nets: int = 32
    mixtures: int = 32
    noise: float = 0.2
    clusters: int = 0
    cluster_start: int = 0
    optimiser: str = "adamw"
    lr: float = 5e-5
    weight_decay: float = 1e-2
    warmup: int = 100
    bce: float = 0.005
    beta: float = 2.0
    alpha_from: float = 1e-5
    alpha_to: float = 1e-5
    alpha_until: float = 0.5
    alpha_shape: str = "linear"
    norm: str = "change"
    teacher: float = 20.0
    own: bool = False
    hard: int = 0
    random: int = 0
    chunk: int = 0
    statistics: float = 0.0
    qat: bool = False
    check_nets: int = 96
    check_images: int = 0

    def __post_init__(self) -> None:
        at_least("hyper", self, people=2, photos=1, nets=0, mixtures=0, noise=0, clusters=0, weight_decay=0, bce=0)
        at_least("hyper", self, teacher=0, hard=0, random=0, chunk=0, check_nets=1, check_images=0)
        share("hyper", self, "statistics")
        one_of("hyper", self, optimiser=schedule.OPTIMISERS, norm=("theta", "change"))
        if self.hard or self.random:
            pairs.check("hyper", self.hard, self.random)
        loss.check_beta("hyper.beta", self.beta, self.people)
        assert self.schedule is not None  # its own checks

    @property
    def schedule(self) -> schedule.Schedule:
        """What changes over the run."""
        return schedule.Schedule(
            self.steps, self.lr, self.warmup, self.people, self.double_at,
            self.alpha_from, self.alpha_to, self.alpha_until, self.alpha_shape, self.cluster_start,
        )  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What the nets of a step are taught, row by row. enrolled (N, D); same, counted, teacher (N, M) or (N, K):
    equation 3, whether the pair has a BCE term, the teacher's cosine; share (N,): see loss.shares; columns, weight
    (N, K): the chosen pairs, None for all."""

    enrolled: Tensor
    same: Tensor
    counted: Tensor
    teacher: Tensor
    share: Tensor
    columns: Tensor | None
    weight: Tensor | None

    def only(self, subset: pairs.Subset) -> Work:
        """The chosen pairs of each net."""
        columns = torch.from_numpy(subset.columns)
        picked = {k: getattr(self, k).gather(1, columns) for k in ("same", "counted", "teacher")}
        return replace(self, **picked, columns=columns, weight=torch.from_numpy(subset.weights))

    def rows(self, index: Tensor) -> Work:
        """Some of the nets."""
        return self._each(lambda v: v[index])

    def to(self, device: torch.device) -> Work:
        """The same on a device."""
        return self._each(lambda v: v.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Work:
        return replace(self, **{k: change(v) for k, v in vars(self).items() if v is not None})


def _check(c: Settings, faces: Faces, spec: NetSpec) -> None:
    if faces.embeddings.shape[2] != faces.dimension and (c.mixtures or c.noise):
        raise UserError("hyper.mixtures", "only of plain embeddings", "mixtures 0 and noise 0", c.mixtures)
    if c.teacher and spec.head.kind != "cosdot":
        raise UserError("hyper.teacher", "compares cosines", "a CosDot head, or teacher 0", spec.head.kind)
    for name, count in (("nets", c.nets or c.people * c.photos), ("mixtures", c.mixtures)):
        if count % processes.size():
            raise UserError(f"hyper.{name}", "not shared evenly", f"a multiple of {processes.size()}", count)
    if c.nets > c.people * c.photos:
        raise UserError("hyper.nets", "more than images", f"at most {c.people * c.photos}", c.nets)


class Hyper:
    """The stage as the loop runs it (loop.Stage)."""

    name = "hyper"

    def __init__(self, module: Personal, faces: Faces, c: Settings, run: Run) -> None:
        """Raises UserError for a set too small, or numbers that do not go together."""
        spec, train = module.hgen.spec, faces.select("train")
        _check(c, faces, spec)
        self.steps, self.c, self.run, self.faces = c.steps, c, run, faces
        self.device, self._schedule = run.on(), c.schedule
        people = sampling.album(faces.identity, train)
        clusters = None
        if c.clusters:
            means = sampling.mean_embeddings(people, faces.embeddings, faces.dimension)
            label = processes.agreed(sampling.cluster(means, c.clusters, run.seed).label)
            clusters = sampling.from_labels(means, label, c.clusters)
        self._sampler = sampling.Sampler(people, c.photos, run.seed, c.unbalanced, clusters, c.cluster_start)
        self._sampler.check(self._schedule.most_people)
        self.module: Personal = module.to(self.device)
        self._raw = processes.parallel(Raw(self.module.hgen), ["hgen.quantiser.log_scale"])
        quantiser = self.module.hgen.quantiser
        self._loose = [self.module.logit, *(quantiser.parameters() if quantiser else ())]
        convs = sum(isinstance(s.layer, Conv) for s in spec.stages[: module.hgen.shape.first])
        self._frozen = spec.tensors[2 * convs].offset  # of θ0: what belongs to shared stages stays
        self._val = faces.select("val")
        self._enrolled, self._teacher = torch.from_numpy(faces.enrolled()), torch.from_numpy(faces.teacher())
        code = {name: i for i, name in enumerate(np.unique(faces.identity[train]).tolist())}
        self._labels = torch.tensor([code.get(n, -1) for n in faces.identity.tolist()])

    def optimiser(self) -> torch.optim.Optimizer:
        """θ0 and the numbers beside h_gen do not decay."""
        kept = {id(self.module.hgen.theta0), *map(id, self._loose)}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.module.parameters() if id(p) not in kept]},
            {"params": [p for p in self.module.parameters() if id(p) in kept], "weight_decay": 0.0},
        ]
        return schedule.build_optimiser(groups, self.c.optimiser, self.c.weight_decay)

    def rate(self, step: int) -> float:
        return self._schedule.at(step).lr

    def rows(self, step: int) -> NDArray[np.int64]:
        return self._sampler.rows(step, self._schedule.at(step).people)

    def part(self, count: int) -> slice:
        return slice(0, count)  # nets are shared among processes, images are not

    def backward(self, step: int, rows: NDArray[np.int64], x: Tensor) -> tuple[dict[str, Tensor], int]:
        c, m = self.c, self.module
        work = self._work(step, torch.from_numpy(rows))
        if step == 1 and c.statistics:
            with torch.no_grad():
                m.hgen.stats.calibrate(m.hgen.spec, m.hgen.raw(work.enrolled[:1])[0], x.float())
        shared = m.shared(x, self.run.amp)
        raw = self._raw(work.enrolled)
        parts: dict[str, Tensor] = {}
        exact = m.hgen.quantiser is not None  # bfloat16 has no room for the integers

        def loss_of(chunk: slice, theta: Tensor) -> Tensor:
            columns = None if work.columns is None else work.columns[chunk]
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.run.amp and not exact):
                scores = m.scores(m.nets(theta), shared, columns)
            found = self._parts(work, chunk, scores.float())
            for name, value in found.items():
                parts[name] = parts.get(name, 0) + value.detach()
            return torch.stack([*found.values()]).sum()

        change = raw - m.hgen.base() if c.norm == "change" else raw
        parts["norm"] = self._schedule.at(step).alpha_norm * loss.norm_penalty(change)
        batched.backward(raw, c.chunk or len(raw), loss_of, beside=parts["norm"])
        processes.average_gradients(self._loose)
        if m.hgen.theta0.grad is not None:
            m.hgen.theta0.grad[: self._frozen] = 0
        if c.statistics:
            theta = m.hgen.fold(raw.detach())
            seen = batched.moments(m.hgen.spec, theta, m.hgen.stats, shared, m.hgen.shape.first, processes.size() > 1)
            m.hgen.stats.update(seen, c.statistics)
        return parts, processes.size() * work.same.numel()

    def _work(self, step: int, rows: Tensor) -> Work:
        """This process's share of the nets of a step, and what they are taught; the same draws in every process."""
        c, g = self.c, torch.Generator().manual_seed(self.run.seed * 1_000_003 + step)
        plain = self._enrolled[rows]
        own = torch.arange(len(rows)) if c.nets == 0 else torch.randperm(len(rows), generator=g)[: c.nets]
        strength = torch.randn(c.mixtures, 3, generator=g).abs().unsqueeze(2)
        mixed = (strength * plain[torch.randint(len(plain), (c.mixtures, 3), generator=g)]).sum(1)
        enrolled = torch.cat([plain[own], F.normalize(mixed, dim=1)])
        if c.noise:
            noise = torch.randn(enrolled.shape, generator=g) / enrolled.shape[1] ** 0.5
            enrolled = F.normalize(enrolled + c.noise * noise, dim=1)
        labels, nobody = self._labels[rows], torch.full((c.mixtures,), -1)
        who, own = torch.cat([labels[own], nobody]), torch.cat([own, nobody])
        same = loss.targets(who, labels)
        counted = loss.known(who, labels)
        if not c.own:
            counted &= own[:, None] != torch.arange(len(rows))[None]
        teacher = enrolled[:, : self.faces.dimension] @ self._teacher[rows].T
        work = Work(enrolled, same, counted, teacher, loss.shares(who, labels), None, None)
        if c.random:
            rng = sampling.rng(self.run.seed, step, "pairs")
            work = work.only(pairs.choose(same.bool().numpy(), teacher.numpy(), c.hard, c.random, rng))
        images, mixtures = torch.arange(len(enrolled)).split([len(enrolled) - c.mixtures, c.mixtures])
        mine = torch.cat([part[processes.share(len(part))] for part in (images, mixtures)])
        return work.rows(mine).to(self.device)

    def _parts(self, work: Work, chunk: slice, scores: Tensor) -> dict[str, Tensor]:
        """Weighted parts of the loss of a chunk of nets, whose sums over chunks are those of the step."""
        c, n = self.c, len(work.enrolled)
        weight = None if work.weight is None else work.weight[chunk]
        labelled = n - c.mixtures // processes.size()
        bce = loss.weighted_bce(
            self.module.logits(scores),
            work.same[chunk],
            c.beta,
            work.share[chunk],
            weight,
            work.counted[chunk],
            labelled,
        )
        parts = {"bce": c.bce * bce}
        if c.teacher:
            parts["teacher"] = c.teacher * loss.similarity(scores, work.teacher[chunk], weight, n)
        return parts

    def check(self) -> dict[str, float]:
        return {"val_eer": check(self.module, self.faces, self._val, self.c.check_nets, self.c.check_images)}
