"""The oracle: tiny nets worked out by hand, TFLite's reference kernels in loops, the worst case, the known image."""

from __future__ import annotations

import hashlib

import loops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import images, net_specs, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.fixedpoint import INT32_MIN
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.presets import preset, same
from hyper_mcu.codegen.qnet import ACC_BOUND, QConv, QHead, QNet


def qconv(weight, bias, multiplier=2**30, shift=0):
    """QConv from nested lists, one real multiplier for all channels: ½ unless said otherwise."""
    w, n = np.array(weight, np.int8), len(weight)
    return QConv(w, np.array(bias, np.int32), np.full(n, multiplier, np.int32), np.full(n, shift, np.uint8),
                 np.full(n, 0.5, np.float32), np.float32(0.5))  # fmt: skip


def qnet(spec, stages, head, bias=0):
    return QNet(spec, tuple(stages), QHead(np.array(head, np.int8), bias, np.float32(1)))


def image(values, spec):
    return np.array(values, np.uint8).reshape(spec.height, spec.width, spec.channels)


def test_pointwise_layer_and_dot_by_hand():
    """u = (10, −20); sums 3·10 + 1·(−20) + 7 = 17 and −20 + 5; halves: 8.5 → 9, −7.5 → ReLU 0. Logit 4 + 9·2 − 0."""
    spec = NetSpec("t", (same(1, 2, 2),), Head("dot"), 1, 1, 2)
    q = qnet(spec, [qconv([[[[3, 1]]], [[[0, 1]]]], [7, 5])], [2, -3], 4)
    r = oracle.run(q, image([138, 108], spec))
    assert r.layers[0].tolist() == [[[9 - 128, -128]]]
    assert r.logit == 4 + 2 * 9


def test_same_padding_at_stride_two_is_below_and_right_alone():
    """4×4 pixels, 3×3 kernel of ones, stride 2: no padding above or left, one row and column after."""
    spec = NetSpec("t", (Conv(3, 2, "same", 1, 1),), Head("dot"), 4, 4, 1)
    q = qnet(spec, [qconv(np.ones((1, 3, 3, 1)), [0])], [0, 0, 0, 0])
    x = 128 + np.arange(16)  # u = 0…15, row by row
    r = oracle.run(q, image(x, spec))
    sums = [0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10, 2 + 3 + 6 + 7 + 10 + 11, 8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15]
    halves = [(s + 1) // 2 for s in sums]
    assert (r.layers[0].ravel().astype(int) + 128).tolist() == halves == [23, 20, 33, 25]


def test_padding_of_a_pixel_is_the_value_zero_not_the_byte_zero():
    spec = NetSpec("t", (same(3, 1, 1),), Head("dot"), 1, 1, 1)
    q = qnet(spec, [qconv(np.ones((1, 3, 3, 1)), [2])], [1])
    assert oracle.run(q, image([138], spec)).logit == 6  # (10 + 2) / 2, eight padded pixels add nothing


def test_shuffle_is_seen_in_the_layer_before_it_and_by_the_layer_after():
    """Channels 0…5 in 2 groups become 0 3 1 4 2 5; the grouped 1×1 behind it adds (0, 3, 1) and (4, 2, 5)."""
    spec = NetSpec("t", (same(1, 1, 6), Shuffle(2), same(1, 6, 2, 2)), Head("dot"), 1, 1, 1)
    q = qnet(spec, [qconv(np.zeros((6, 1, 1, 1)), 20 * np.arange(6)), qconv(np.ones((2, 1, 1, 3)), [0, 0])], [1, 1])
    r = oracle.run(q, image([0], spec))
    assert (r.layers[0].ravel().astype(int) + 128).tolist() == [0, 30, 10, 40, 20, 50]
    assert (r.layers[1].ravel().astype(int) + 128).tolist() == [20, 55]


def test_add_saturates_at_255():
    """Stage 0: 200 and 20; stage 1 halves: 100 and 10; the sum 300 stops at 255, 30 stays."""
    spec = NetSpec("t", (same(1, 1, 2), same(1, 2, 2), Add(0)), Head("dot"), 1, 1, 1)
    identity = np.eye(2).reshape(2, 1, 1, 2)
    q = qnet(spec, [qconv(np.zeros((2, 1, 1, 1)), [400, 40]), qconv(identity, [0, 0]), None], [1, 1])
    r = oracle.run(q, image([7], spec))
    assert [(layer.ravel().astype(int) + 128).tolist() for layer in r.layers] == [[200, 20], [100, 10], [255, 30]]
    assert r.logit == 285


def test_linear_end_rounds_negative_halves_as_tflite_does():
    """By ½ the first rounding takes −1.5 to −1 (halves upwards), by ¼ the second takes −2.5 to −3 (away from 0)."""
    spec = NetSpec("t", (same(1, 1, 6, relu=False),), Head("dot"), 1, 1, 1)
    zeros = np.zeros((6, 1, 1, 1))
    sums = [-3, 3, -10, 10, 600, -600]
    halves = oracle.run(qnet(spec, [qconv(zeros, sums)], [1] * 6), image([0], spec))
    assert halves.layers[0].ravel().tolist() == [-1, 2, -5, 5, 127, -128]
    quarters = oracle.run(qnet(spec, [qconv(zeros, sums, shift=1)], [1] * 6), image([0], spec))
    assert quarters.layers[0].ravel().tolist() == [-1, 1, -3, 3, 127, -128]
    assert quarters.logit == -1


@pytest.mark.parametrize(
    ("u", "head", "logit"),
    [
        ((3, 4), (4, 3), 24 * 24 * 512 // 25),
        ((3, 4), (-4, -3), -(24 * 24 * 512 // 25)),
        ((3, 4), (4, -3), 0),
        ((0, 0), (4, 3), INT32_MIN),
        ((200, 0), (127, 0), 127 * 127 * 512),
        ((3, 4), (0, 0), 0),
    ],
)
def test_cosdot_by_hand(u, head, logit):
    spec = NetSpec("t", (same(1, 1, 2),), Head("cosdot"), 1, 1, 1)
    q = qnet(spec, [qconv(np.zeros((2, 1, 1, 1)), [2 * v for v in u])], head)
    assert oracle.run(q, image([9], spec)).logit == logit


def test_pooled_heads_read_channel_sums_and_flat_ones_rows_of_channels():
    """Two pixels of two channels, u = (1, 2), (3, 4): sums (4, 6)."""
    layer = qconv([[[[1]]], [[[1]]]], [-2, 0])
    for head, weight, logit in (
        (Head("dot", True), [10, 1], 46),
        (Head("dot"), [100, 10, 1, 0], 123),
        (Head("cosdot", True), [1, 1], 100 * 512 // 52),
    ):
        spec = NetSpec("t", (same(1, 1, 2),), head, 1, 2, 1)
        assert oracle.run(qnet(spec, [layer], weight), image([132, 136], spec)).logit == logit


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_oracle_equals_tflites_reference_kernels_in_loops(data):
    q = data.draw(qnets(net_specs(max_side=6, max_channels=8, max_stages=4)))
    x = data.draw(images(q.spec))
    maps, logit = loops.run(q, x.tolist())
    r = oracle.run(q, x)
    assert [layer.tolist() for layer in r.layers] == maps
    assert r.logit == logit


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shift", [0, 15, 30])
def test_oracle_equals_the_loops_at_the_very_bound_and_beyond_it_there_is_no_net(sign, shift):
    """|b| + 256·Σ|w| = 2^30 − 1 in both layers, the inputs the ones that agree with the sign of every weight."""
    spec = NetSpec("t", (same(1, 3, 3), same(1, 3, 2)), Head("dot"), 1, 1, 3)

    def layers(more):
        edge = ACC_BOUND - 1 - 256 * 3 * 127
        first = qconv(np.full((3, 1, 1, 3), 127), [edge] * 3, 2**31 - 1, 0)  # the next layer's inputs are all 255
        w = np.full((2, 1, 1, 3), 127 * sign)
        return first, qconv(w, [sign * (edge + more), -sign * edge], 2**31 - 1, shift)

    q, x = qnet(spec, layers(0), [1, 1]), image([255] * 3, spec)
    maps, logit = loops.run(q, x.tolist())  # refuses partial sums that are no int32
    r = oracle.run(q, x)
    assert ([layer.tolist() for layer in r.layers], r.logit) == (maps, logit)
    assert r.layers[0].ravel().tolist() == [127] * 3
    with pytest.raises(UserError, match=f"expected below 2\\^30, got {ACC_BOUND}$"):
        qnet(spec, layers(1), [1, 1])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_logit_is_an_int32_for_every_legal_net(data):
    q = data.draw(qnets())
    assert INT32_MIN <= oracle.run(q, data.draw(images(q.spec))).logit < 2**31


def test_hash_is_over_the_digests_of_layers_and_the_logit():
    spec = NetSpec("t", (same(1, 2, 2),), Head("dot"), 1, 1, 2)
    r = oracle.run(qnet(spec, [qconv([[[[3, 1]]], [[[0, 1]]]], [7, 5])], [2, -3], -30), image([138, 108], spec))
    assert r.logit == -12
    layer = hashlib.sha256(bytes([256 + 9 - 128, 128])).digest()
    assert r.layers_sha256 == hashlib.sha256(layer + bytes([0xF4, 0xFF, 0xFF, 0xFF])).hexdigest()


def test_known_image_is_xorshift32():
    """Marsaglia's generator from state 1: 270369, 67634689, 2647435461, 307599695, …; the upper bytes are taken."""
    spec = NetSpec("t", (same(1, 3, 1),), Head("dot"), 2, 2, 3)
    states = [270369, 67634689, 2647435461, 307599695]
    assert oracle.known_image(spec, 1).ravel()[:4].tolist() == [s >> 24 for s in states]
    assert oracle.known_image(spec, 1).shape == (2, 2, 3)


def test_known_image_has_every_byte_and_depends_on_its_seed():
    spec = preset("paper")
    a, b = oracle.known_image(spec, 0x48594D43), oracle.known_image(spec, 0x48594D44)
    assert (a.size, len(np.unique(a))) == (37_632, 256)
    assert (a != b).mean() > 0.9


@pytest.mark.parametrize("seed", [0, 2**32, -1])
def test_seed_without_a_sequence_is_refused(seed):
    with pytest.raises(UserError) as e:
        oracle.known_image(preset("nano"), seed)
    assert str(e.value) == f"known image: seed; expected 1…2^32−1, got {seed}"


@pytest.mark.parametrize(
    ("x", "got"), [(np.zeros((4, 4, 3), np.uint8), "uint8 (4, 4, 3)"), (np.zeros((1, 1, 2)), "float64 (1, 1, 2)")]
)
def test_image_of_another_shape_or_type_is_refused(x, got):
    spec = NetSpec("t", (same(1, 2, 1),), Head("dot"), 1, 1, 2)
    with pytest.raises(UserError) as e:
        oracle.run(qnet(spec, [qconv([[[[1, 1]]]], [0])], [1]), x)
    assert str(e.value) == f"image: shape and type; expected uint8 (1, 1, 2), got {got}"
