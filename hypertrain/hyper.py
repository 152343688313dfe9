"""Stage `hyper`: h_gen by the paper's loss over all pairs of a batch, and by the teacher's similarities.

Every net of the enrolled embeddings looks at every image of B people × n photos. Mixtures of embeddings have no label,
but the teacher's similarity ⟨e, E(x)⟩ is known for any e: that keeps the personal part from memorising the training
people. As configs/paper.toml sets it, it is the paper's objective as printed (equations 3 to 9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Conv, NetSpec
from hyper_mcu.hypertrain import batched, loss, pairs, processes, sampling, schedule
from hyper_mcu.hypertrain.data import Crops, Faces
from hyper_mcu.hypertrain.loop import Run
from hyper_mcu.hypertrain.net import Statistics
from hyper_mcu.hypertrain.personal import Personal, Raw, check
from hyper_mcu.hypertrain.settings import at_least, one_of, share
from hyper_mcu.hypertrain.views import Views
from hyper_mcu.hypertrain.work import Work


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of the stage."""

    steps: int = 1500  # 0 leaves the stage out
    # the batch: B people × n photos, of which some are enrolled
    people: int = 48  # B, at first
    photos: int = 4  # n
    double_at: tuple[float, ...] = ()  # shares of the run at which B doubles
    unbalanced: bool = False  # a person gives what photos there are, n^i, instead of some twice
    balance: float = 0.0  # 0: people are drawn alike, 1: the sets that they are in, SET/PERSON/IMAGE
    unlabelled: int = 0  # images of nobody known that are probed too, for what the teacher says of them
    nets: int = 32  # images that are enrolled; 0: all of them, the paper's nB × nB
    mixtures: int = 32  # random mixtures of embeddings that are enrolled too
    drawn: bool = False  # instead of these, draws from the normal distribution of the embeddings to train on
    noise: float = 0.2  # norm of what is added to every enrolled embedding
    dropout: float = 0.0  # share of the numbers of every enrolled embedding that are 0 instead
    probed: str = "views"  # where there are any (views.each), or photos all the same
    enrolled: str = "photos"  # or views, the very ones that are probed
    clusters: int = 0  # K of K-means centred sampling; 0: none
    cluster_start: int = 0  # steps before it
    # the pairs: every net with every image, or all positives and
    hard: int = 0  # hardest negatives of a net
    random: int = 0  # random other pairs of a net; 0: all pairs
    # the loss: bce · equation 6 + α_norm · equation 8 + what the teacher says
    bce: float = 0.005
    beta: float = 2.0  # β of equation 7
    own: bool = False  # whether a net is taught its own enrolment photo
    alpha_from: float = 1e-5  # α_norm at step 1
    alpha_to: float = 1e-5  # and once the share alpha_until of the run is over
    alpha_until: float = 0.5
    alpha_shape: str = "linear"  # or cosine
    norm: str = "change"  # equation 8 over θ − θ0, or over "theta"
    teacher: float = 20.0  # times the squared difference of the net's and the teacher's cosines, of which one
    emphasis: float = 0.0  # weighs 1 + emphasis · C, C the teacher's cosine where above 0
    soft: float = 0.0  # times the BCE with the soft target σ((C − soft_zero)/soft_width), C the teacher's cosine
    soft_zero: float = 0.3
    soft_width: float = 0.1
    contrast: float = 0.0  # times the divergence of softmax(cosine/temperature) from softmax(C/temperature), over all
    # images but the net's own photo
    temperature: float = 0.07
    labelled: bool = False  # in the contrast C is 1 for two photos of one person
    both_ways: bool = False  # and it is of the nets of each image too, as in stage distill
    # the optimiser
    optimiser: str = "adamw"  # or sgd
    lr: float = 5e-5  # peak, after
    warmup: int = 100  # steps
    weight_decay: float = 1e-2
    # the nets
    chunk: int = 0  # nets at a time, which bound the memory; 0: one a thread on the CPU, four with few pairs, else 32
    trunk: bool = False  # the stages that all people share learn too
    statistics: float = 0.0  # momentum by which the channel statistics follow the generated nets
    qat: bool = False  # nets are quantised in training, and the activation scales are learned
    # the checks
    check_nets: int = 96  # held-out images that are enrolled
    check_images: int = 0  # and that are probed; 0: all

    def __post_init__(self) -> None:
        at_least("hyper", self, photos=1, nets=0, mixtures=0, noise=0, clusters=0, cluster_start=0, weight_decay=0)
        at_least("hyper", self, bce=0, teacher=0, emphasis=0, soft=0, soft_width=1e-3, contrast=0, temperature=1e-3)
        at_least("hyper", self, hard=0, random=0, chunk=0, unlabelled=0)
        at_least("hyper", self, check_nets=1, check_images=0)
        share("hyper", self, "statistics", "balance", "dropout")
        one_of("hyper", self, optimiser=schedule.OPTIMISERS, norm=("theta", "change"))
        one_of("hyper", self, probed=("photos", "views"), enrolled=("photos", "views"))
        if self.drawn and not self.mixtures:
            raise UserError("hyper.drawn", "draws instead of mixtures", "hyper.mixtures above 0", self.mixtures)
        if self.dropout == 1:
            raise UserError("hyper.dropout", "leaves nothing of an embedding", "below 1", self.dropout)
        if self.balance and self.clusters:
            raise UserError(
                "hyper.balance", "people are drawn by clusters", "hyper.clusters 0, or balance 0", self.balance
            )
        if self.hard or self.random:
            pairs.check("hyper", self.hard, self.random)
            if self.both_ways:
                raise UserError(
                    "hyper.both_ways", "an image has no whole column", "all pairs (hyper.random 0)", self.random
                )
        _ = self.schedule  # checks its numbers
        if self.bce:
            loss.check_beta("hyper.beta", self.beta, self.people)

    @property
    def schedule(self) -> schedule.Schedule:
        """What changes over the run."""
        return schedule.Schedule(
            self.steps, self.lr, self.warmup, self.people, self.double_at,
            self.alpha_from, self.alpha_to, self.alpha_until, self.alpha_shape,
        )  # fmt: skip


def check_set(c: Settings, faces: Faces, spec: NetSpec) -> None:
    """Raises UserError where a set or an architecture does not do for the settings."""
    album = sampling.album(faces.identity, faces.select("train"))
    sampling.Sampler(album, c.photos, 0, c.unbalanced).check(c.schedule.most_people)
    if c.clusters > len(album.names):
        expected = f"at most {len(album.names)}, the people to train on"
        raise UserError("hyper.clusters", "more than people", expected, c.clusters)
    if faces.embeddings.shape[2] != faces.dimension:
        for name, plain in (("mixtures", 0), ("noise", 0), ("dropout", 0), ("enrolled", "photos")):
            if getattr(c, name) != plain:
                raise UserError(f"hyper.{name}", "only of plain embeddings", str(plain), getattr(c, name))
    for name in ("teacher", "contrast"):
        if getattr(c, name) and spec.head.kind != "cosdot":
            raise UserError(f"hyper.{name}", "compares cosines", f"a CosDot head, or {name} 0", spec.head.kind)
    processes.check_share("hyper.nets" if c.nets else "hyper.people × hyper.photos", c.nets or c.people * c.photos)
    processes.check_share("hyper.mixtures", c.mixtures)
    if c.unlabelled and not faces.select("unlabelled").size:
        raise UserError("hyper.unlabelled", "no such images", "a set with images of nobody known, or 0", c.unlabelled)
    if c.bce and not c.own and c.photos < 2:
        expected = "2 or more, or hyper.own, or hyper.bce 0"
        raise UserError("hyper.photos", "no net sees its person on another photo", expected, c.photos)
    if c.nets > c.people * c.photos:
        raise UserError("hyper.nets", "more than images", f"at most {c.people * c.photos}", c.nets)


def _untouched(stats: Statistics) -> bool:
    """Whether nothing has been seen yet."""
    return all(bool((x == x.new_tensor(float(name.startswith("var")))).all()) for name, x in stats.named_buffers())


def _normal(e: Tensor) -> tuple[Tensor, Tensor]:
    """The normal distribution fitted to vectors e (N, d): mean (d,), and L (d, d) with the covariance L·Lᵀ."""
    covariance = torch.cov(e.double().T) + 1e-6 * torch.eye(e.shape[1], dtype=torch.double)
    return e.mean(0), torch.linalg.cholesky(covariance).float()


class Hyper:
    """The stage as the loop runs it (loop.Stage)."""

    name = "hyper"
    unit = "pairs"  # of a net and an image

    def __init__(self, module: Personal, faces: Faces, c: Settings, run: Run, views: Views | None = None) -> None:
        """views: of the images to train on, to be probed instead of these unless the settings say photos. Raises
        UserError for a set too small, or numbers that do not go together."""
        spec, train = module.hgen.spec, faces.select("train")
        check_set(c, faces, spec)
        views = views if c.probed == "views" else None
        if c.enrolled == "views" and views is None:
            raise UserError(
                "hyper.enrolled", "no views are probed", "some (views.each, hyper.probed), or photos", c.enrolled
            )
        self.steps, self.c, self.run, self.faces, self.views = c.steps, c, run, faces, views
        self.device, self._schedule = run.on(), c.schedule
        cpu = self.device.type == "cpu"
        self._chunk = c.chunk or ((4 if c.random else 1) if cpu else 32)
        self._workers = torch.get_num_threads() if cpu else 1
        people = sampling.album(faces.identity, train)
        clusters = None
        if c.clusters:
            means = sampling.mean_embeddings(people, faces.embeddings, faces.dimension)
            label = processes.agreed(sampling.cluster(means, c.clusters, run.seed).label)
            clusters = sampling.from_labels(means, label, c.clusters)
        weight = sampling.balanced(people, faces.names, c.balance) if c.balance else None
        self._sampler = sampling.Sampler(people, c.photos, run.seed, c.unbalanced, clusters, c.cluster_start, weight)
        self.module: Personal = module.to(self.device)
        self._raw = processes.parallel(Raw(self.module.hgen), ["hgen.quantiser.log_scale"])
        quantiser = self.module.hgen.quantiser
        loose = [self.module.logit, *(quantiser.parameters() if quantiser else ())]
        self._loose = [p for p in loose if p.requires_grad]
        processes.alike(self._loose)
        convs = sum(isinstance(s.layer, Conv) for s in spec.stages[: module.hgen.shape.first])
        self._frozen = spec.tensors[2 * convs].offset  # of θ0: what belongs to shared stages
        if c.trunk and not (self._frozen and quantiser is None):
            got = "hyper.qat" if quantiser is not None else "hgen.first 0"
            want = "hgen.first above 0 and no hyper.qat"
            raise UserError("hyper.trunk", "needs shared stages of real numbers", want, got)
        self._val, self._nobody = faces.select("val"), faces.select("unlabelled")
        self._enrolled, self._teacher = torch.from_numpy(faces.enrolled()), torch.from_numpy(faces.teacher())
        if c.drawn:
            self._mean, self._factor = _normal(self._enrolled[torch.from_numpy(train)])
        code = {name: i for i, name in enumerate(np.unique(faces.identity[train]).tolist())}
        self._labels = torch.tensor([code.get(n, -1) for n in faces.identity.tolist()])

    def optimiser(self) -> torch.optim.Optimizer:
        """Of what learns: a quantiser may be told not to. θ0 and the numbers beside h_gen do not decay."""
        kept = {id(self.module.hgen.theta0), *map(id, self._loose)}
        learning = [p for p in self.module.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learning if id(p) not in kept]},
            {"params": [p for p in learning if id(p) in kept], "weight_decay": 0.0},
        ]
        return schedule.build_optimiser(groups, self.c.optimiser, self.c.weight_decay)

    def rate(self, step: int) -> float:
        return self._schedule.at(step).lr

    def shown(self, step: int) -> tuple[Crops, bool]:
        return (self.views.crops, True) if self.views else (self.faces.crops, False)

    def rows(self, step: int) -> NDArray[np.int64]:
        rows = self._sampler.rows(step, self._schedule.at(step).people)
        if self.c.unlabelled:
            rng = sampling.rng(self.run.seed, step, "unlabelled")
            rows = np.concatenate([rows, rng.choice(self._nobody, self.c.unlabelled)])
        return self.views.of(rows, sampling.rng(self.run.seed, step, "views")) if self.views else rows

    def part(self, count: int) -> slice:
        return slice(0, count)  # nets are shared among processes, images are not

    def backward(self, step: int, rows: NDArray[np.int64], x: Tensor) -> tuple[dict[str, Tensor], int]:
        c, m = self.c, self.module
        work = self._work(step, torch.from_numpy(rows))
        if step == 1 and c.statistics and _untouched(m.hgen.stats):
            with torch.no_grad():
                m.hgen.stats.calibrate(m.hgen.spec, m.hgen.raw(work.enrolled[:1])[0], x.float())
            processes.alike(m.hgen.stats.buffers())
        with torch.set_grad_enabled(c.trunk):
            below = m.shared(x, self.run.amp)
        shared = below.detach().requires_grad_(c.trunk)  # what chunks leave there goes on through the trunk, once
        raw = self._raw(work.enrolled)
        found: dict[int, dict[str, Tensor]] = {}  # the loss of each chunk, which come in any order
        exact = m.hgen.quantiser is not None  # bfloat16 has no room for the integers

        def scores_of(chunk: slice, theta: Tensor) -> Tensor:
            columns = None if work.columns is None else work.columns[chunk]
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.run.amp and not exact):
                return m.scores(m.nets(theta), shared, columns).float()

        contrast = None
        if c.contrast and c.both_ways:
            contrast = self._contrast(work, batched.forward(raw, self._chunk, scores_of, self._workers))

        def loss_of(chunk: slice, theta: Tensor) -> Tensor:
            parts = self._parts(work, chunk, scores_of(chunk, theta), contrast)
            found[chunk.start] = {name: value.detach() for name, value in parts.items()}
            return torch.stack([*parts.values()]).sum()

        change = raw - m.hgen.base() if c.norm == "change" else raw
        norm = self._schedule.at(step).alpha_norm * loss.norm_penalty(change)
        loose = [*self._loose, shared] if c.trunk else self._loose
        batched.backward(raw, self._chunk, loss_of, beside=norm, workers=self._workers, loose=loose)
        processes.average_gradients(self._loose)
        theta0 = m.hgen.theta0
        if theta0.grad is not None:
            theta0.grad[: self._frozen] = 0
            if shared.grad is not None:
                (trunk,) = torch.autograd.grad(below, theta0, shared.grad)
                theta0.grad += processes.averaged(trunk)
        if c.statistics:
            h, theta = m.hgen, m.hgen.fold(raw.detach())
            seen = batched.moments(h.spec, theta, h.stats, shared.detach(), h.shape.first, processes.size() > 1)
            m.hgen.stats.update(seen, c.statistics)
        sums = {k: torch.stack([found[i][k] for i in sorted(found)]).sum() for k in found[0]}
        return {**sums, "norm": norm}, processes.size() * work.same.numel()

    def _work(self, step: int, rows: Tensor) -> Work:
        """This process's share of the nets of a step, and what they are taught; the same draws in every process."""
        c, g = self.c, sampling.torch_rng(self.run.seed, step, "enrolment")
        images, labels, said = self._shown(rows)
        taken, people = self._enrolled[images] if c.enrolled == "photos" else said, len(rows) - c.unlabelled
        own = torch.arange(people) if c.nets == 0 else torch.randperm(people, generator=g)[: c.nets]
        if c.drawn:
            mixed = self._mean + torch.randn(c.mixtures, len(self._mean), generator=g) @ self._factor.T
        else:
            strength = torch.randn(c.mixtures, 3, generator=g).abs().unsqueeze(2)
            mixed = (strength * taken[torch.randint(len(taken), (c.mixtures, 3), generator=g)]).sum(1)
        enrolled = torch.cat([taken[own], F.normalize(mixed, dim=1)])
        if c.noise:
            noise = torch.randn(enrolled.shape, generator=g) / enrolled.shape[1] ** 0.5
            enrolled = F.normalize(enrolled + c.noise * noise, dim=1)
        if c.dropout:
            enrolled = F.normalize(enrolled * (torch.rand(enrolled.shape, generator=g) >= c.dropout), dim=1)
        nobody = torch.full((c.mixtures,), -1)
        people_of = self._labels[images] if c.enrolled == "photos" else labels  # the photo's person, or the blend's
        who = torch.cat([people_of[own], nobody])
        same = loss.targets(who, labels)
        shown = torch.cat([images[own], nobody])[:, None] == images[None]  # twice, where a person has few photos
        counted = loss.known(who, labels)
        if not c.own:
            counted &= ~shown
        teacher = enrolled[:, : self.faces.dimension] @ said.T
        work = Work(enrolled, same, shown, counted, teacher, loss.shares(who, labels), None, None)
        if c.random:
            rng = sampling.rng(self.run.seed, step, "pairs")
            work = work.only(pairs.choose(same.bool().numpy(), teacher.numpy(), c.hard, c.random, rng))
        plainly, mixtures = torch.arange(len(enrolled)).split([len(enrolled) - c.mixtures, c.mixtures])
        mine = torch.cat([part[processes.share(len(part))] for part in (plainly, mixtures)])
        return work.rows(mine).to(self.device)

    def _shown(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of what is probed (M,): the images of the set that it shows, its labels, what the teacher says of it (M, d).
        A blend of two people is nobody."""
        if (v := self.views) is None:
            return rows, self._labels[rows], self._teacher[rows]
        at = rows.numpy()
        images, blend = torch.from_numpy(v.first[at]), torch.from_numpy(v.first[at] != v.second[at])
        return images, torch.where(blend, -1, self._labels[images]), torch.from_numpy(v.teacher[at]).float()

    def _taught(self, work: Work) -> Tensor:
        """The cosines (N, M) that the contrast is taught by."""
        return work.teacher.masked_fill(work.same.bool(), 1.0) if self.c.labelled else work.teacher

    def _contrast(self, work: Work, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The contrast both ways of this process's scores (N, M), among those of all, and its gradient there."""
        own = scores.detach().requires_grad_()
        all_scores, teacher = processes.gather(own), processes.gather(self._taught(work))
        others = processes.gather((~work.own).float())
        one = loss.contrast(all_scores, teacher, self.c.temperature, others)
        other = loss.contrast(all_scores.T, teacher.T, self.c.temperature, others.T)
        value = self.c.contrast * (one + other) / 2
        (gradient,) = torch.autograd.grad(value, own)
        return value.detach(), gradient

    def _parts(
        self, work: Work, chunk: slice, scores: Tensor, contrast: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Weighted parts of the loss of a chunk of nets, whose sums over chunks are those of the step. contrast: of all
        nets, see `_contrast`."""
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
            heavy = loss.emphasised(work.teacher[chunk], c.emphasis, weight)
            parts["teacher"] = c.teacher * loss.similarity(scores, work.teacher[chunk], heavy, n)
        if c.soft:
            logits, teacher = self.module.logits(scores), work.teacher[chunk]
            parts["soft"] = c.soft * loss.soft_bce(logits, teacher, c.soft_zero, c.soft_width, weight, n)
        if contrast:
            value, gradient = contrast
            moved = (gradient[chunk] * scores).sum()  # has the gradient of the whole, and is given its value
            parts["contrast"] = moved - moved.detach() + value * len(scores) / n
        elif c.contrast:
            others = ~work.own[chunk] * (1.0 if weight is None else weight)
            parts["contrast"] = c.contrast * loss.contrast(scores, self._taught(work)[chunk], c.temperature, others, n)
        return parts

    def check(self) -> dict[str, float]:
        return {"val_eer": check(self.module, self.faces, self._val, self.c.check_nets, self.c.check_images)}
