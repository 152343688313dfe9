"""The paper's objective against its formulas written out."""

import math

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import loss

BALANCED = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])  # B = 4, n = 2
UNBALANCED = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_targets_mark_the_same_person() -> None:
    assert loss.targets(torch.tensor([1, 2]), torch.tensor([2, 1, 2])).tolist() == [[0, 1, 0], [1, 0, 1]]


def test_unlabelled_nets_and_images_match_nobody_and_are_not_known() -> None:
    enrolled, probed = torch.tensor([0, -1]), torch.tensor([0, -1, 1])
    assert loss.targets(enrolled, probed).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert loss.known(enrolled, probed).tolist() == [[True, False, True], [False, False, False]]


def test_weighted_bce_is_equation_six() -> None:
    y, z = loss.targets(BALANCED, BALANCED), noise(8, 8)
    lam, want = 1 - 2 / 4, 0.0
    for j in range(8):
        for k in range(8):
            p = 1 / (1 + math.exp(-float(z[j, k])))
            want -= lam * float(y[j, k]) * math.log(p) + (1 - lam) * (1 - float(y[j, k])) * math.log(1 - p)
    got = loss.weighted_bce(z, y, beta=2, share=loss.shares(BALANCED, BALANCED))
    assert float(got) == pytest.approx(want / 8, rel=1e-5)


def test_share_is_one_of_b_where_balanced_and_of_each_person_where_not() -> None:
    assert loss.shares(BALANCED, BALANCED).tolist() == [0.25] * 8
    assert loss.shares(UNBALANCED, UNBALANCED).tolist() == [0.625] * 5 + [0.125, 0.25, 0.25]


def test_share_counts_labelled_images_only() -> None:
    assert loss.shares(torch.tensor([0, -1]), torch.tensor([0, 1, -1, -1])).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("people", [BALANCED, UNBALANCED])
def test_beta_of_one_balances_the_classes_of_every_net(people: Tensor) -> None:
    z = torch.zeros(8, 8, requires_grad=True)
    loss.weighted_bce(z, loss.targets(people, people), 1.0, loss.shares(people, people)).backward()
    assert z.grad is not None
    assert z.grad.sum(1).abs().max() < 1e-7  # positives pull a row's logits up as much as negatives pull them down
    assert z.grad.abs().min() > 0


def test_higher_beta_weighs_false_accepts_more() -> None:
    z, y = torch.zeros(8, 8, requires_grad=True), loss.targets(BALANCED, BALANCED)
    loss.weighted_bce(z, y, 2.0, loss.shares(BALANCED, BALANCED)).backward()
    assert z.grad is not None
    assert float(z.grad.sum()) > 0


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_every_term_and_its_gradient_stay_finite_at_extreme_logits(kind: torch.dtype) -> None:
    z = torch.tensor([[-1e4, 1e4, 0.0, -1e4, 1e4]], dtype=kind, requires_grad=True)
    y, ideal = torch.tensor([[1.0, 0.0, 1.0, 0.0, 1.0]]), float(torch.tensor(1e4, dtype=kind))
    bce = loss.weighted_bce(z, y, 1.0, torch.tensor([0.6]))
    assert float(bce.detach()) == pytest.approx(0.4 * ideal + 0.6 * ideal + 0.4 * math.log(2), rel=1e-5)
    soft = loss.soft_bce(z, torch.tensor([[1.0, -1.0, 0.0, 1e4, -1e4]], dtype=kind), 0.3, 0.1)
    (bce + soft + loss.similarity(z, y)).backward()
    assert bool(torch.isfinite(soft))
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


def test_emphasis_is_on_pairs_that_the_teacher_takes_for_alike() -> None:
    s, t = noise(4, 6).tanh(), torch.tensor([-0.5, 0.0, 0.1, 0.25, 0.5, 1.0]).expand(4, 6)
    weight = torch.ones(4, 6)
    assert loss.emphasised(t, 0.0, None) is None
    assert loss.emphasised(t, 0.0, weight) is weight
    more = loss.emphasised(t, 4.0, None)
    assert more is not None
    assert torch.equal(more[0], torch.tensor([1.0, 1.0, 1.4, 2.0, 3.0, 5.0]))
    assert torch.equal(loss.emphasised(t, 4.0, 2 * weight), 2 * more)
    want = (more * (s - t).square()).sum(1).mean() / float(more[0].sum())
    assert float(loss.similarity(s, t, more)) == pytest.approx(float(want), rel=1e-6)


def test_masked_pairs_have_no_part_in_it() -> None:
    y, share, z = loss.targets(BALANCED, BALANCED), loss.shares(BALANCED, BALANCED), noise(8, 8)
    mask = ~torch.eye(8, dtype=torch.bool)
    want = sum(
        float(loss.weighted_bce(z[j : j + 1, mask[j]], y[j : j + 1, mask[j]], 2, share[j : j + 1])) for j in range(8)
    )
    poisoned = torch.where(mask, z, torch.nan)
    assert float(loss.weighted_bce(poisoned, y, 2, share, mask=mask)) == pytest.approx(want / 8, rel=1e-6)


def test_weight_counts_a_pair_that_often() -> None:
    y, share, z = loss.targets(BALANCED, BALANCED), loss.shares(BALANCED, BALANCED), noise(8, 8)
    t = noise(8, 8, seed=1).tanh()
    twice = torch.cat([torch.arange(8), torch.tensor([5])])
    weight = torch.ones(8, 8)
    weight[:, 5] = 2
    got = loss.weighted_bce(z, y, 2, share, weight=weight)
    assert float(got) == pytest.approx(float(loss.weighted_bce(z[:, twice], y[:, twice], 2, share)), rel=1e-6)
    got = loss.similarity(z, t, weight)
    assert float(got) == pytest.approx(float(loss.similarity(z[:, twice], t[:, twice])), rel=1e-6)
    got = loss.soft_bce(z, t, 0.2, 0.1, weight)
    assert float(got) == pytest.approx(float(loss.soft_bce(z[:, twice], t[:, twice], 0.2, 0.1)), rel=1e-6)
    ones = [loss.contrast(z, t, 0.5), loss.contrast(z, t, 0.5, torch.ones(8, 8))]
    assert float(ones[0]) == pytest.approx(float(ones[1]), rel=1e-6)
    shown = loss.contrast(z[:, twice], t[:, twice], 0.5)
    assert float(loss.contrast(z, t, 0.5, weight)) == pytest.approx(float(shown), rel=1e-6)
    weight[:, 5] = 0
    left = torch.arange(8) != 5
    shown = loss.contrast(z[:, left], t[:, left], 0.5)
    assert float(loss.contrast(z, t, 0.5, weight)) == pytest.approx(float(shown), rel=1e-6)


def test_contrast_is_least_where_the_student_is_the_teacher_and_presses_on_its_own_hard_negatives() -> None:
    t = noise(4, 6).tanh()
    s = t.clone().requires_grad_()
    least = loss.contrast(s, t, 0.07)
    (still,) = torch.autograd.grad(least, s)
    assert float(still.abs().max()) < 1e-5
    assert float(loss.contrast(noise(4, 6, seed=1).tanh(), t, 0.07)) > float(least.detach())
    assert float(least.detach()) == pytest.approx(0, abs=1e-6)
    s, p = noise(4, 6, seed=1).tanh(), torch.softmax(t / 0.5, 1)
    want = (p * (p / torch.softmax(s / 0.5, 1)).log()).sum(1).mean()
    assert float(loss.contrast(s, t, 0.5)) == pytest.approx(float(want), rel=1e-5)
    s, weight = torch.tensor([[0.9, 0.2, 0.1]], requires_grad=True), torch.tensor([[0.0, 1.0, 1.0]])
    sharp = loss.contrast(s, torch.tensor([[1.0, -0.1, 0.1]]), 0.005, weight)  # the first is left out, however alike
    sharp.backward()
    assert float(sharp.detach()) == pytest.approx(20, rel=1e-5)
    assert s.grad is not None
    assert s.grad[0].tolist() == pytest.approx([0, 200, -200], rel=1e-5)
    s = torch.tensor([[0.5, 0.4, 0.0, -0.1]], requires_grad=True)  # a positive, and strangers of the same cosine
    loss.contrast(s, torch.tensor([[0.7, 0.0, 0.0, 0.0]]), 0.07).backward()
    assert s.grad is not None
    positive, hard, *easy = s.grad[0].tolist()
    assert positive < 0 < hard
    assert hard > 50 * max(map(abs, easy))


TERMS = {
    "bce": lambda r, rows: loss.weighted_bce(
        noise(8, 8)[r],
        loss.targets(UNBALANCED[r], UNBALANCED),
        2,
        loss.shares(UNBALANCED[r], UNBALANCED),
        rows=rows,
    ),
    "norm": lambda r, rows: loss.norm_penalty(noise(8, 5)[r], rows),
    "similarity": lambda r, rows: loss.similarity(noise(8, 8)[r], noise(8, 8, seed=1)[r], rows=rows),
    "weighted similarity": lambda r, rows: loss.similarity(
        noise(8, 8)[r], noise(8, 8, seed=1)[r], noise(8, 8, seed=2)[r].abs(), rows
    ),
    "contrast": lambda r, rows: loss.contrast(noise(8, 8)[r], noise(8, 8, seed=1)[r], 0.5, rows=rows),
    "soft": lambda r, rows: loss.soft_bce(noise(8, 8)[r], noise(8, 8, seed=1)[r], 0.3, 0.1, rows=rows),
}


@pytest.mark.parametrize("term", TERMS)
def test_uneven_shares_of_the_rows_make_the_whole(term: str) -> None:
    whole, of = float(TERMS[term](slice(None), None)), TERMS[term]
    parts = [slice(0, 3), slice(3, 8)]
    assert sum(float(of(r, 8)) for r in parts) == pytest.approx(whole, rel=1e-5)  # chunks add up
    assert sum(float(of(r, 8 / 2)) for r in parts) / 2 == pytest.approx(whole, rel=1e-5)  # processes are averaged


def test_norm_penalty_is_the_mean_squared_norm() -> None:
    assert float(loss.norm_penalty(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))) == 13


def test_similarity_is_zero_for_the_teacher_itself() -> None:
    t = torch.rand(3, 4)
    assert float(loss.similarity(t, t)) == 0
    assert float(loss.similarity(t + 0.5, t)) == pytest.approx(0.25)


def test_soft_bce_is_least_at_the_teachers_own_logit() -> None:
    cosine = noise(4, 6).tanh()
    z = ((cosine - 0.3) / 0.2).requires_grad_()
    p = torch.sigmoid(z.detach())
    least = loss.soft_bce(z, cosine, 0.3, 0.2)
    least.backward()
    assert float(least.detach()) == pytest.approx(float(-(p * p.log() + (1 - p) * (1 - p).log()).mean()), rel=1e-5)
    assert z.grad is not None
    assert float(z.grad.abs().max()) < 1e-7
    assert float(loss.soft_bce(z.detach() + 0.5, cosine, 0.3, 0.2)) > float(least.detach()) + 0.01


def test_beta_that_leaves_positives_or_negatives_without_weight_is_refused() -> None:
    loss.check_beta("hyper.beta", 3.5, 4)
    for beta in (4, 4.5, 0, -1, math.nan):
        with pytest.raises(
            UserError, match=r"^hyper.beta: λ = 1 − β/B not between 0 and 1; expected .* below 4, .*, got "
        ):
            loss.check_beta("hyper.beta", beta, 4)
