"""The key of a board with a Cortex-M (ports/cortex_m/key.c): given once, and by no damage back in the factory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from c_programs import HOST
from port_source import compile_around

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

RECORD = 40  # bytes of number, key and CRC-32
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 256 };
static _Alignas(16) uint8_t cells[SIZE];
static uint32_t most = SIZE; /* bytes that are programmed until the power fails */

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    (void)context;
    for (uint32_t i = 0; i < n && most > 0; i++, most--) {
        cells[offset + i] &= bytes[i];
    }
    return most > 0;
}

static bool erase(void *context, uint32_t offset)
{
    (void)context;
    (void)offset;
    abort(); /* a key is never taken back */
}

static const hm_flash partition = {cells, SIZE, SIZE, 4, NULL, erase, program};
const hm_flash *hm_nvm_key(void) { return &partition; }

static void say(void)
{
    uint8_t key[HM_KEY_BYTES];
    uint32_t number = 0;
    const bool there = hm_port_key(key, &number);
    printf("%d %lu %d\n", (int)there, (unsigned long)number, there ? key[0] : 0);
}

/* NUMBER MOST BIT: sets a key of ones, with so many bytes until the power fails; flips a bit unless it is below 0; sets
 * one of twos. Says after each what is there. */
int main(int argc, char **argv)
{
    uint8_t key[HM_KEY_BYTES];
    if (argc != 4) {
        return 1;
    }
    const int bit = atoi(argv[3]);
    memset(cells, 0xFF, sizeof cells);
    memset(key, 1, sizeof key);
    most = (uint32_t)atoi(argv[2]);
    printf("%d ", (int)hm_port_set_key(key, (uint32_t)strtoul(argv[1], NULL, 10)));
    say();
    most = SIZE;
    if (bit >= 0) {
        cells[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(key, 2, sizeof key);
    printf("%d ", (int)hm_port_set_key(key, 9));
    say();
    return 0;
}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Whether a key was taken, whether there is one, its number and first byte: after the first and the second one."""
    program = compile_around("cortex_m/key.c", PROGRAM, tmp_path_factory.mktemp("key"))

    def start(number: int, most: int = 256, bit: int = -1) -> list[str]:
        words = [str(program), str(number), str(most), str(bit)]
        return subprocess.run(words, capture_output=True, check=True, text=True).stdout.splitlines()

    return start


@pytest.mark.parametrize("number", [1, 7, 2**32 - 1])
def test_a_key_is_taken_once_whatever_its_number(said, number: int) -> None:
    assert said(number) == [f"1 1 {number} 1", f"0 1 {number} 1"]


def test_a_key_without_a_number_is_none_and_the_factory_is_not_over(said) -> None:
    assert said(0) == ["0 0 0 0", "1 1 9 2"]


def test_no_flipped_bit_makes_a_key_another_one_or_lets_another_one_in(said) -> None:
    for bit in range(0, 8 * RECORD, 3):
        assert said(7, bit=bit) == ["1 1 7 1", "0 0 0 0"]


def test_a_key_that_power_cut_short_lets_no_other_one_in(said) -> None:
    for most in range(1, RECORD):
        assert said(7, most) == ["0 0 0 0", "0 0 0 0"]
