"""The arithmetic against rational numbers, against itself in other forms, and against vectors made elsewhere."""

from __future__ import annotations

import csv
import runpy
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyper_mcu.codegen.fixedpoint import (
    INT32_MAX,
    INT32_MIN,
    REAL_MAX,
    REAL_MIN,
    cosdot,
    quantize_multiplier,
    requantise,
    requantise_once,
    requantise_relu,
    restoring_division,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
    smmulr,
)

VECTORS = Path(__file__).parents[1] / "vectors"
INT32 = st.integers(INT32_MIN, INT32_MAX)
ACC = st.integers(1 - 2**30, 2**30 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)
SHIFT = st.integers(0, 30)


def table(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(encoding="ascii") as f:
        return list(csv.DictReader(f))


def many(seed: int, n: int = 1_000_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accumulators of every size, multipliers, shifts; a third of the accumulators near a change of the byte."""
    rng = np.random.default_rng(seed)
    m, s = rng.integers(2**30, 2**31, n), rng.integers(0, 31, n)
    acc = rng.integers(1 - 2**30, 2**30, n) >> rng.integers(0, 30, n)
    near = rng.integers(-1, 514, n) / 2 * 2.0 ** (31 + s) / m + rng.integers(-2, 3, n)
    close = (rng.random(n) < 0.33) & (np.abs(near) < 2**30)
    return np.where(close, near.astype(np.int64), acc), m, s


@given(INT32, INT32)
@example(INT32_MIN, INT32_MIN)
@example(INT32_MIN, INT32_MAX)
@example(-1, 2**30)
@example(1, 2**30)
def test_high_multiply_rounds_to_nearest_with_halves_upwards(a, b):
    expected = floor(Fraction(a * b, 2**31) + Fraction(1, 2))
    assert saturating_rounding_doubling_high_mul(a, b) == min(expected, INT32_MAX)


@given(INT32, st.integers(0, 31))
@example(-1, 1)
@example(-3, 1)
@example(3, 1)
@example(INT32_MIN, 31)
@example(INT32_MAX, 31)
def test_shift_rounds_to_nearest_with_halves_away_from_zero(x, s):
    size = floor(Fraction(abs(x), 2**s) + Fraction(1, 2))
    assert rounding_divide_by_pot(x, s) == (size if x >= 0 else -size)


@given(ACC, MULTIPLIER, SHIFT)
@example(0, 2**30, 0)
@example(1, 2**30, 0)
@example(-1, 2**30, 30)
@example(2**30 - 1, 2**31 - 1, 0)
def test_shortcut_behind_a_relu_equals_both_roundings(acc, m, s):
    assert requantise_relu(acc, m, s) == min(max(int(requantise(acc, m, s)), 0), 255)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shortcut_behind_a_relu_equals_both_roundings_on_a_million_sums(seed):
    acc, m, s = many(seed)
    full = requantise(acc, m, s)
    assert np.array_equal(requantise_relu(acc, m, s), np.clip(full, 0, 255))
    assert len(np.unique(np.clip(full, 0, 255))) == 256  # the sums reach every byte


def test_two_roundings_differ_from_one_where_they_should():
    """0.49999… of a step becomes ½ by the first rounding, and a whole step by the second."""
    acc, m, s = 1_073_741_823, 2**30, 30
    assert Fraction(acc * m, 2 ** (31 + s)) < Fraction(1, 2)
    assert (requantise(acc, m, s), requantise_once(acc, m, s)) == (1, 0)


@given(acc=ACC, m=MULTIPLIER, s=SHIFT)
def test_single_rounding_is_to_nearest_with_halves_upwards(acc, m, s):
    assert requantise_once(acc, m, s) == floor(Fraction(acc * m, 2 ** (31 + s)) + Fraction(1, 2))


def test_smmulr_of_the_doubled_sum_is_the_high_multiply():
    acc, m, _ = many(4)
    acc = np.append(acc, [1 - 2**30, 2**30 - 1, -1, 0, 1])
    m = np.append(m, [2**31 - 1, 2**31 - 1, 2**30, 2**30, 2**30])
    assert (acc < 0).sum() > 100_000
    assert np.array_equal(smmulr(2 * acc, m), saturating_rounding_doubling_high_mul(acc, m))


def test_shift_without_relu_is_an_add_and_a_shift_less_the_sign():
    """The form for a linear end: (x + 2^(s−1) − (x < 0)) >> s, nothing at s = 0."""
    x, _, s = many(5)
    half = (np.int64(1) << s) >> 1
    short = np.where(s > 0, (x + half - (x < 0)) >> s, x)
    assert np.array_equal(short, rounding_divide_by_pot(x, s))


@given(st.floats(REAL_MIN, REAL_MAX, exclude_max=True))
@example(REAL_MIN)
@example(float(np.nextafter(REAL_MAX, 0)))
@example(0.5)
@example(0.5 - 2.0**-54)
def test_multiplier_is_the_real_number_to_31_bits(real):
    m, s = (int(x) for x in quantize_multiplier(real))
    assert 2**30 <= m < 2**31
    assert 0 <= s <= 30
    assert abs(Fraction(m, 2 ** (31 + s)) - Fraction(real)) <= Fraction(1, 2 ** (32 + s))


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (0.5, (2**30, 0)),
        (0.75, (3 * 2**29, 0)),
        (1.0, (2**30, -1)),  # a left shift
        (REAL_MAX, (2**30, -1)),  # the carry: 2^31 − ½ rounds to 2^31
        (REAL_MIN, (2**30, 30)),
        (2.0**-32, (2**30, 31)),
        (2.0**-33, (0, 0)),  # TFLite: all bits would be shifted out
        ((2**30 + 0.5) * 2.0**-31, (2**30 + 1, 0)),  # a half goes away from zero
        ((2**30 + 1.5) * 2.0**-31, (2**30 + 2, 0)),
    ],
)
def test_multiplier_at_the_edges(real, expected):
    assert tuple(int(x) for x in quantize_multiplier(real)) == expected


def test_multipliers_of_an_array_keep_its_shape():
    m, s = quantize_multiplier(np.array([[0.25, 0.5], [0.0, 0.999]]))
    assert (m.shape, m.dtype, s.shape, s.dtype) == ((2, 2), np.int32, (2, 2), np.int32)
    assert s.tolist() == [[1, 0], [0, 0]]


@given(st.integers(1, 2**62), st.integers(0, 2**31 - 1), st.integers(0))
@example(1, 2**31 - 1, 0)
@example(2**62, 0, 0)
@example(2**62, 2**31 - 1, 2**62 - 1)
def test_restoring_division_is_floor_division(divisor, quotient, rest):
    numerator = quotient * divisor + rest % divisor
    assert restoring_division(numerator, divisor) == numerator // divisor == quotient


@given(st.lists(st.tuples(st.integers(-127, 127), st.integers(-128, 255 * 49)), min_size=1, max_size=70))
def test_cosdot_is_the_scaled_signed_square_of_the_cosine(pairs):
    num, norm, norm2 = sum(w * u for w, u in pairs), sum(u * u for _, u in pairs), sum(w * w for w, _ in pairs)
    logit = cosdot(num, norm, len(pairs))
    if norm == 0:
        assert logit == INT32_MIN
        return
    exact = Fraction(num * abs(num) * 2**9, norm)
    assert abs(exact) - 1 < abs(logit) <= abs(exact) <= norm2 * 2**9 < 2**31
    assert logit * num >= 0
    assert abs(logit) == restoring_division(num * num << 9, norm)


def test_cosdot_of_a_black_map_is_never_a_match():
    assert cosdot(0, 0, 7) == INT32_MIN


def test_vectors_are_what_their_script_writes():
    files = runpy.run_path(str(VECTORS / "make_fixedpoint.py"))["files"]()
    assert {name: (VECTORS / name).read_text(encoding="ascii") for name in files} == files


def test_requantisation_vectors():
    rows = [[int(v) for v in r.values()] for r in table("requantise.csv")]
    acc, m, s, high, full, relu, linear = np.array(rows).T
    assert len(rows) > 1000
    assert set(s) == set(range(31))
    assert {INT32_MIN, INT32_MAX, 2**30 - 1, 1 - 2**30} <= set(acc)
    assert np.array_equal(saturating_rounding_doubling_high_mul(acc, m), high)
    assert np.array_equal(requantise(acc, m, s), full)
    assert np.array_equal(requantise_relu(acc, m, s), relu)
    assert np.array_equal(np.clip(requantise(acc, m, s), -128, 127), linear)


def test_multiplier_vectors():
    rows = table("quantize_multiplier.csv")
    m, s = quantize_multiplier([float.fromhex(r["real"]) for r in rows])
    assert m.tolist() == [int(r["multiplier"]) for r in rows]
    assert s.tolist() == [int(r["shift"]) for r in rows]


def test_cosdot_vectors():
    for r in table("cosdot.csv"):
        num, norm, n, logit = (int(v) for v in r.values())
        assert cosdot(num, norm, n) == logit
