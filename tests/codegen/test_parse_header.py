"""Reading model.h back: nothing is lost, and nothing that was changed, cut or made elsewhere comes through."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from people import OTHER, TINY, net, person, same_person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import person_bytes, session_bytes
from hyper_mcu.codegen.parse_header import parse, parse_text
from hyper_mcu.codegen.presets import preset


@pytest.fixture(scope="module")
def text():
    return emit(person(net(TINY)))


def refusal(text):
    with pytest.raises(UserError) as refused:
        parse_text(text, "model.h")
    return str(refused.value)


def resigned(text):
    """The text under a first line that fits it again."""
    first, _, body = text.partition("\n")
    return first.replace(first.split()[-2], hashlib.sha256(body.encode()).hexdigest()) + "\n" + body


@pytest.mark.parametrize("spec", [TINY, OTHER, preset("nano")], ids=lambda s: s.id)
def test_what_was_emitted_is_read_back(spec):
    p = person(net(spec))
    header = parse_text(emit(p, "two"))
    assert same_person(header.person, p)
    assert header.prefix == "two"
    assert (header.person_bytes, header.session_bytes) == (person_bytes(p), session_bytes(spec))


def test_words_with_marks_and_letters_are_read_back_as_they_were():
    p = replace(person(net(TINY)), rates_on='*/ ??/ "quoted" /* \\ größer', fmr=1 / 3)
    assert same_person(parse_text(emit(p)).person, p)


def test_a_known_answer_that_no_image_can_have_is_read_back():
    """INT32_MIN, the logit of an image that CosDot cannot judge, has no literal in C."""
    p = person(net(TINY))
    p = replace(p, known=replace(p.known, logit=-(2**31)))
    assert same_person(parse_text(emit(p)).person, p)


def test_a_file_with_windows_line_ends_is_the_same_file(text, tmp_path):
    (tmp_path / "model.h").write_bytes(text.replace("\n", "\r\n").encode())
    assert parse(tmp_path / "model.h").sha256 == parse_text(text).sha256


def test_a_changed_weight_is_refused(text):
    changed = text.replace("/* head */\n    {", "/* head */\n    {1", 1)
    body = changed.partition("\n")[2]
    expected = text.split()[text.split().index("line:") + 1]
    got = hashlib.sha256(body.encode()).hexdigest()
    assert refusal(changed) == f"model.h: corrupted, cut or edited; expected SHA-256 {expected}, got {got}"


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_file_cut_short_is_refused(text, keep):
    assert refusal(text[: int(len(text) * keep)]).startswith("model.h: corrupted, cut or edited; expected SHA-256 ")


@pytest.mark.parametrize("position", range(200, 12_000, 1_100))
def test_any_changed_character_is_refused(text, position):
    other = "x" if text[position] != "x" else "y"
    assert refusal(text[:position] + other + text[position + 1 :]).startswith("model.h: corrupted, cut or edited; ")


def test_a_foreign_file_is_refused():
    expected = "model.h: not a hyper-mcu header; expected a first line /* hyper-mcu model.h, ABI 3. …, got "
    assert refusal("#include <stdio.h>\n") == expected + "'#include <stdio.h>'"
    assert refusal("") == expected + "an empty line"


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "face.jpg").write_bytes(bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 10, 13]) * 9)
    with pytest.raises(UserError, match=r"face\.jpg: not a hyper-mcu header; expected a first line"):
        parse(tmp_path / "face.jpg")


def test_a_file_without_end_is_refused():
    with pytest.raises(UserError) as refused:
        parse("/dev/zero")
    assert str(refused.value) == "/dev/zero: too large; expected a model.h of hyper-mcu, at most 64 MiB, got more"


def test_another_abi_asks_for_a_new_enrolment(text):
    assert refusal(text.replace("ABI 3.", "ABI 7.", 1)) == (
        "model.h: made by another version of hyper-mcu; enrol again to regenerate it; expected ABI 3, got ABI 7"
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError) as refused:
        parse(tmp_path / "model.h")
    assert str(refused.value) == (
        f"{tmp_path}/model.h: cannot be read; expected a model.h of hyper-mcu, got no such file or directory"
    )


def test_a_text_that_is_signed_but_no_model_is_refused(text):
    hollow = text.replace('"netspec": {', '"netspek": {', 1)
    assert refusal(resigned(hollow)) == (
        "model.h: not a hyper-mcu header; expected arrays and facts as written by emit_c, got KeyError 'netspec'"
    )
    moved = text.replace('"threshold": 0', '"threshold": 1', 1)
    assert refusal(resigned(moved)).startswith("model.h: inconsistent; expected check sum 0x")


def test_c_of_another_hand_is_refused_though_the_file_is_signed(text):
    """What comes through is compiled and run: it may hold no C but what emit_c writes."""
    again = "model.h: not what this version of hyper-mcu writes for its person; enrol again to regenerate it; expected "
    evil = text.replace("/* ==== Implementation", "static void evil(void);\n/* ==== Implementation", 1)
    number = evil[: evil.index("static void evil")].count("\n") + 1
    line = "/* ==== Implementation " + "=" * 37
    assert refusal(resigned(evil)) == again + f"line {number} '{line}'…, got 'static void evil(void);'"
    lower = text.replace("    0, /* threshold */", "    -9, /* threshold */", 1)
    assert refusal(resigned(lower)).endswith("'    0, /* threshold */', got '    -9, /* threshold */'")
    assert refusal(resigned(text + "int x;\n")) == again + f"line {text.count(chr(10)) + 1} '', got 'int x;'"
    said = refusal(text.replace("ABI 3.", "ABI 03.", 1))
    assert said.startswith(again + "line 1 …'")
    assert "model.h, ABI 3. SHA-256" in said
    assert "model.h, ABI 03. SHA-256" in said


def with_facts(text, **facts):
    """The text with facts of its JSON replaced, signed again."""
    at = text.rindex('\n{"abi"') + 1
    return resigned(text[:at] + json.dumps({**json.loads(text[at : text.rindex("*/")]), **facts}) + "\n*/\n")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"name": 5}, "AttributeError 'int' object has no attribute 'isidentifier'"),
        ({"known": [1]}, "TypeError "),
        ({"out_scale": []}, "StopIteration "),
        ({"prefix": 3}, "TypeError "),
        ({"score": 10**400}, "OverflowError "),
    ],
)
def test_facts_of_another_kind_are_refused(text, facts, said):
    expected = "model.h: not a hyper-mcu header; expected arrays and facts as written by emit_c, got "
    assert refusal(with_facts(text, **facts)).startswith(expected + said)


def test_facts_that_break_a_rule_are_refused_by_file_and_rule(text):
    assert refusal(with_facts(text, threshold=0.5)) == (
        "model.h, person alice: threshold; expected an int32 above INT32_MIN, got 0.5"
    )
    assert refusal(with_facts(text, head_scale=1e300)) == (
        "model.h, qnet tiny@1 head: weight scale; expected a positive float32, got inf"
    )
    assert refusal(with_facts(text, rates_on="\x1b[2J")) == (
        r"model.h, person alice: rates_on; expected printable text on one line, got '\x1b[2J'"
    )


def test_numbers_and_depths_without_end_are_refused(text):
    numbers = text.replace("/* bias0 */\n    {", "/* bias0 */\n    {" + "9" * 30 + ", ", 1)
    deep = text.replace('"score": 0.25', '"score": ' + "[" * 100_000 + "]" * 100_000, 1)
    expected = "model.h: not a hyper-mcu header; expected arrays and facts as written by emit_c, got "
    assert refusal(resigned(numbers)).startswith(expected + "OverflowError ")
    assert refusal(resigned(deep)).startswith(expected + "RecursionError ")
    assert refusal(text.replace("ABI 3.", f"ABI {'9' * 5000}.", 1)).startswith("model.h: not a hyper-mcu header; ")


def test_a_byte_that_is_no_ascii_is_not_taken_for_its_escape(text, tmp_path):
    spelt = resigned(text.replace("face", r"f\xffce", 1)).encode()
    (tmp_path / "model.h").write_bytes(spelt.replace(rb"\xff", b"\xff"))
    with pytest.raises(UserError, match=r"model\.h: corrupted, cut or edited"):
        parse(tmp_path / "model.h")
