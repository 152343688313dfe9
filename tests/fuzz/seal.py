"""Fuzzes hm_seal_open and hm_seal_read by libFuzzer under ASan and UBSan:

    python tests/fuzz/seal.py --seconds 60 [--corpus FOLDER]

Every input is read as it is, and once more under a tag that fits, so that what stands behind the seal is reached. Exit
code 1 on a fault, whose input then lies in the corpus' folder.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from fuzzing import Fuzzer, Planted, changed, link, main
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.device.keys import Key
from hyper_mcu.device.seal import HEAD, TAG, seal

DEVICE = Path(__file__).parents[2] / "firmware" / "device"
KEY = Key(3, bytes(range(32)))

TARGET = r"""
#include "hm_seal.h"
#include <stdlib.h>
#include <string.h>

enum { NUMBER = 3, COUNTER = 6 };

static void require(bool so)
{
    if (!so) {
        abort();
    }
}

static bool inside(const void *part, size_t size, const uint8_t *bytes, size_t n)
{
    const uint8_t *const begin = (const uint8_t *)part;
    return begin >= bytes && begin + size <= bytes + n;
}

/* What keeps its promises says nothing of what it refuses, and points into what it takes. */
static void check(const hm_sealed *sealed, bool taken, const uint8_t *bytes, size_t n)
{
    static const hm_sealed nothing;
    if (!taken) {
        require(memcmp(sealed, &nothing, sizeof nothing) == 0);
        return;
    }
    require(inside(sealed->id, HM_ID_BYTES, bytes, n) && inside(sealed->nonce, 16, bytes, n));
    require(inside(sealed->payload, sealed->payload_bytes, bytes, n) && sealed->payload_bytes > 0);
    require(inside(sealed->name, HM_NAME_BYTES, bytes, n) && strlen(sealed->name) > 0);
    require(strlen(sealed->name) < HM_NAME_BYTES && sealed->key > 0 && sealed->counter > 0);
}

static bool ask(const uint8_t *bytes, uint32_t n)
{
    uint8_t key[HM_KEY_BYTES];
    hm_sealed sealed;
    uint32_t decision = HM_MATCH;
    for (int i = 0; i < HM_KEY_BYTES; i++) {
        key[i] = (uint8_t)i;
    }
    memset(&sealed, 0xAA, sizeof sealed);
    check(&sealed, hm_seal_read(bytes, n, &sealed) == HM_CODE_OK, bytes, n);
    memset(&sealed, 0xAA, sizeof sealed);
    const bool opened = hm_seal_open(bytes, n, key, NUMBER, COUNTER, &sealed, &decision) == HM_CODE_OK;
    check(&sealed, opened, bytes, n);
    require(decision == (opened ? HM_MATCH : HM_NO_MATCH));
    require(!opened || (sealed.key == NUMBER && sealed.counter > COUNTER));
    return opened;
}

/* A tag over the bytes before it, as only who has the key can make one. */
static void repair(uint8_t *bytes, size_t n)
{
    uint8_t key[HM_KEY_BYTES];
    hm_hmac mac;
    if (n < HM_SEAL_TAG) {
        return;
    }
    for (int i = 0; i < HM_KEY_BYTES; i++) {
        key[i] = (uint8_t)i;
    }
    hm_key_for(key, NUMBER, HM_USE_SEAL, key);
    hm_hmac_begin(&mac, key, sizeof key);
    hm_hmac_add(&mac, bytes, n - HM_SEAL_TAG);
    hm_hmac_end(&mac, bytes + n - HM_SEAL_TAG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const bytes = (uint8_t *)malloc(size); /* of exactly this size */
    require(bytes != NULL || size == 0);
    if (size > 0) {
        hm_copy(bytes, data, size);
    }
    const bool opened = ask(bytes, (uint32_t)size);
    repair(bytes, size);
    const bool again = ask(bytes, (uint32_t)size);
    require(!opened || again);
    free(bytes);
    return 0;
}
"""


def build(folder: Path, *changes: tuple[str, str]) -> Path:
    """The fuzzer of the device's C; changes: pieces of hm_seal.c replaced, to plant a fault."""
    text = changed((DEVICE / "hm_seal.c").read_text(encoding="ascii"), changes)
    (folder / "hm_seal.c").write_text(text.replace('"../core/', f'"{DEVICE.parent}/core/'), encoding="ascii")
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    (folder / "target.c").write_text(TARGET, encoding="ascii")
    return link(folder, [f"-I{DEVICE}", "target.c", "hm_seal.c", str(DEVICE / "hm_sha256.c")])


def seeds() -> list[bytes]:
    """A sealed person, cut and grown, and such with one field at an end of its range."""
    whole = seal(person(net(TINY)), KEY, 7, id=bytes(16))
    made = [whole, whole[:-1], whole[: HEAD.size + TAG], whole[: HEAD.size + TAG + 4], whole + bytes(4), whole[:100]]
    small = bytearray(whole[: HEAD.size] + bytes(4 + TAG))
    struct.pack_into("<I", small, 8, len(small))
    struct.pack_into("<I", small, 24, 4)
    made.append(bytes(small))
    ends = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")
    made += [bytes(small[:at]) + w + bytes(small[at + 4 :]) for at in range(0, HEAD.size, 4) for w in ends]
    return made


FUZZER = Fuzzer(
    "Fuzzes what opens sealed people.",
    build,
    seeds,
    runs=60_000,
    planted={
        "size": Planted("n <= HM_SEAL_HEAD + HM_SEAL_TAG ||", "", "heap-buffer-overflow"),
        "payload": Planted(
            "hm_word(bytes + HM_SEAL_PAYLOAD) == n - HM_SEAL_HEAD - HM_SEAL_TAG &&", "", "deadly signal"
        ),
        "counter": Planted("own > counter ? HM_CODE_OK : HM_CODE_OLD", "HM_CODE_OK", "deadly signal"),
        "seal": Planted("seal != HM_MATCH", "seal == 0", "deadly signal"),
        "name": Planted(" &&\n           hm_is_name(bytes + HM_SEAL_NAME, HM_NAME_BYTES)", "", "deadly signal"),
    },
)

if __name__ == "__main__":
    sys.exit(main(FUZZER))
