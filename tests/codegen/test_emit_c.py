"""model.h: what it says, that every compiler takes it without a word, that it computes what the oracle computes.

The golden header is written anew by `python tests/codegen/test_emit_c.py`; look at its diff before you commit it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_programs import C11, CROSS, CXX14, HOST, HOST_COMPILERS, SANITIZED, answers, compile_c, run, sanitizes, zig
from people import OTHER, TINY, net, person, with_threshold

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import person_bytes, session_bytes, weights_bytes
from hyper_mcu.codegen.presets import PERSON_BYTES, preset

GOLDEN = Path(__file__).parent / "golden" / "tiny.h"
COMMAND = "python tests/codegen/test_emit_c.py"
needs_host = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
needs_sanitizers = pytest.mark.skipif(not sanitizes(HOST), reason="no compiler with sanitizers on PATH")
needs_arm = pytest.mark.skipif(not shutil.which(CROSS[0]), reason="no arm-none-eabi-gcc on PATH")

USER = '#include "model.h"\n'
IMPLEMENTATION = "#define HYPER_MCU_IMPLEMENTATION\n"


def complaint(folder: Path, sources: dict[str, str]) -> str:
    """What the compiler says of a program that it has to refuse."""
    with pytest.raises(AssertionError) as refused:
        compile_c(folder, sources, *C11)
    return str(refused.value)


def image(p, seed=3):
    return oracle.known_image(p.qnet.spec, seed)


def test_golden_header_is_unchanged():
    assert emit(person(net(TINY))) == GOLDEN.read_text(encoding="ascii"), f"if that is meant: {COMMAND}"


def test_the_same_person_gives_the_same_text_of_plain_lines():
    text = emit(person(net(TINY)))
    assert text == emit(person(net(TINY)))
    assert text.isascii()
    assert text.endswith("*/\n")
    assert not [line for line in text.splitlines() if line != line.rstrip() or "\t" in line]


@needs_host
def test_text_from_outside_cannot_leave_its_comment(tmp_path):
    p = replace(person(net(TINY)), rates_on='*/ #error " ??/ \\ /* ünder \\')
    sources = {"model.h": emit(p), "main.c": IMPLEMENTATION + USER + "int main(void) { return 0; }\n"}
    assert run(compile_c(tmp_path, sources, *C11)) == b""


@pytest.mark.parametrize("prefix", ["", "HM", "2nd", "h-m", "hm_"])
def test_a_prefix_that_is_no_name_is_refused(prefix):
    with pytest.raises(UserError) as refused:
        emit(person(net(TINY)), prefix)
    assert str(refused.value) == (
        "prefix: cannot begin a C name; expected lower-case letters and digits, a letter first, got " + repr(prefix)
    )


@needs_host
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("compiler", HOST_COMPILERS)
def test_no_host_compiler_has_a_warning(tmp_path, compiler, level):
    for spec in (TINY, OTHER, preset("nano")):
        source = {"model.h": emit(person(net(spec))), "main.c": IMPLEMENTATION + USER}
        assert compile_c(tmp_path, source, *C11, level, "-c", compiler=(compiler,)).stat().st_size


@needs_host
@pytest.mark.parametrize("compiler", HOST_COMPILERS)
def test_it_is_c_plus_plus_14_too(tmp_path, compiler):
    main = IMPLEMENTATION + USER + "int main() { static hm_session s; return hm_known_answer(&s, &HM_PERSON); }\n"
    for spec in (TINY, OTHER):
        sources = {"model.h": emit(person(net(spec))), "main.c": main}
        assert run(compile_c(tmp_path, sources, *CXX14, "-O1", compiler=(compiler,))) == b""


@needs_arm
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3", "-Os"])
def test_the_cross_compiler_has_no_warning(tmp_path, level):
    for spec in (TINY, OTHER, preset("nano")):
        source = {"model.h": emit(person(net(spec))), "main.c": IMPLEMENTATION + USER}
        assert compile_c(tmp_path, source, *C11, level, "-c", compiler=CROSS).stat().st_size


@needs_arm
def test_the_engine_needs_memcpy_and_memset_and_no_written_global(tmp_path):
    """No division, no float, no 64-bit shift from a library, nothing in .data or .bss."""
    source = {"model.h": emit(person(net(preset("paper")))), "main.c": IMPLEMENTATION + USER}
    made = compile_c(tmp_path, source, *C11, "-O2", "-c", compiler=CROSS)
    symbols = subprocess.run(["arm-none-eabi-nm", str(made)], capture_output=True, text=True, check=True).stdout
    kinds = [line.split()[-2:] for line in symbols.splitlines()]
    assert {name for kind, name in kinds if kind == "U"} <= {"memcpy", "memset"}
    assert not [name for kind, name in kinds if kind in "dDbBC"]


@pytest.mark.skipif(zig() is None, reason="the ziglang package is not installed")
def test_zig_without_a_string_h_has_no_warning(tmp_path):
    target = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4", "-ffreestanding", "-O2", "-c")
    source = {"model.h": emit(person(net(TINY))), "main.c": IMPLEMENTATION + USER}
    assert compile_c(tmp_path, source, *C11, *target, compiler=zig()).stat().st_size


@needs_host
@pytest.mark.parametrize("compiler", HOST_COMPILERS)
def test_presets_equal_the_oracle_on_every_stage(tmp_path, compiler):
    people = [
        person(net(spec, seed), "p", 1) for seed, spec in enumerate((preset("nano"), preset("large"), OTHER, TINY), 1)
    ]
    images = [image(p) for p in people]
    for p, x, said in zip(people, images, answers(tmp_path, people, images, "-O2", compiler=(compiler,)), strict=True):
        expected = oracle.run(p.qnet, x)
        assert said.layers == tuple(np.ascontiguousarray(m).tobytes() for m in expected.layers)
        assert said.logit == expected.logit
        assert said.match is bool(expected.logit >= 1)
        assert said.known_answer == 0


@needs_host
@pytest.mark.parametrize("compiler", HOST_COMPILERS)
def test_all_instructions_of_this_machine_give_the_oracles_logit(tmp_path, compiler):
    """Vector instructions for products of bytes are where compilers err: GCC 12 did, over a linear end."""
    people = [person(net(spec, seed)) for seed, spec in enumerate((TINY, OTHER, preset("nano"), TINY), 1)]
    images = [image(p) for p in people]
    said = answers(tmp_path, people, images, "-O3", "-march=native", compiler=(compiler,))
    assert [s.logit for s in said] == [oracle.run(p.qnet, x).logit for p, x in zip(people, images, strict=True)]


@needs_sanitizers
def test_images_without_light_or_full_of_it_equal_the_oracle_under_the_sanitizers(tmp_path):
    p = person(net(TINY))
    for value in (0, 255):
        x = np.full((8, 6, 3), value, np.uint8)
        said = answers(tmp_path, [p], [x], *SANITIZED)[0]
        assert said.logit == oracle.run(p.qnet, x).logit


@needs_host
def test_a_match_is_a_logit_at_or_above_the_threshold(tmp_path):
    p = person(net(TINY))
    logit = oracle.run(p.qnet, image(p)).logit
    people = [with_threshold(p, t) for t in (logit - 1, logit, logit + 1)]
    assert [a.match for a in answers(tmp_path, people, [image(p)] * 3)] == [True, True, False]


TWO_PEOPLE = """
#include <stdio.h>
#include "alice.h"
#include "bob.h"
int main(void) {
    static hm_session session;
    static uint8_t image[HM_INPUT_BYTES];
    hm_verdict a, b;
    if (hm_verify(&session, &hm_person_alice, image, &a) != HM_OK) { return 1; }
    if (hm_verify(&session, &hm_person_bob, image, &b) != HM_OK) { return 2; }
    printf("%s %ld %s %ld", hm_person_alice.name, (long)a.logit, hm_person_bob.name, (long)b.logit);
    return 0;
}
"""


@needs_host
@pytest.mark.parametrize("second", ['#include "bob.h"\n', ""])
def test_two_people_share_one_engine_across_two_files(tmp_path, second):
    """Both people's data beside the engine, or the second one's in a file of its own."""
    alice, bob = person(net(TINY, 1), "alice"), person(net(TINY, 2), "bob")
    sources = {
        "alice.h": emit(alice),
        "bob.h": emit(bob),
        "main.c": TWO_PEOPLE,
        "people.c": IMPLEMENTATION + '#include "alice.h"\n' + second,
    }
    if not second:
        sources["bob.c"] = '#define HYPER_MCU_PERSON_DATA\n#include "bob.h"\n'
    said = run(compile_c(tmp_path, sources, *C11, "-O1")).decode()
    dark = np.zeros((8, 6, 3), np.uint8)
    assert said == f"alice {oracle.run(alice.qnet, dark).logit} bob {oracle.run(bob.qnet, dark).logit}"


@needs_host
def test_a_header_included_again_for_its_implementation_is_complete(tmp_path):
    main = USER + USER + IMPLEMENTATION + USER + USER
    main += "int main(void) { static hm_session s; return (int)hm_known_answer(&s, &HM_PERSON); }\n"
    assert run(compile_c(tmp_path, {"model.h": emit(person(net(TINY))), "main.c": main}, *C11)) == b""


@needs_host
def test_two_architectures_in_one_program_have_a_prefix_each(tmp_path):
    sources = {
        "alice.h": emit(person(net(TINY), "alice")),
        "bob.h": emit(person(net(OTHER), "bob"), "two"),
        "engines.c": IMPLEMENTATION + '#include "alice.h"\n#include "bob.h"\n',
        "main.c": '#include "alice.h"\n#include "bob.h"\nint main(void) {\n    static hm_session s;\n'
        "    static two_session t;\n    hm_status a = hm_known_answer(&s, &HM_PERSON);\n"
        "    hm_status b = two_known_answer(&t, &TWO_PERSON);\n    return a == HM_OK && b == HM_OK ? 0 : 1;\n}\n",
    }
    assert run(compile_c(tmp_path, sources, *C11)) == b""


@needs_host
def test_headers_that_do_not_go_together_are_refused(tmp_path):
    main = '#include "alice.h"\n#include "bob.h"\n'
    alice = emit(person(net(TINY), "alice"))
    other_architecture = complaint(
        tmp_path, {"alice.h": alice, "bob.h": emit(person(net(OTHER), "bob")), "main.c": main}
    )
    assert (
        "Headers of two architectures share the prefix hm. Regenerate this file with another prefix."
        in other_architecture
    )
    same_name = complaint(tmp_path, {"alice.h": alice, "bob.h": emit(person(net(TINY, 2), "alice")), "main.c": main})
    assert "Two different headers name their person alice." in same_name
    other_abi = complaint(tmp_path, {"alice.h": "#define HM_ABI 0\n", "bob.h": alice, "main.c": main})
    assert "Regenerate this file and that one with the same hyper-mcu." in other_abi
    two = {"alice.h": alice, "bob.h": emit(person(net(TINY), "bob"))}
    anybody = complaint(
        tmp_path, {**two, "main.c": main + "const void *any(void);\nconst void *any(void) { return &HM_PERSON; }\n"}
    )
    assert "hm_several_people_are_included_so_name_one" in anybody


MISUSE = r"""
#include <stdio.h>
#include <string.h>
#define HYPER_MCU_IMPLEMENTATION
#include "model.h"

#define EXPECT(condition) if (!(condition)) { printf("line %d: " #condition "\n", __LINE__); return 1; }

static hm_session session;
static uint8_t image[HM_INPUT_BYTES];
static hm_weights weights;

static bool refused(const hm_verdict *v)
{
    return !v->match && v->decision == HM_NO_MATCH && v->logit < v->threshold;
}

static hm_status push(int rows)
{
    hm_status status = HM_OK;
    for (int y = 0; y < rows && status == HM_OK; y++) {
        status = hm_push_row(&session, image);
    }
    return status;
}

int main(void)
{
    hm_verdict v;
    hm_person p = HM_PERSON;

    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_NOT_BEGUN && refused(&v));

    EXPECT(hm_begin(NULL, &p) == HM_NULL_POINTER);
    EXPECT(hm_begin(&session, NULL) == HM_NULL_POINTER);
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(NULL, &p, image, &v) == HM_NULL_POINTER && refused(&v));
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(&session, NULL, image, &v) == HM_NULL_POINTER && refused(&v));
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(&session, &p, NULL, &v) == HM_NULL_POINTER && refused(&v));
    EXPECT(hm_verify(&session, &p, image, NULL) == HM_NULL_POINTER);
    EXPECT(hm_known_answer(NULL, &p) == HM_NULL_POINTER);

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(hm_push_row(NULL, image) == HM_NULL_POINTER);
    EXPECT(hm_push_row(&session, NULL) == HM_NULL_POINTER);
    EXPECT(push(HM_INPUT_ROWS - 1) == HM_OK);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_WRONG_ROW_COUNT && refused(&v));
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(push(HM_INPUT_ROWS) == HM_OK);
    EXPECT(hm_push_row(&session, image) == HM_WRONG_ROW_COUNT);
    EXPECT(hm_push_row(&session, image) == HM_WRONG_ROW_COUNT);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_WRONG_ROW_COUNT && refused(&v));

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(push(HM_INPUT_ROWS) == HM_OK);
    EXPECT(hm_end(NULL, &v) == HM_NULL_POINTER);
    EXPECT(hm_end(&session, NULL) == HM_NULL_POINTER);
    EXPECT(hm_end(&session, &v) == HM_OK);
    EXPECT(v.match == (v.logit >= v.threshold) && v.match == (v.decision == HM_MATCH));
    EXPECT(hm_end(&session, &v) == HM_NOT_BEGUN && refused(&v));
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    for (size_t i = 0; i < sizeof session; i++) {
        EXPECT(((const uint8_t *)&session)[i] == 0); /* nothing of a face is left */
    }

    p.architecture ^= 1;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_WRONG_ENGINE && refused(&v));
    p = HM_PERSON;
    p.abi++;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_WRONG_ENGINE && refused(&v));
    p = HM_PERSON;
    p.threshold--;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_CORRUPT_PERSON && refused(&v));
    p = HM_PERSON;
    p.threshold = INT32_MIN;
    p.crc = hm_check_sum(&p); /* no tool makes it: with it an image that CosDot cannot judge would match */
    EXPECT(hm_verify(&session, &p, image, &v) == HM_CORRUPT_PERSON && refused(&v));
    p = HM_PERSON;
    p.weights = NULL;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_NULL_POINTER && refused(&v));

    EXPECT(hm_known_answer(&session, &HM_PERSON) == HM_OK);
    p = HM_PERSON;
    weights = *p.weights;
    p.weights = &weights;
    EXPECT(hm_known_answer(&session, &p) == HM_OK);
    for (size_t i = 0; i < sizeof weights; i++) {
        ((uint8_t *)&weights)[i] ^= 0x10;
        EXPECT(hm_known_answer(&session, &p) == HM_CORRUPT_PERSON);
        ((uint8_t *)&weights)[i] ^= 0x10;
    }
    weights.head[0] = (int8_t)(weights.head[0] ^ 0x10);
    p.crc = hm_check_sum(&p); /* a flip that the check sum does not see, as a broken compiler would be */
    EXPECT(hm_known_answer(&session, &p) == HM_WRONG_ANSWER);
    return 0;
}
"""


@needs_sanitizers
@pytest.mark.parametrize("spec", [TINY, OTHER], ids=lambda s: s.id)
def test_misuse_has_a_status_and_never_matches(tmp_path, spec):
    """Threshold at its lowest: whatever is answered without HM_OK would be a match if anything were."""
    p = person(net(spec), threshold=-(2**31) + 1)
    program = compile_c(tmp_path, {"model.h": emit(p), "main.c": MISUSE}, *C11, *SANITIZED)
    assert run(program) == b""


IDENTIFY = r"""
#include <stdio.h>
#define HYPER_MCU_IMPLEMENTATION
#include "a.h"
#include "b.h"
#include "c.h"

int main(void)
{
    static hm_session session;
    static uint8_t image[HM_INPUT_BYTES];
    hm_person broken = hm_person_b;
    const hm_person *const people[] = {&hm_person_a, &hm_person_b, &hm_person_c};
    const hm_person *const one_broken[] = {&hm_person_a, &broken, &hm_person_c};
    hm_verdict v;
    size_t owner;
    broken.threshold ^= 1;
    while (fread(image, sizeof image, 1, stdin) == 1) {
        const hm_status status = hm_identify(&session, people, 3, image, &v, &owner);
        printf("%d %u %ld %d\n", (int)status, (unsigned)owner, (long)v.logit, v.match);
    }
    const hm_status nobody = hm_identify(&session, people, 0, image, &v, &owner);
    printf("%d %u %d\n", (int)nobody, (unsigned)owner, v.match);
    const hm_status bad = hm_identify(&session, one_broken, 3, image, &v, &owner);
    printf("%d %u %d %d\n", bad == HM_CORRUPT_PERSON, (unsigned)owner, v.match, v.logit == INT32_MIN);
    printf("%d\n", hm_identify(&session, people, 3, image, &v, NULL) == HM_NULL_POINTER && !v.match);
    return 0;
}
"""


@needs_sanitizers
def test_the_owner_is_who_is_furthest_above_their_threshold(tmp_path):
    nets = [net(TINY, seed) for seed in (1, 2, 3)]
    images = [oracle.known_image(TINY, seed) for seed in range(1, 9)]
    logits = np.array([[oracle.run(q, x).logit for q in nets] for x in images])
    people = [person(q, name, int(np.median(x))) for q, name, x in zip(nets, "abc", logits.T, strict=True)]
    sources = {f"{p.name}.h": emit(p) for p in people}
    program = compile_c(tmp_path, {**sources, "main.c": IDENTIFY}, *C11, *SANITIZED)
    *said, nobody, bad, null = run(program, b"".join(x.tobytes() for x in images)).decode().splitlines()
    margins = logits - [p.threshold for p in people]
    best = margins.argmax(axis=1)
    expected = [f"0 {b} {x[b]} {int(m[b] >= 0)}" for b, x, m in zip(best, logits, margins, strict=True)]
    assert said == expected
    assert len(set(best)) > 1
    assert {e[-1] for e in expected} == {"0", "1"}
    assert (nobody, bad, null) == ("0 0 0", "1 3 0 1", "1")


@needs_host
def test_a_result_that_nobody_looks_at_is_a_warning(tmp_path):
    main = USER + "int main(void) { static hm_session s; hm_begin(&s, &HM_PERSON); return 0; }\n"
    said = complaint(tmp_path, {"model.h": emit(person(net(TINY))), "main.c": main})
    assert "unused-result" in said


def test_paper_keeps_its_budgets():
    spec = preset("paper")
    p = person(net(spec))
    assert person_bytes(p) <= PERSON_BYTES
    assert weights_bytes(spec) % 4 == 0
    assert session_bytes(spec) <= 80_000


@needs_host
def test_declared_sizes_are_those_of_the_structs(tmp_path):
    sizes = "sizeof(hm_session), sizeof(hm_weights), HM_LAYERS, HM_INPUT_BYTES"
    main = IMPLEMENTATION + USER + "#include <stdio.h>\n"
    main += f'int main(void) {{ printf("%zu %zu %d %d", {sizes}); return 0; }}\n'
    said = run(compile_c(tmp_path, {"model.h": emit(person(net(TINY))), "main.c": main}, "-O1"))
    assert said.decode() == f"{session_bytes(TINY)} {weights_bytes(TINY)} {len(TINY.stages)} {TINY.input_bytes}"


if __name__ == "__main__":
    GOLDEN.write_text(emit(person(net(TINY))), encoding="ascii")
    print(f"wrote {GOLDEN}", file=sys.stderr)
