"""The terms of the paper's objective (equations 3, 6 to 8) and the teacher's, on logits: row = net, column = image.

Every term is a sum over rows divided by `rows` (the number of rows where not given), so that rows can be worked on in
chunks or shared out over processes: with `rows` = all rows, the chunks' values add up to the whole; with `rows` = all
rows / processes, the mean over processes is the whole, whatever each one's share is. Labels are whole numbers; a
negative one means unlabelled (a mixture, an image without identity): it has teacher terms and no BCE terms.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hyper_mcu.codegen.errors import UserError


def targets(enrolled: Tensor, probed: Tensor) -> Tensor:
    """Y (N, M), equation 3: 1 where enrolled (N,) and probed (M,) identities are the same and known."""
    return ((enrolled[:, None] == probed[None, :]) & (enrolled[:, None] >= 0)).float()


def known(enrolled: Tensor, probed: Tensor) -> Tensor:
    """bool (N, M): both identities are known, so that the pair has a BCE term."""
    return (enrolled[:, None] >= 0) & (probed[None, :] >= 0)


def shares(enrolled: Tensor, probed: Tensor) -> Tensor:
    """Share (N,) of each net's person in the labelled images: n^{i(j)} / M, which is 1/B in a balanced batch.

    enrolled (N,), probed (M,): labels. 0 for an unlabelled net.
    """
    return targets(enrolled, probed).sum(1) / (probed >= 0).sum().clamp(min=1)


def check_beta(where: str, beta: float, people: int) -> None:
    """Raises UserError where λ = 1 − β/B leaves positives or negatives without weight in a batch of B = `people` (the
    smallest of the run)."""
    if not 0 < beta < people:
        expected = f"above 0 and below {people}, the people of the smallest batch"
        raise UserError(where, "λ = 1 − β/B not between 0 and 1", expected, beta)


def weighted_bce(
    logits: Tensor,
    y: Tensor,
    beta: float,
    share: Tensor,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    rows: float | None = None,
) -> Tensor:
    """L_bce, equation 6: the sum over images and mean over nets of the BCE weighted by λ_j = 1 − β·share_j.

    logits, y (N, K) with y 0 or 1; share (N,): see `shares`; weight (N, K): what a computed pair counts for (see
    `pairs`); mask bool (N, K): False leaves a pair out (a net's own enrolment photo, an unlabelled image).

    λ of equation 7 for n^i images of a person among M: β = 1 is to balance the classes, so the n positives of a row
    weigh as much as its M − n negatives: λn = (1 − λ)(M − n), hence λ = 1 − n/M; and n/M = 1/B where every person has
    the same n. β scales that term as in equation 7. Clamped to 0…1, which `check_beta` makes needless where balanced.
    The share is that of the whole row, also where only some of its pairs are computed or counted.
    """
    lam = (1 - beta * share.float()).clamp(0, 1)[:, None]
    pairs = _bce(logits, lam * y, (1 - lam) * (1 - y))
    if weight is not None:
        pairs = pairs * weight
    if mask is not None:
        pairs = torch.where(mask, pairs, 0.0)
    return pairs.sum() / (len(pairs) if rows is None else rows)


def _bce(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """−positive·log σ(z) − negative·log(1 − σ(z)) in float32: −log σ(z) = softplus(−z) overflows for no z."""
    z = logits.float()
    return positive * F.softplus(-z) + negative * F.softplus(z)


def norm_penalty(theta: Tensor, rows: float | None = None) -> Tensor:
    """L_norm, equation 8: mean squared norm of the generated weights (N, params)."""
    return theta.float().square().sum() / (len(theta) if rows is None else rows)


def emphasised(teacher: Tensor, emphasis: float, weight: Tensor | None) -> Tensor | None:
    """Weights (N, K) of `similarity` by which a pair counts 1 + emphasis · max(C, 0) times, C the teacher's cosine.

    Most pairs of a batch are strangers to each other, and what they differ by is noise to a verdict.
    """
    if not emphasis:
        return weight
    more = 1 + emphasis * teacher.float().clamp(min=0)
    return more if weight is None else weight * more


def similarity(student: Tensor, teacher: Tensor, weight: Tensor | None = None, rows: float | None = None) -> Tensor:
    """Teacher term on cosines (N, K): mean squared difference, of any pair, labelled or not.

    weight (N, K): as in `weighted_bce`; a row's mean is over its weights.
    """
    return _mean((student.float() - teacher.float()).square(), weight, rows)


def soft_bce(
    logits: Tensor,
    teacher: Tensor,
    threshold: float,
    temperature: float,
    weight: Tensor | None = None,
    rows: float | None = None,
) -> Tensor:
    """Teacher term on logits (N, K): mean BCE with the target σ((C − threshold)/temperature), C the teacher's cosine.

    Least, the targets' own entropy, where the logits are (C − threshold)/temperature. weight: as in `similarity`.
    """
    p = torch.sigmoid((teacher.float() - threshold) / temperature)
    return _mean(_bce(logits, p, 1 - p), weight, rows)


def contrast(
    student: Tensor, teacher: Tensor, temperature: float, weight: Tensor | None = None, rows: float | None = None
) -> Tensor:
    """Teacher term on cosines (N, K): mean divergence of softmax(C/τ) of a student's row from that of the teacher's.

    The gradients of their cross-entropy; least, 0, where both are alike. weight (N, K): how often a pair counts in the
    rows, 0 for not at all; of pairs drawn at random a softmax's sum is an estimate, and its logarithm a biased one.
    """
    often = 0.0 if weight is None else weight.log().clamp(min=-1e9)
    said, target = (F.log_softmax(c.float() / temperature + often, 1) for c in (student, teacher))
    each = F.kl_div(said, target, reduction="sum", log_target=True)
    return each / (len(student) if rows is None else rows)


def _mean(pairs: Tensor, weight: Tensor | None, rows: float | None) -> Tensor:
    """Mean over the rows of the weighted mean of each."""
    if weight is None:
        each = pairs.mean(1)
    else:
        each = (pairs * weight).sum(1) / weight.sum(1).clamp(min=torch.finfo(torch.float32).tiny)
    return each.sum() / (len(each) if rows is None else rows)
