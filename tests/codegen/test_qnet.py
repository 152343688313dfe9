"""A QNet holds integers that keep its bounds, and turns a real threshold into the logit that stands for it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import qnets

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import cosdot
from hyper_mcu.codegen.netspec import Add, Head, NetSpec
from hyper_mcu.codegen.presets import same
from hyper_mcu.codegen.qnet import ACC_BOUND, QHead, QNet
from hyper_mcu.codegen.quantize import quantize

ONE = NetSpec("one", (same(1, 1, 2),), Head("dot"), 1, 1, 1)  # θ: two weights, two biases, two of the head and its bias
SIZE = "; expected numbers up to 1e+30 in size, got"
SMALL = NetSpec("small", (same(3, 3, 4), same(1, 4, 4), Add(0)), Head("cosdot", True), 4, 4)


def numbers(spec, value=0.1):
    return np.full(spec.params, value, np.float32)


def ones(spec):
    return np.full(len(spec.stages), 0.02, np.float32)


def test_threshold_of_a_cosine_is_the_logit_at_that_cosine():
    spec = NetSpec("t", (same(1, 3, 2),), Head("cosdot"), 1, 1)
    theta = numbers(spec)
    theta[-2:] = [0.6, 0.8]
    q = quantize(spec, theta, ones(spec))
    assert q.head.norm2 == 95**2 + 127**2
    assert q.threshold(0.5) == int(0.25 * q.head.norm2 * 512)
    assert q.threshold(-0.5) == -q.threshold(0.5)
    assert (q.threshold(0.0), q.threshold(1e-9)) == (0, 1)


@given(st.lists(st.integers(-127, 127), min_size=3, max_size=3), st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_threshold_passes_exactly_the_logits_of_its_cosine_and_above(weight, u):
    spec = NetSpec("t", (same(1, 3, 3),), Head("cosdot"), 1, 1)
    q = quantize(spec, numbers(spec), ones(spec))
    q = replace(q, head=QHead(np.array(weight, np.int8), 0, np.float32(1)))
    num, norm = int(np.dot(weight, u)), int(np.dot(u, u))
    logit, unit = cosdot(num, norm, 3), q.head.norm2 * 512
    for cosine in (-1.0, -0.3, -1e-9, 0.0, 1e-9, 0.3, 0.7, 1.0):
        if norm == 0 or unit == 0:
            assert logit < q.threshold(cosine)
            continue
        stands_for = Fraction(logit, unit)  # sgn·cosine²
        asked = Fraction(cosine) * abs(Fraction(cosine))
        assert (logit >= q.threshold(cosine)) is (stands_for >= asked)
        if cosine > 0 and logit >= q.threshold(cosine):
            assert Fraction(num * abs(num), norm * q.head.norm2) >= asked


@pytest.mark.parametrize(("kind", "real"), [("cosdot", 0.3), ("cosdot", -0.3), ("dot", 12.5), ("dot", -12.5)])
def test_threshold_and_score_are_inverse_to_one_logit(kind, real):
    spec = NetSpec("t", (same(1, 3, 2),), Head(kind), 1, 1)
    q = quantize(spec, numbers(spec), ones(spec))
    limit = q.threshold(real)
    assert q.score(limit - 1) < real <= q.score(limit)


@given(st.integers(-(2**31) + 3, 2**31 - 2), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_threshold_of_dot_is_the_smallest_logit_whose_score_reaches_it(logit, activation, weight):
    q = quantize(ONE, numbers(ONE), ones(ONE))
    q = replace(
        q,
        head=replace(q.head, weight_scale=np.float32(weight)),
        stages=(replace(q.stages[0], out_scale=np.float32(activation)),),
    )
    asked = float(logit * q.unit)
    limit = q.threshold(asked)
    assert abs(limit - logit) <= 1
    assert (limit - 1) * q.unit < Fraction(asked) <= limit * q.unit


def test_threshold_of_dot_that_no_logit_reaches_is_refused():
    with pytest.raises(UserError, match=r"threshold beyond every logit; expected at most 2147483647, got 1e\+30"):
        quantize(ONE, numbers(ONE), ones(ONE)).threshold(1e30)


@pytest.mark.parametrize("cosine", [1.5, -1.001, float("nan"), float("inf")])
def test_threshold_of_what_is_no_cosine_is_refused(cosine):
    spec = NetSpec("t", (same(1, 3, 2),), Head("cosdot"), 1, 1)
    with pytest.raises(UserError) as e:
        quantize(spec, numbers(spec), ones(spec)).threshold(cosine)
    assert str(e.value) == f"qnet t: threshold; expected a cosine of -1…1, got {cosine}"


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_broken_integers_are_refused(data):
    q = data.draw(qnets())
    index, stage = next((i, s) for i, s in enumerate(q.stages) if s is not None)
    where = f"qnet random stage {index}: "
    total = int(np.abs(stage.weight[0].astype(int)).sum() * 256 + 2**30 - 1)
    rows = q.spec.stages[index].layer.cout

    def with_first(a, value):
        return np.concatenate([np.array([value], a.dtype), a.ravel()[1:]]).reshape(a.shape)

    broken = {
        "weight; expected -127…127, got -128": {"weight": with_first(stage.weight, -128)},
        "multiplier; expected at least 2^30, got 1073741823": {"multiplier": with_first(stage.multiplier, 2**30 - 1)},
        "shift; expected 0…30, got 31": {"shift": with_first(stage.shift, 31)},
        f"shift; expected uint8 ({rows},), got int8 ({rows},)": {"shift": stage.shift.astype(np.int8)},
        "weight scale; expected a positive float32, got 0.0": {"weight_scale": with_first(stage.weight_scale, 0)},
        "output scale; expected a positive float32, got nan": {"out_scale": np.float32("nan")},
    }
    if total >= ACC_BOUND:
        broken[f"|bias| + 256·Σ|w|; expected below 2^30, got {total}"] = {"bias": with_first(stage.bias, 1 - 2**30)}
    for text, change in broken.items():
        stages = (*q.stages[:index], replace(stage, **change), *q.stages[index + 1 :])
        with pytest.raises(UserError) as e:
            QNet(q.spec, stages, q.head)
        assert str(e.value) == where + text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: (q.stages[:2], q.head), ": stages; expected 3, got 2"),
        (
            lambda q: ((*q.stages[:2], q.stages[0]), q.head),
            " stage 2: an Add has no integers of its own; expected None, got a QConv",
        ),
        (
            lambda q: ((q.stages[0], None, None), q.head),
            " stage 1: a Conv without integers; expected a QConv, got None",
        ),
        (
            lambda q: ((q.stages[0], replace(q.stages[1], out_scale=np.float32(0.25)), None), q.head),
            " stage 2: scales of an Add's inputs; expected equal ones, got 0.02 and 0.25",
        ),
        (
            lambda q: (q.stages, replace(q.head, weight=q.head.weight[:3])),
            " head: weight; expected int8 (4,), got int8 (3,)",
        ),
        (
            lambda q: (q.stages, replace(q.head, weight=np.full(4, -128, np.int8))),
            " head: weight; expected -127…127, got -128",
        ),
        (lambda q: (q.stages, replace(q.head, bias=1)), " head: bias; expected 0 for CosDot, got 1"),
    ],
)
def test_qnet_that_does_not_fit_its_architecture_is_refused(change, message):
    with pytest.raises(UserError) as e:
        QNet(SMALL, *change(quantize(SMALL, numbers(SMALL), ones(SMALL))))
    assert str(e.value) == "qnet small" + message


def test_head_whose_sum_could_overflow_is_refused():
    q = quantize(ONE, numbers(ONE), np.array([0.02], np.float32))
    bias = 2**31 - 255 * 254
    with pytest.raises(UserError) as e:
        replace(q, head=replace(q.head, bias=bias))
    assert str(e.value) == f"qnet one head: |bias| + Σ|w|·max u; expected below 2^31, got {2**31}"
    assert replace(q, head=replace(q.head, bias=-bias + 1)).head.bias == 1 - bias
