"""Random numbers of a chip without a generator (ports/stm32/random_key.c): none comes twice, whatever power did to the
bits that count the starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from c_programs import HOST
from port_source import compile_around

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

STARTS = 300
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 512 }; /* of the key's partition: 2048 starts */
static uint8_t view[SIZE];    /* what is read */
static uint8_t cells[SIZE];   /* what is programmed for good */
static uint8_t between[SIZE]; /* bits that power failed on: they read as they like */
static bool fails;
static bool keyed = true;

/* Takes bits away one by one, as flash of F4 does. */
static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    (void)context;
    for (uint32_t i = offset; i < offset + n; i++) {
        const uint8_t gone = (uint8_t)(view[i] & ~bytes[i - offset]);
        if (fails) {
            between[i] |= gone;
        } else {
            cells[i] &= (uint8_t)~gone;
            between[i] &= (uint8_t)~gone;
            view[i] &= (uint8_t)~gone;
        }
    }
    return !fails;
}

static bool erase(void *context, uint32_t offset)
{
    (void)context;
    (void)offset;
    return false;
}

static const hm_flash partition = {view, SIZE, SIZE, 4, NULL, erase, program};
const hm_flash *hm_nvm_key(void) { return &partition; }
bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    memset(key, 7, HM_KEY_BYTES);
    *number = 1;
    return keyed;
}

/* SEED STARTS KEYED: of each start that power lets be, two challenges. */
int main(int argc, char **argv)
{
    if (argc != 4) {
        return 1;
    }
    srand((unsigned)atoi(argv[1]));
    keyed = atoi(argv[3]) != 0;
    memset(cells, 0xFF, sizeof cells);
    for (int start = atoi(argv[2]); start > 0; start--) {
        uint8_t challenge[2][16];
        for (int i = 0; i < SIZE; i++) {
            view[i] = (uint8_t)(cells[i] & ~(between[i] & (rand() >> 8)));
        }
        seeded = false;
        fails = rand() / 256 % 3 == 0;
        if (hm_port_random(challenge[0], 16) && hm_port_random(challenge[1], 16)) {
            fwrite(challenge, sizeof challenge, 1, stdout);
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[bytes]]:
    """The challenges of so many starts, some of which power interrupts."""
    program = compile_around("stm32/random_key.c", PROGRAM, tmp_path_factory.mktemp("random"))

    def start(seed: int, starts: int = STARTS, keyed: bool = True) -> list[bytes]:
        words = [str(program), str(seed), str(starts), str(int(keyed))]
        out = subprocess.run(words, capture_output=True, check=True).stdout
        return [out[at : at + 16] for at in range(0, len(out), 16)]

    return start


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_challenge_comes_twice_though_bits_that_power_failed_on_come_and_go(said, seed: int) -> None:
    challenges = said(seed)
    assert len(challenges) > STARTS
    assert len(set(challenges)) == len(challenges)


def test_without_a_key_there_are_none_and_no_start_is_counted(said) -> None:
    assert said(1, keyed=False) == []


def test_when_all_starts_are_counted_there_are_no_more(said) -> None:
    challenges = said(1, 6000)
    assert 2 * 1500 < len(challenges) <= 2 * 8 * (512 - 256)
    assert len(set(challenges)) == len(challenges)
