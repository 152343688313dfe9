"""The fixed-point arithmetic of f: TFLite's quantised multiplier with gemmlowp's two roundings, and CosDot's division.

Arrays are int64 and hold the int32 values of the C code, so that no product overflows (|a·m| < 2^62). What TFLite calls
a shift is a left shift; here it is the right shift that every requantisation of f needs, 0…30.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyper_mcu.codegen.netspec import cosdot_bits

Int64 = NDArray[np.int64]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
MAX_SHIFT = 30
REAL_MIN, REAL_MAX = 2.0**-31, 1 - 2.0**-32  # real multipliers from REAL_MIN to below REAL_MAX have a shift of 0…30
QUOTIENT_BITS = 31  # of CosDot's logit: its magnitude is below 2^31 by Cauchy-Schwarz


def quantize_multiplier(real: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multiplier m and right shift s with real ≈ m·2^(−31−s): TFLite's QuantizeMultiplier (quantization_util.cc).

    real: doubles ≥ 0, any shape. m: int32 in [2^30, 2^31), real's mantissa rounded half away from zero to 31 bits; a
    mantissa that rounds to 2^31 becomes 2^30 and one shift less. s is in 0…30 for REAL_MIN ≤ real < REAL_MAX, negative
    above; (0, 0) for zero and for what is below 2^-32, as in TFLite.
    """
    mantissa, exponent = np.frexp(np.asarray(real, np.float64))
    m = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)  # half away from zero, as none is negative
    carry = m == 2**31
    m, s = np.where(carry, 2**30, m), -(exponent.astype(np.int64) + carry)
    nothing = (m == 0) | (s > 31)
    return np.where(nothing, 0, m).astype(np.int32), np.where(nothing, 0, s).astype(np.int32)


def saturating_rounding_doubling_high_mul(a: ArrayLike, m: ArrayLike) -> Int64:
    """a·m / 2^31 of int32 values, rounded to nearest with halves upwards, INT32_MIN·INT32_MIN saturated.

    gemmlowp's SaturatingRoundingDoublingHighMul (fixedpoint.h), its nudge and its truncating division written out.
    """
    x, y = np.asarray(a, np.int64), np.asarray(m, np.int64)
    product = x * y
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.sign(nudged) * (np.abs(nudged) >> 31)  # C's division truncates towards zero
    return np.where((x == INT32_MIN) & (y == INT32_MIN), INT32_MAX, high)


def rounding_divide_by_pot(x: ArrayLike, s: ArrayLike) -> Int64:
    """x / 2^s of int32 values, s in 0…31, rounded to nearest with halves away from zero.

    gemmlowp's RoundingDivideByPOT (fixedpoint.h).
    """
    v, e = np.asarray(x, np.int64), np.asarray(s, np.int64)
    mask = (np.int64(1) << e) - 1
    threshold = (mask >> 1) + (v < 0)
    return np.asarray((v >> e) + ((v & mask) > threshold), np.int64)


def requantise(acc: ArrayLike, m: ArrayLike, s: ArrayLike) -> Int64:
    """acc·m·2^(−31−s) with TFLite's two roundings; neither zero point nor clamp.

    MultiplyByQuantizedMultiplier of TFLite's common.h, default build, for right shifts s in 0…30.
    """
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(acc, m), s)


def requantise_once(acc: ArrayLike, m: ArrayLike, s: ArrayLike) -> Int64:
    """acc·m·2^(−31−s) rounded once, halves upwards: not f's arithmetic, but that of TFLite built with
    TFLITE_SINGLE_ROUNDING (common.cc). |acc| < 2^31, m in [2^30, 2^31), s in 0…30."""
    a, e = np.asarray(acc, np.int64), np.asarray(s, np.int64)
    return np.asarray((a * np.asarray(m, np.int64) + (np.int64(1) << (30 + e))) >> (31 + e), np.int64)


def requantise_relu(acc: ArrayLike, m: ArrayLike, s: ArrayLike) -> Int64:
    """requantise clamped to 0…255 in the form that kernels use; |acc| < 2^30, m in [2^30, 2^31), s in 0…30.

    Only the non-negative branch can be seen behind a ReLU: r = (acc·m + 2^30) >> 31, then (r + 2^(s−1)) >> s.
    """
    a, e = np.maximum(np.asarray(acc, np.int64), 0), np.asarray(s, np.int64)
    r = (a * np.asarray(m, np.int64) + 2**30) >> 31
    return np.asarray(np.minimum((r + ((np.int64(1) << e) >> 1)) >> e, 255), np.int64)


def smmulr(a: ArrayLike, b: ArrayLike) -> Int64:
    """Armv7E-M's SMMULR: the upper 32 bits of a·b + 2^31.

    smmulr(2a, m) is saturating_rounding_doubling_high_mul(a, m) for every |a| < 2^30, negative ones included: kernels
    double weights and bias once instead of every sum.
    """
    return (np.asarray(a, np.int64) * np.asarray(b, np.int64) + 2**31) >> 32


def cosdot(num: int, norm: int, n: int) -> int:
    """CosDot's logit sgn(num)·⌊num²·2^K / norm⌋; num = Σw·u, norm = Σu² over n elements, K of `cosdot_bits`.

    norm = 0: INT32_MIN, which no threshold matches. Needs num²·2^K < 2^63, which NetSpec promises.
    """
    if norm == 0:
        return INT32_MIN
    logit = ((num * num) << cosdot_bits(n)) // norm
    return -logit if num < 0 else logit


def restoring_division(numerator: int, divisor: int, bits: int = QUOTIENT_BITS) -> int:
    """⌊numerator / divisor⌋ in `bits` steps whatever the numbers are: how C divides in `cosdot`, in Python's integers.

    numerator ≥ 0 below divisor·2^bits, divisor > 0. The remainder stays below 2·divisor, so 64 bits hold it where
    divisor < 2^63.
    """
    rest, quotient = numerator >> bits, 0
    for i in reversed(range(bits)):
        rest = rest << 1 | numerator >> i & 1
        fits = int(rest >= divisor)
        rest -= divisor * fits
        quotient = quotient << 1 | fits
    return quotient
