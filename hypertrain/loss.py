"""The paper's objective (equations 3 and 6 to 8; their weighted sum is equation 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def targets(enrolled: Tensor, probed: Tensor) -> Tensor:
    """Y (N, M), equation 3: 1 where enrolled (N,) and probed (M,) identities are the same."""
    return (enrolled[:, None] == probed[None, :]).float()


def weighted_bce(logits: Tensor, y: Tensor, beta: float) -> Tensor:
    """L_bce, equation 6, as the mean over pairs of logits (N, M), with λ = 1 − β/B of equation 7.

    B, the number of identities a positive competes with, is the ratio of all pairs to the same-person ones. Computed
    from logits, so that neither logarithm overflows.
    """
    b = y.numel() / y.sum().clamp(min=1)
    lam = (1 - beta / b).clamp(0, 1)
    return (lam * y * F.softplus(-logits) + (1 - lam) * (1 - y) * F.softplus(logits)).mean()


def norm_penalty(theta: Tensor) -> Tensor:
    """L_norm, equation 8: mean squared norm of the generated weights (N, p)."""
    return theta.square().sum(1).mean()


def similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the student's and the teacher's similarities (N, M): targets for any pair, labelled
    or not."""
    return torch.mean((student - teacher).square())
