"""Which images a step sees: people × photos, drawn uniformly or inside K-means clusters of people (KCS, section IV-C).

All draws are pure functions of the seed, the step and what they are for: nothing has to be restored to go on, and all
processes draw the same.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from hyper_mcu.codegen.errors import UserError

Rows = NDArray[np.int64]


def rng(seed: int, step: int, purpose: str) -> np.random.Generator:
    """The generator of one draw of one step. Another purpose is another stream: draws do not repeat each other."""
    return np.random.default_rng((seed, step, zlib.crc32(purpose.encode())))


def torch_rng(seed: int, step: int, purpose: str) -> torch.Generator:
    """The same for draws of torch, on the CPU."""
    return torch.Generator().manual_seed(int(rng(seed, step, purpose).integers(1 << 62)))


@dataclass(frozen=True)
class Album:
    """The images of each person: those of person i are rows[first[i] : first[i + 1]].

    rows int64 (I,); first int64 (P + 1,); names (P,), sorted.
    """

    rows: Rows
    first: Rows
    names: NDArray[np.str_]

    @property
    def counts(self) -> Rows:
        """Images of each person (P,)."""
        return np.diff(self.first)

    def of(self, person: int) -> Rows:
        """Images of a person."""
        return self.rows[self.first[person] : self.first[person + 1]]


def album(identity: NDArray[np.str_], index: Rows) -> Album:
    """The people of the images `index` (I,), of whose data set `identity` (N,) is; raises UserError where one has no
    name."""
    names, person = np.unique(identity[index], return_inverse=True)
    if len(names) == 0 or names[0] == "":
        raise UserError("training images", "image without identity", "a name", "none")
    order = np.argsort(person, kind="stable")
    return Album(np.asarray(index)[order], np.searchsorted(person[order], np.arange(len(names) + 1)), names)


def set_of(name: str) -> str:
    """The set that an image named SET/PERSON/IMAGE is in, empty for other names.

    >>> set_of("celeba/celeba_155/3.webp"), set_of("155/3.webp")
    ('celeba', '')
    """
    return str(name).rpartition("/")[0].rpartition("/")[0]


def balanced(people: Album, names: NDArray[np.str_], power: float) -> NDArray[np.float64]:
    """How often each person (P,) is drawn so that sets of very different sizes are: in proportion to the people of the
    person's set to the power of −`power`, 0: all people alike, 1: all sets. names (N,): of the images; SET/PERSON/IMAGE
    is of that set, a person's is that of the first image."""
    sets = [set_of(name) for name in names[people.rows[people.first[:-1]]]]
    _, which, size = np.unique(sets, return_inverse=True, return_counts=True)
    weight = size[which].astype(np.float64) ** -power
    share: NDArray[np.float64] = weight / weight.sum()
    return share


def mean_embeddings(
    people: Album, embeddings: NDArray[np.floating], dimension: int, chunk: int = 1 << 14
) -> NDArray[np.float32]:
    """Unit mean (P, dimension) of each person's embeddings (N, 2, D), the leading `dimension` numbers; reads about
    `chunk` images at a time, so that a memory map may be larger than the memory."""
    out = np.empty((len(people.names), dimension), np.float32)
    start = 0
    while start < len(out):
        stop = max(start + 1, int(np.searchsorted(people.first, people.first[start] + chunk, "right")) - 1)
        part = embeddings[people.rows[people.first[start] : people.first[stop]], :, :dimension].mean(
            1, dtype=np.float32
        )
        out[start:stop] = np.add.reduceat(part, people.first[start:stop] - people.first[start], axis=0)
        start = stop
    return out / np.linalg.norm(out, axis=1, keepdims=True).clip(min=1e-12)


@dataclass(frozen=True, eq=False)
class Clusters:
    """K-means of people. label int64 (P,): the cluster of each; near int64 (K, K): for each cluster all of them, by
    the cosine of their centres, itself first."""

    label: Rows
    near: Rows

    @property
    def sizes(self) -> Rows:
        """People of each cluster (K,)."""
        return np.bincount(self.label, minlength=len(self.near))


def cluster(means: NDArray[np.float32], clusters: int, seed: int) -> Clusters:
    """K-means of unit mean embeddings (P, d) into K = `clusters` (the paper's 150), 1…P.

    One thread, so that sums are rounded the same in every run; another machine may still round otherwise: give the
    labels of one process to the others. 85,000 people of 512 numbers take about a minute.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        found = KMeans(clusters, n_init=1, max_iter=50, random_state=seed).fit(means)
    return from_labels(means, found.labels_.astype(np.int64), clusters)


def from_labels(means: NDArray[np.float32], label: Rows, clusters: int) -> Clusters:
    """The clusters of people that are labelled already (by another process, in a checkpoint). A cluster that nobody is
    in is near to none."""
    centres = np.zeros((clusters, means.shape[1]))
    np.add.at(centres, label, means)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True).clip(min=1e-12)
    cosine = centres @ centres.T
    np.fill_diagonal(cosine, 2)  # itself first, whatever the rounding
    return Clusters(label, np.argsort(-cosine, axis=1, kind="stable"))


@lru_cache(maxsize=16)
def chances(clusters: Clusters, people: int) -> NDArray[np.float64]:
    """How often each cluster (K,) is drawn for batches of so many people: in proportion to its size where none is
    smaller than a batch, else so that people are used as equally often as filling up from the nearest clusters allows.
    """
    from scipy.optimize import nnls

    size = clusters.sizes
    along = size[clusters.near]
    taken = np.clip(people - (along.cumsum(1) - along), 0, along) / np.maximum(along, 1)
    use = np.empty(taken.shape)  # the share of i's people who are in a batch of c
    np.put_along_axis(use, clusters.near, taken, 1)
    weight = np.sqrt(size)  # people count, not clusters
    found = nnls(use.T * weight[:, None], weight * people / len(clusters.label))[0]
    found[size == 0] = 0
    return found / found.sum()


@dataclass(frozen=True)
class Sampler:
    """Draws the images of a step from an album: `photos` of each of so many people.

    unbalanced: a person with fewer photos gives all of them, n^i, once, and more people fill the batch up to the same
    number of images; else a person's photos are repeated, each about equally often. clusters: for KCS after
    `cluster_start` steps. weight (P,): how often each person is drawn where it is not by
    clusters; None: all alike.
    """

    album: Album
    photos: int
    seed: int
    unbalanced: bool = False
    clusters: Clusters | None = None
    cluster_start: int = 0
    weight: NDArray[np.float64] | None = None

    def check(self, people: int) -> None:
        """Raises UserError where the album is too small for batches of so many people."""
        have = len(self.album.names)
        if people > have:
            raise UserError("hyper.people", "people of the largest batch", f"at most the {have} there are", people)
        images = int(np.minimum(self.album.counts, self.photos).sum())
        if self.unbalanced and people * self.photos > images:
            got = f"{people} people × {self.photos} photos"
            raise UserError("hyper.people", "largest batch", f"at most the {images} images there are", got)

    def rows(self, step: int, people: int) -> Rows:
        """Images int64 (people·photos,) of a step from 1, person by person."""
        budget = people * self.photos
        draw = rng(self.seed, step, "people")
        if not self.unbalanced:
            chosen = self._people(draw, step, people, people)
            return np.concatenate([np.resize(draw.permutation(self.album.of(i)), self.photos) for i in chosen])
        have = np.minimum(self.album.counts, self.photos)
        chosen = self._people(draw, step, min(budget, len(have)), round(budget / float(have.mean())))
        chosen = chosen[: np.searchsorted(have[chosen].cumsum(), budget) + 1]
        return np.concatenate([draw.permutation(self.album.of(i))[: self.photos] for i in chosen])[:budget]

    def _people(self, draw: np.random.Generator, step: int, most: int, usual: int) -> Rows:
        """`most` distinct people in random order, of whom about the first `usual` are to be used; with KCS those of one
        cluster, then of the clusters nearest to it."""
        if self.clusters is None or step <= self.cluster_start:
            return draw.choice(len(self.album.names), most, replace=False, p=self.weight)
        first = draw.choice(len(self.clusters.near), p=chances(self.clusters, usual))
        found: list[Rows] = []
        for k in self.clusters.near[first]:
            if (left := most - sum(map(len, found))) <= 0:
                break
            found.append(draw.permutation(np.flatnonzero(self.clusters.label == k))[:left])
        return np.concatenate(found)


def epoch_rows(count: int, batch: int, seed: int, step: int) -> Rows:
    """Batch (batch,) of step 1, 2, … from 0…count − 1: epoch after epoch without replacement, a new order each."""
    position, parts, left = (step - 1) * batch, [], batch
    while left:
        epoch, offset = divmod(position, count)
        parts.append(_order(count, seed, epoch)[offset : offset + left])
        position, left = position + len(parts[-1]), left - len(parts[-1])
    return np.concatenate(parts)


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Rows:
    order = rng(seed, epoch, "epoch").permutation(count)
    order.setflags(write=False)
    return order
