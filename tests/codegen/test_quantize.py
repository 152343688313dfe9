"""Quantisation: every θ of ordinary and extraordinary numbers gets integers within the bounds, and close to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import fitting_scales, images, net_specs, thetas

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import INT32_MAX, quantize_multiplier, requantise_relu
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.codegen.qnet import ACC_BOUND
from hyper_mcu.codegen.quantize import INPUT_SCALE, channel_steps, float32_above, quantize, quantize_conv

ONE = NetSpec("one", (same(1, 1, 2),), Head("dot"), 1, 1, 1)  # θ: two weights, two biases, two of the head and its bias
SIZE = "; expected numbers up to 1e+30 in size, got"
SMALL = NetSpec("small", (same(3, 3, 4), same(1, 4, 4), Add(0)), Head("cosdot", True), 4, 4)


def channel(weights, bias, s_in=1.0, s_out=1.0):
    """QConv of a 1×1 Conv with one output channel."""
    w = np.array(weights, np.float64).reshape(1, 1, 1, -1)
    return quantize_conv(w, np.array([bias], np.float64), np.float32(s_in), np.float32(s_out))


def numbers(spec, value=0.1):
    return np.full(spec.params, value, np.float32)


def ones(spec):
    return np.full(len(spec.stages), 0.02, np.float32)


def test_a_net_quantised_by_hand():
    """w = (1, −½), b = (1/64, 0), s_in = 1/128, s_out = 1/64: s_w = 1/127 and 0.5/127, rounded up to float32."""
    q = quantize(ONE, np.array([1, -0.5, 1 / 64, 0, 2, -1.2, 0.25], np.float32), np.array([1 / 64], np.float32))
    stage = q.stages[0]
    assert stage is not None
    assert stage.weight.ravel().tolist() == [127, -127]
    assert stage.bias.tolist() == [254, 0]  # 2·127 steps, less what the scale was rounded up by
    up = [float(np.float32(x)) for x in (0.007874017, 0.0039370083)]
    assert stage.weight_scale.tolist() == up
    assert [s * 127 >= w for s, w in zip(up, (1, 0.5), strict=True)] == [True, True]
    assert stage.shift.tolist() == [7, 8]  # ½·s_w = 0.0039 and 0.0020
    assert stage.multiplier.tolist() == [round(u / 2 * 2.0 ** (31 + s)) for u, s in zip(up, (7, 8), strict=True)]
    assert q.head.weight.tolist() == [127, -76]  # −76.2
    assert q.head.bias == round(0.25 * 64 / float(q.head.weight_scale)) == 1016


def test_weights_round_halves_to_even():
    """127 fixes the step at 1, so 0.5, 1.5, −2.5 and −3.5 are halves."""
    assert channel([127, 0.5, 1.5, -2.5, -3.5], 0, 2**-10).weight.ravel().tolist() == [127, 0, 2, -2, -4]


def test_bias_rounds_halves_to_even():
    assert [int(channel([127], b, 2**-10).bias[0]) * 2**-10 for b in (0.5 * 2**-10, 1.5 * 2**-10)] == [0, 2 * 2**-10]


def test_weak_channel_gets_a_scale_whose_shift_is_30():
    q = channel([1e-20, -1e-20], 0)
    assert (int(q.shift[0]), int(q.multiplier[0])) == (30, 2**30)
    assert q.weight.ravel().tolist() == [0, 0]


def test_empty_channel_gives_its_bias_alone():
    q = channel([0, 0], 77.25)
    assert q.weight.ravel().tolist() == [0, 0]
    assert ACC_BOUND - 400 < q.bias[0] < ACC_BOUND
    assert requantise_relu(q.bias[0], q.multiplier[0], q.shift[0]) == 77


def test_empty_channel_without_bias_is_zero():
    q = channel([0, 0], 0)
    assert (q.bias[0], int(requantise_relu(q.bias[0], q.multiplier[0], q.shift[0]))) == (0, 0)


def test_bias_far_above_the_weights_raises_the_scale_until_the_bound_holds():
    q = channel([0.001, -0.0005], 3.0e6, 1.0, 1e5)
    assert abs(int(q.bias[0])) + 256 * np.abs(q.weight.astype(int)).sum() < ACC_BOUND
    assert int(q.bias[0]) > 0.999 * ACC_BOUND
    assert requantise_relu(q.bias[0], q.multiplier[0], q.shift[0]) == 30


def test_overflowing_channel_keeps_its_integers_and_loses_only_its_scale():
    """Weights a thousand times what one output step holds: same signs and proportions, the largest multiplier."""
    tame, wild = channel([1, -0.6, 0.25], 0.1, 1, 1), channel([1000, -600, 250], 100, 1, 1)
    assert wild.weight.tolist() == tame.weight.tolist()
    assert wild.bias.tolist() == tame.bias.tolist()
    assert (int(wild.shift[0]), int(wild.multiplier[0])) == (0, 2**31 - 2**7)  # 1 − 2^-24, the float32 below 1
    assert wild.weight_scale[0] == np.nextafter(np.float32(1), np.float32(0))


def test_overflowing_channel_saturates_as_before_outside_a_narrow_band():
    """Bytes of the shrunk channel against the exact ones: they differ only where the accumulator is 1…254."""
    q = channel([300.0, -200.0], 50.0)  # real multiplier 300/127 without the cap
    acc = np.arange(-2000, 2000)
    true = np.clip(np.rint(acc * 300 / 127), 0, 255)
    got = requantise_relu(acc, q.multiplier[0], q.shift[0])
    differ = acc[true != got]
    assert differ.min() >= 1
    assert differ.max() <= 254
    assert np.abs(true - got).max() < 255 * (1 - 127 / 300) + 1


@pytest.mark.parametrize("ratio", [1.0, 1.0 + 2.0**-20, 0.1, 3.3, 1e-25, 1e25])
def test_largest_scale_keeps_the_real_multiplier_below_one(ratio):
    s_in, s_out = np.float32(1e-12 if ratio > 1 else 1e12), np.float32((1e-12 if ratio > 1 else 1e12) * ratio)
    w = np.full((1, 1, 1, 1), 1e29)
    _, scale = channel_steps(w, np.zeros(1), s_in, s_out)
    m, s = quantize_multiplier(float(s_in) * float(scale[0]) / float(s_out))
    assert (int(s), bool(m > 2**31 - 2**10)) == (0, True)


@given(st.floats(1e-44, 3e38))
def test_scale_is_never_rounded_down(x):
    up = float(float32_above(np.array(x)))
    assert up >= x
    assert float(np.nextafter(np.float32(up), np.float32(0))) < x


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_theta_gets_integers_that_stand_for_it(data):
    """QNet checks the bounds; here: multipliers are those of the scales, and integers times scales are θ.

    A channel that would overflow is shrunk: its integers are those of a coarser step than its declared scale.
    """
    spec = data.draw(net_specs())
    theta = data.draw(thetas(spec))
    common = any(isinstance(s.layer, Add) for s in spec.stages)
    exponents = data.draw(st.lists(st.floats(-15, 15), min_size=len(spec.stages), max_size=len(spec.stages)))
    scales = (10.0 ** np.array([exponents[0]] * len(exponents) if common else exponents)).clip(1.1e-15, 9e14)
    q = quantize(spec, theta, scales.astype(np.float32))
    for stage, c in q.convs:
        s_in = float(q.scales[stage.index - 1] if stage.index else INPUT_SCALE)
        step = s_in * c.weight_scale.astype(np.float64)
        m, shift = quantize_multiplier(step / float(c.out_scale))
        assert np.array_equal(m, c.multiplier)
        assert np.array_equal(shift, c.shift)
        named = {t.name: theta[t.offset : t.offset + t.size].reshape(t.shape) for t in spec.tensors}
        capped = (c.shift == 0) & (c.multiplier > 2**31 - 2**9)  # they stand for a shrunk channel
        w = named[f"stage{stage.index}.weight"].astype(np.float64).reshape(len(c.weight), -1)
        b = named[f"stage{stage.index}.bias"].astype(np.float64)
        full = (np.abs(b) / s_in + 256 * np.abs(w).sum(1)) / (ACC_BOUND - 128 * w.shape[1] - 1)  # by the bound
        whole = np.where(capped, np.maximum(np.abs(w).max(1) / 127, full), c.weight_scale.astype(np.float64))
        assert (whole >= c.weight_scale * (1 - 1e-6)).all()
        assert (np.abs(c.weight.reshape(w.shape) * whole[:, None] - w) <= 0.5001 * whole[:, None]).all()
        assert (np.abs(c.bias * s_in * whole - b) <= 0.5001 * s_in * whole).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_integers_stay_within_the_proven_distance_of_the_real_numbers(data):
    """Without saturation: |u·s − x| ≤ Σ|w|·(error before) + Σ|Δw|·|u·s| + |Δb| + one step of the output."""
    spec = data.draw(net_specs())
    theta, image = data.draw(thetas(spec, tame=True)), data.draw(images(spec))
    real = oracle.run_float(spec, theta, image)
    q = quantize(spec, theta, fitting_scales(spec, real.maps) * np.float32(1.001))
    integers = oracle.run(q, image)
    zeros = [128] * (len(q.stages) - 1) + [0 if spec.linear_end else 128]
    values = [(u.astype(np.float64) + z) * float(s) for u, z, s in zip(integers.layers, zeros, q.scales, strict=True)]
    bounds: list[np.ndarray] = []
    x, bound = (image.astype(np.float64) - 128) / 128, np.zeros(image.shape)
    for stage, c in zip(spec.stages, q.stages, strict=True):
        conv = stage.layer
        if isinstance(conv, Conv):
            named = {t.name: theta[t.offset : t.offset + t.size].reshape(t.shape) for t in spec.tensors}
            w, b = (named[f"stage{stage.index}.{n}"].astype(np.float64) for n in ("weight", "bias"))
            s_in = float(q.scales[stage.index - 1] if stage.index else INPUT_SCALE)
            step = c.weight_scale.astype(np.float64)
            assume(not ((c.shift == 0) & (c.multiplier > 2**31 - 2**9)).any())  # a shrunk channel is another one
            delta = np.abs(c.weight * step[:, None, None, None] - w)
            bound = oracle.convolve(conv, bound, np.abs(w)) + oracle.convolve(conv, np.abs(x), delta)
            bound = bound + np.abs(c.bias * step * s_in - b) + float(c.out_scale)
            bound = oracle.shuffled(bound, stage.shuffle)
        else:
            bound = oracle.shuffled(bound + bounds[conv.of], stage.shuffle)
        bounds.append(bound)
        x = values[stage.index]
        assert (np.abs(x - real.maps[stage.index]) <= bound).all()


@pytest.mark.parametrize("name", ["paper", "large"])
def test_net_keeps_its_score_in_integers(name):
    spec, rng = preset(name), np.random.default_rng(3)
    theta = rng.normal(size=spec.params).astype(np.float32)
    for t in spec.tensors:  # He's initialisation, no biases
        gain = 0.0 if t.name.endswith("bias") else (2 * t.shape[0] / t.size) ** 0.5
        theta[t.offset : t.offset + t.size] *= gain
    images = [oracle.known_image(spec, seed) for seed in (1, 2)]
    reals = [oracle.run_float(spec, theta, i) for i in images]
    peaks = tuple(np.maximum(np.abs(a), np.abs(b)) for a, b in zip(*(r.maps for r in reals), strict=True))
    scales = fitting_scales(spec, peaks)
    q = quantize(spec, theta, scales)
    for image, real in zip(images, reals, strict=True):
        logit = oracle.run(q, image).logit
        cosine = np.sign(logit) * (abs(logit) / (64 * q.head.norm2)) ** 0.5
        assert abs(cosine - real.score) < 0.03


@pytest.mark.parametrize("norm", ["instance", "pixel-channel"])
def test_normalisation_at_run_time_is_refused_by_name(norm):
    spec = replace(SMALL, norm=norm)
    with pytest.raises(UserError) as e:
        quantize(spec, numbers(spec), ones(spec))
    assert str(e.value) == (
        "netspec small: normalisation at run time has no integers; "
        f"expected one that folds into the weights (none, weight-standardised, train-statistics), got {norm}"
    )


@pytest.mark.parametrize("norm", ["weight-standardised", "train-statistics"])
def test_normalisation_that_folds_is_accepted(norm):
    spec = replace(SMALL, norm=norm)
    assert quantize(spec, numbers(spec), ones(spec)).spec.norm == norm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, s: (t[:-1], s), "theta; expected float32 (136,), got float32 (135,)"),
        (lambda t, s: (t.astype(np.float64), s), "theta; expected float32 (136,), got float64 (136,)"),
        (lambda t, s: (t, s[:2]), "scales; expected float32 (3,), got float32 (2,)"),
        (lambda t, s: (put(t, 7, np.nan), s), "theta stage0.weight" + SIZE + " nan"),
        (lambda t, s: (put(t, 109, -np.inf), s), "theta stage0.bias" + SIZE + " -inf"),
        (lambda t, s: (put(t, -1, 2e30), s), "theta head.weight" + SIZE + " 2e+30"),
        (lambda t, s: (t, put(s, 1, 0)), "scale of stage 1; expected 1e-15…1e+15, got 0.0"),
        (lambda t, s: (t, put(s, 0, np.nan)), "scale of stage 0; expected 1e-15…1e+15, got nan"),
        (lambda t, s: (t, put(s, 2, 0.5)), "scales of the Add at stage 2; expected equal ones, got 0.02, 0.02, 0.5"),
    ],
)
def test_unfit_numbers_are_refused(change, message):
    with pytest.raises(UserError) as e:
        quantize(SMALL, *change(numbers(SMALL), ones(SMALL)))
    assert str(e.value) == "netspec small: " + message


def put(a, index, value):
    a[index] = value
    return a


@pytest.mark.parametrize(("kind", "bias"), [("dot", 0.1), ("dot", -7.5), ("dot", 0.0), ("cosdot", 0.0)])
def test_head_of_zeros_stays_zeros(kind, bias):
    """A Dot then says its bias, as finely as an int32 can; CosDot, and a Dot without one, 0 in steps of 1."""
    spec = replace(SMALL, head=Head(kind, True))
    theta = numbers(spec)
    for t in spec.tensors:
        if t.name.startswith("head."):
            theta[t.offset : t.offset + t.size] = bias if t.name == "head.bias" else 0
    q = quantize(spec, theta, ones(spec))
    assert q.head.weight.tolist() == [0] * 4
    logit = oracle.run(q, np.full((4, 4, 3), 255, np.uint8)).logit
    if bias:
        assert abs(logit) > 2**30
        assert logit * float(q.head.weight_scale) * 0.02 == pytest.approx(bias, rel=1e-6)
    else:
        assert (logit, float(q.head.weight_scale)) == (0, 1.0)


def test_head_of_zeros_matches_nobody():
    theta = numbers(SMALL)
    theta[-4:] = 0
    q = quantize(SMALL, theta, ones(SMALL))
    assert [q.threshold(c) for c in (0.9, 0.0, -0.9)] == [INT32_MAX] * 3


def test_bias_of_the_head_raises_its_scale_until_the_sum_fits():
    theta = np.array([1, 1, 0, 0, 1e-6, -1e-6, 3e8], np.float32)
    q = quantize(ONE, theta, np.array([0.01], np.float32))
    assert 2**31 - 2000 < q.head.bias + 255 * int(np.abs(q.head.weight).sum()) < 2**31
    assert q.head.bias * float(q.head.weight_scale) * 0.01 == pytest.approx(3e8, rel=1e-6)
