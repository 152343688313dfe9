"""The name of a person, from the name of the photo."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyper_mcu.codegen.person import NAME_LENGTH, TAKEN, check_name
from hyper_mcu.enroll import c_name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("Anna Maria", "anna_maria"),
        ("Jürgen Groß-2", "jurgen_gross_2"),
        ("İbrahim", "ibrahim"),
        ("Nguyễn", "nguyen"),
        ("李", "u674e"),
        ("張偉", "u5f35_u5049"),
        ("anna張2", "anna_u5f35_2"),
        ("김", "uae40"),
        ("कि", "u0915_u093f"),
        ("が", "u304c"),
        ("Юра", "u044e_u0440_u0430"),
        ("😀", "u1f600"),
        ("\udcff", "udcff"),
        ("007", "p_007"),
        ("from_blob", "p_from_blob"),
        ("--", "owner"),
        ("n" * 47, "n" * 47),
    ],
)
def test_name_of_a_photo(stem: str, name: str) -> None:
    assert c_name(stem) == name
    assert c_name(unicodedata.normalize("NFD", stem)) == name  # as macOS stores it


@given(st.text())
def test_every_photo_gives_a_name_that_a_header_can_have(stem: str) -> None:
    name = c_name(stem)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert len(name) <= NAME_LENGTH
    assert name not in TAKEN
    check_name("photo", name)


@given(*[st.text(st.characters(min_codepoint=0x3041, max_codepoint=0x9FFF, categories=["Lo"]), min_size=1)] * 2)
def test_other_writing_gives_other_names(a: str, b: str) -> None:
    assert (c_name(a) == c_name(b)) is (a == b)


def test_long_names_differ_where_their_ends_do() -> None:
    a, b = (c_name("n" * 60 + end) for end in "ab")
    assert len(a) == len(b) == NAME_LENGTH
    assert a != b
