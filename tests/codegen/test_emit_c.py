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

from hyper_mcu.codegen import oracle, person_bin
from hyper_mcu.codegen.emit_c import emit, emit_engine
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


def test_the_engine_alone_is_the_same_for_all_people_of_an_architecture():
    alice, bob = person(net(TINY)), replace(person(net(TINY, seed=9)), name="somebody_else")
    assert emit_engine(alice) == emit_engine(bob) != emit_engine(person(net(OTHER)))


@needs_host
def test_the_engine_alone_judges_a_person_who_is_data(tmp_path):
    p = person(net(TINY))
    blob, logit = person_bin.pack(p, for_device=True), oracle.run(p.qnet, image(p)).logit
    main = (
        IMPLEMENTATION
        + '#include "hm_engine.h"\n#include <stdio.h>\n'
        + "static _Alignas(4) const uint8_t blob[] = {" + ", ".join(map(str, blob)) + "};\n"
        + "static const uint8_t rgb[] = {" + ", ".join(map(str, image(p).ravel())) + "};\n"
        + "int main(void) { static hm_session s; hm_person p; hm_verdict v;\n"
        + "if (hm_person_from_blob(blob, sizeof blob, &p) != HM_OK) { return 1; }\n"
        + "if (hm_verify(&s, &p, rgb, &v) != HM_OK) { return 2; }\n"
        + 'printf("%ld", (long)v.logit); return 0; }\n'
    )  # fmt: skip
    assert run(compile_c(tmp_path, {"hm_engine.h": emit_engine(p), "main.c": main}, *C11)) == str(logit).encode()


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
