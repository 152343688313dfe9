"""Writes requantise.csv, quantize_multiplier.csv and cosdot.csv: what Python and C must both compute.

Expected values come from rational numbers and the definition of each rounding, not from the code under test:
    python tests/vectors/make_fixedpoint.py
"""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor
from pathlib import Path

HERE = Path(__file__).parent
SEED = 20_240_229
ACC = 2**30 - 1  # largest accumulator of a net
ENDS = (0, 1, -1, ACC, -ACC, 2**30, -(2**30), 2**31 - 1, 1 - 2**31, -(2**31))  # and of int32
MULTIPLIERS = (2**30, 2**31 - 1)


def halves_up(x: Fraction) -> int:
    """The nearest integer, halves upwards (the doubling high multiply)."""
    return floor(x + Fraction(1, 2))


def halves_away(x: Fraction) -> int:
    """The nearest integer, halves away from zero (the shift, and the mantissa of a multiplier)."""
    return floor(x + Fraction(1, 2)) if x >= 0 else -floor(-x + Fraction(1, 2))


def requantise_rows(rng: random.Random) -> list[tuple[object, ...]]:
    """acc, multiplier, shift; then the product's upper half, the whole, it clamped to 0…255 and to −128…127."""
    cases = {(a, m, s) for a in ENDS for m in MULTIPLIERS for s in range(31)}
    for _ in range(170):
        m = rng.choice(
            [2**30, 2**30 + 1, 3 * 2**29, 2**31 - 1, rng.randrange(2**30, 2**31), rng.randrange(2**30, 2**31)]
        )
        s = rng.choice([0, 1, 2, 5, 8, 9, 10, 11, 12, 22, 30, rng.randrange(31)])
        target = rng.choice([0, 1, 127, 128, 254, 255, 256, rng.randrange(256)]) + rng.choice([0, Fraction(1, 2)])
        near = int(target * 2 ** (31 + s) / m) + rng.randrange(-2, 3)  # about where the byte changes
        cases.update((sign * near, m, s) for sign in (1, -1) if abs(near) <= ACC)
        cases.add((rng.randint(-ACC, ACC) >> rng.randrange(29), m, s))
    rows = []
    for acc, m, s in sorted(cases):
        high = halves_up(Fraction(acc * m, 2**31))
        full = halves_away(Fraction(high, 2**s))
        rows.append((acc, m, s, high, full, min(max(full, 0), 255), min(max(full, -128), 127)))
    return rows


def multiplier_rows(rng: random.Random) -> list[tuple[object, ...]]:
    """A double (hexadecimal), the multiplier and the right shift; reals from 2^-31 to below 1."""
    edges = [2.0**-e for e in range(1, 32)] + [1 - 2.0**-31, 1 - 2.0**-32 - 2.0**-53, 0.5 - 2.0**-54, 0.25 - 2.0**-34]
    reals = edges + [(1 + rng.random()) * 2.0 ** -rng.randrange(1, 32) for _ in range(100)]
    reals += [(m + 0.5) * 2.0**-40 for m in (2**30, 2**30 + 1, 2**31 - 2)]  # halves
    rows = []
    for real in sorted(set(reals)):
        exact, shift = Fraction(real), 0
        while exact < Fraction(1, 2):
            exact, shift = exact * 2, shift + 1
        m = halves_away(exact * 2**31)
        rows.append((real.hex(), *((2**30, shift - 1) if m == 2**31 else (m, shift))))
    return rows


def cosdot_rows(rng: random.Random) -> list[tuple[object, ...]]:
    """num, norm, n, logit of vectors that exist; norm 0 first."""
    cases = {(0, 0, 1), (0, 0, 1024), (0, 1, 1), (0, 65025, 1), (127, 1, 1), (-127, 1, 1), (32385, 65025, 1)}
    for n in (1, 2, 20, 64, 127, 128, 129, 500, 1023, 1024):
        for peak in (1, 127, 255, 255 * 49):  # the last one: sums over 7 × 7 pixels, where the square still fits
            if (127 * peak * n) ** 2 << (9 if n <= 128 else 6) >= 2**63:
                continue
            cases.add((127 * peak * n, peak * peak * n, n))  # parallel: the largest logit
            cases.add((-127 * peak * n, peak * peak * n, n))
            for _ in range(3):
                u = [rng.randint(0, peak) for _ in range(n)]
                w = [rng.randint(-127, 127) for _ in range(n)]
                cases.add((sum(a * b for a, b in zip(u, w, strict=True)), sum(a * a for a in u), n))
    rows = []
    for num, norm, n in sorted(cases, key=lambda c: (c[1] > 0, c[2], c[1], c[0])):
        square = floor(Fraction(num * num * 2 ** (9 if n <= 128 else 6), norm)) if norm else 2**31
        rows.append((num, norm, n, square if num > 0 else -square))
    return rows


def files() -> dict[str, str]:
    """Name and text of every file."""
    rng = random.Random(SEED)
    tables = {
        "requantise.csv": ("acc,multiplier,shift,high,full,relu,linear", requantise_rows(rng)),
        "quantize_multiplier.csv": ("real,multiplier,shift", multiplier_rows(rng)),
        "cosdot.csv": ("num,norm,n,logit", cosdot_rows(rng)),
    }
    return {
        name: "\n".join([head, *(",".join(map(str, r)) for r in rows), ""]) for name, (head, rows) in tables.items()
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="ascii", newline="\n")
