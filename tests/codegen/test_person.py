"""What a Person promises, and what is told to whoever breaks it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person import TAKEN

ALICE = person(net(TINY))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "2alice"}, "person: name; expected a C identifier of letters, digits and _, got '2alice'"),
        ({"name": "zoë"}, "person: name; expected a C identifier of letters, digits and _, got 'zoë'"),
        ({"name": "n" * 48}, "person: name; expected at most 47 characters, got 48"),
        ({"name": "hold"}, "person: name; expected another one, as model.h has a function of this name, got hold"),
        ({"threshold": -(2**31)}, "person alice: threshold; expected an int32 above INT32_MIN, got -2147483648"),
        ({"threshold": 2**31}, "person alice: threshold; expected an int32 above INT32_MIN, got 2147483648"),
        ({"threshold": 0.0}, "person alice: threshold; expected an int32 above INT32_MIN, got 0.0"),
        ({"threshold": True}, "person alice: threshold; expected an int32 above INT32_MIN, got True"),
        ({"rates_on": "a\nb"}, "person alice: rates_on; expected printable text on one line, got 'a\\nb'"),
        ({"fmr": 1.5}, "person alice: fmr; expected a rate of 0…1, got 1.5"),
        ({"fnmr": float("nan")}, "person alice: fnmr; expected a rate of 0…1, got nan"),
        ({"score": float("inf")}, "person alice: score; expected a finite number, got inf"),
    ],
)
def test_person_that_breaks_its_promise_is_refused(change, message):
    with pytest.raises(UserError) as e:
        replace(ALICE, **change)
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 0}, "known answer: seed; expected 1…2^32−1, got 0"),
        ({"seed": 7.0}, "known answer: seed; expected 1…2^32−1, got 7.0"),
        ({"logit": 2**31}, "known answer: logit; expected an int32, got 2147483648"),
        ({"layers_sha256": "ab"}, "known answer: layers_sha256; expected 64 hexadecimal digits, got 'ab'"),
    ],
)
def test_known_answer_that_cannot_be_is_refused(change, message):
    with pytest.raises(UserError) as e:
        replace(ALICE.known, **change)
    assert str(e.value) == message


def test_provenance_that_does_not_print_is_refused():
    with pytest.raises(UserError) as e:
        replace(ALICE.provenance, generator="\x1b[2J")
    assert str(e.value) == r"provenance: generator; expected printable text on one line, got '\x1b[2J'"


def test_names_that_model_h_has_itself_are_all_known():
    made = re.findall(r"\bhm_(?:person|weights)_(\w+)", emit(ALICE))
    assert set(made) == {"alice", *TAKEN}
