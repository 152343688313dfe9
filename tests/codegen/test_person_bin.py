"""person.bin: nothing is lost, and nothing that was cut, grown, damaged or made elsewhere comes through."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import missing
from hypothesis import given, settings
from hypothesis import strategies as st
from people import OTHER, TINY, net, person, same_person
from strategies import qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import ABI, architecture, check_sum, payload, weights_bytes
from hyper_mcu.codegen.passes import compiled
from hyper_mcu.codegen.person import NAME_LENGTH
from hyper_mcu.codegen.person_bin import HEAD, pack, parse, parse_bytes
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.run import run_model

WORDS = 'größer "quoted" \\ */'


@pytest.fixture(scope="module")
def blob():
    return pack(person(net(TINY)))


def refusal(data):
    with pytest.raises(UserError) as refused:
        parse_bytes(data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def signed(data):
    """The bytes under a check sum that fits them."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def with_word(data, offset, value):
    """Another 32-bit number at `offset`, signed."""
    return signed(data[:offset] + struct.pack("<I", value & 0xFFFFFFFF) + data[offset + 4 :])


def with_facts(data, **facts):
    """Other facts behind the weights, signed; sizes that fit."""
    weights = weights_bytes(TINY)
    said = json.loads(data[HEAD.size + weights : -4]) | facts
    text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    whole = data[: HEAD.size + weights] + text + bytes(4)
    return signed(whole[:8] + struct.pack("<3I", len(whole), 1, weights) + struct.pack("<I", len(text)) + whole[24:])


@pytest.mark.parametrize("spec", [TINY, OTHER, preset("nano"), preset("paper")], ids=lambda s: s.id)
def test_what_was_packed_is_read_back(spec):
    p = replace(person(net(spec)), rates_on=WORDS, fmr=1 / 3)
    assert same_person(parse_bytes(pack(p)), p)


@settings(max_examples=40, deadline=None)
@given(qnets())
def test_any_net_is_read_back(qnet):
    p = person(qnet)
    assert same_person(parse_bytes(pack(p)), p)


def test_a_person_goes_from_header_to_blob_and_back(tmp_path):
    header, blob = tmp_path / "model.h", tmp_path / "person.bin"
    header.write_text(emit(person(net(OTHER))))
    blob.write_bytes(pack(person_file(header)))
    assert emit(person_file(blob)) == header.read_text()


def test_bytes_are_where_the_specification_has_them():
    p = person(net(OTHER), threshold=-5)
    data, program = pack(p), compiled(p.qnet)
    weights = payload(program)
    assert data[:4] == b"HMpb"
    assert struct.unpack_from("<4I", data, 4) == (1, len(data), 1, len(weights))
    said = json.loads(data[128 + len(weights) : -4])
    assert struct.unpack_from("<I", data, 20)[0] == len(data) - 128 - len(weights) - 4
    fields = (ABI, architecture(OTHER), -5, p.known.seed, p.known.logit, check_sum(p, program))
    assert struct.unpack_from("<IIiIiI", data, 24) == fields
    assert data[48:80].hex() == OTHER.sha256
    assert data[80:128] == b"alice".ljust(48, b"\0")
    assert data[128 : 128 + len(weights)] == weights
    assert said["known"]["layers_sha256"] == p.known.layers_sha256
    assert struct.unpack("<I", data[-4:])[0] == zlib.crc32(data[:-4])


def test_a_device_needs_no_facts():
    p = person(net(preset("paper")))
    whole, bare = pack(p), pack(p, for_device=True)
    assert len(bare) == 128 + weights_bytes(preset("paper")) + 4 < 27_648
    assert bare[24:-4] == whole[24 : len(bare) - 4]
    assert refusal(bare) == (
        "person.bin: made for a device alone; "
        "expected the model.h or person.bin that it was made from, got no facts in it"
    )


def test_the_longest_name_has_room():
    p = person(net(TINY), name="n" * NAME_LENGTH)
    assert parse_bytes(pack(p)).name == "n" * NAME_LENGTH


def test_any_cut_is_refused(blob):
    assert refusal(b"") == "person.bin: not a person.bin; expected b'HMpb' at its beginning, got b''"
    assert refusal(blob[:100]) == "person.bin: cut short; expected at least 132 bytes, got 100"
    cut = f"person.bin: cut short or grown; expected {len(blob)} bytes, got "
    for n in range(132, len(blob), 37):
        assert refusal(blob[:n]) == cut + str(n)
    assert refusal(blob + b"\0") == cut + str(len(blob) + 1)


def test_any_flipped_bit_is_refused(blob):
    for bit in range(0, 8 * len(blob), 13):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        refusal(bytes(flipped))
    assert refusal(blob[:-5] + b"!" + blob[-4:]).startswith("person.bin: damaged; expected CRC-32 ")


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [
        (4, 2, "made by another version of hyper-mcu; enrol again to regenerate it; expected format 1, got format 2"),
        (12, 2, "layout of the weights; expected 1, got 2"),
        (16, 2**32 - 1, "sizes of its parts; expected "),
        (20, 2**32 - 1, "sizes of its parts; expected "),
        (24, 9, "made by another version of hyper-mcu; enrol again to regenerate it; expected ABI 3, got ABI 9"),
        (28, 7, "inconsistent; expected "),
        (32, -(2**31), "inconsistent; expected 00000000 at byte 32, as its person gives, got 00000080"),
        (36, 0, "inconsistent; expected 07000000 at byte 36, as its person gives, got 00000000"),
        (40, 0, "inconsistent; expected "),
        (44, 0, "inconsistent; expected "),
        (48, 0, "inconsistent; expected "),
        (80, 0x2A, "inconsistent; expected 616c6963 at byte 80, as its person gives, got 2a000000"),
        (96, 0x2A, "inconsistent; expected 00000000 at byte 96, as its person gives, got 2a000000"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_though_the_blob_is_signed(blob, offset, value, said):
    assert refusal(with_word(blob, offset, value)).startswith(f"person.bin: {said}")


def test_integers_out_of_range_are_refused_by_stage_and_rule(blob):
    bias, multiplier = HEAD.size, HEAD.size + 4 * 6
    shift = HEAD.size + 4 * (2 * 6 + 2 * 6 + 2 * 10) + 6 * 27
    where = "person.bin, qnet tiny@1 stage 0: "
    assert refusal(with_word(blob, bias, 2**30)).startswith(where + "|bias| + 256·Σ|w|; expected below 2^30, got ")
    assert refusal(with_word(blob, bias, 2**31 - 1)).startswith(where + "|bias| + 256·Σ|w|; expected below 2^30, got ")
    assert refusal(with_word(blob, multiplier, 2**30 - 1)) == (
        where + "multiplier; expected at least 2^30, got 1073741823"
    )
    assert refusal(with_word(blob, shift, 31)) == where + "shift; expected 0…30, got 31"
    weight = blob[: shift - 1] + b"\x80" + blob[shift:]
    assert refusal(signed(weight)) == where + "weight; expected -127…127, got -128"


def test_weights_of_another_architecture_are_refused(blob):
    other = json.loads(OTHER.to_json())
    said = f"person.bin, netspec other@1: bytes of weights; expected {weights_bytes(OTHER)}, got {weights_bytes(TINY)}"
    assert refusal(with_facts(blob, netspec=other)) == said


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"known": [1]}, "not a person.bin; expected facts as hyper-mcu writes them, got TypeError "),
        ({"out_scale": []}, "not a person.bin; expected facts as hyper-mcu writes them, got StopIteration "),
        ({"score": 10**400}, "not a person.bin; expected facts as hyper-mcu writes them, got OverflowError "),
        ({"more": 1}, "inconsistent; expected "),
        ({"threshold": 1}, "inconsistent; expected "),
        ({"qnet_sha256": "0" * 64}, "inconsistent; expected "),
    ],
)
def test_facts_of_another_kind_are_refused(blob, facts, said):
    assert refusal(with_facts(blob, **facts)).startswith(f"person.bin: {said}")


def test_facts_that_break_a_rule_are_refused_by_rule(blob):
    assert refusal(with_facts(blob, netspec=5)).startswith("person.bin, netspec: not a NetSpec; expected its canonical")
    assert refusal(with_facts(blob, threshold=0.5)) == (
        "person.bin, person alice: threshold; expected an int32 above INT32_MIN, got 0.5"
    )
    assert refusal(with_facts(blob, head_scale=1e300)) == (
        "person.bin, qnet tiny@1 head: weight scale; expected a positive float32, got inf"
    )


def test_facts_that_are_no_json_are_refused(blob):
    at = HEAD.size + weights_bytes(TINY)
    expected = "person.bin: not a person.bin; expected facts as hyper-mcu writes them, got "
    assert refusal(signed(blob[:at] + b"[" + blob[at + 1 :])).startswith(expected + "JSONDecodeError ")
    assert refusal(signed(blob[:at] + b"\xff" + blob[at + 1 :])).startswith(expected + "UnicodeDecodeError ")
    deep = b"[" * (len(blob) - at - 4)
    assert refusal(signed(blob[:at] + deep + blob[-4:])).startswith(expected)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError) as refused:
        parse(tmp_path / "person.bin")
    assert str(refused.value) == (
        f"{tmp_path}/person.bin: cannot be read; expected a person.bin of hyper-mcu, got no such file or directory"
    )


def read_or_refused(data):
    """Whether the bytes are a person's very own or refused by one UserError."""
    try:
        return pack(parse_bytes(data)) == data
    except UserError:
        return True


CHANGES = st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=1000, deadline=None)
@given(CHANGES, st.booleans(), st.data())
def test_changed_bytes_are_a_person_or_refused(blob, changes, sign, data):
    """Bytes put over, into and out of the blob, mostly near what is parsed; with and without a check sum that fits."""
    for at, new, gone in changes:
        where = at % data.draw(st.sampled_from((HEAD.size, len(blob))))
        blob = blob[:where] + new + blob[where + gone :]
    assert read_or_refused(signed(blob) if sign else blob)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_changed_facts_are_a_person_or_refused(blob, data):
    said = json.loads(blob[HEAD.size + weights_bytes(TINY) : -4])
    key = data.draw(st.sampled_from(sorted(said)))
    inside = isinstance(said[key], dict) and data.draw(st.booleans())
    value = {**said[key], data.draw(st.sampled_from(sorted(said[key]))): data.draw(JSON)} if inside else data.draw(JSON)
    assert read_or_refused(with_facts(blob, **{key: value}))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("net.tflite", b"\x1c\0\0\0TFL3", "a TFLite model"),
        ("net.bin", b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite model"),
        ("net.onnx", b"\x08\x09\x12\x07pytorch", "an ONNX graph"),
        ("net.h", b"\x08\x09\x12\x07pytorch", "an ONNX graph"),
    ],
)
def test_networks_of_other_tools_are_refused_by_name(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        person_file(tmp_path / name)
    assert str(refused.value) == (
        f"{tmp_path}/{name}: no person; importing networks of other tools is out of scope; "
        f"expected a model.h or person.bin of hyper-mcu enroll, got {what}"
    )


@pytest.mark.parametrize("name", ["host", "m4"])
def test_the_build_with_taps_takes_the_person_of_the_blob(name):
    if reason := missing(name, *[("auto", name)] * (name != "host")):
        pytest.skip(reason)
    p, other = person(net(TINY)), person(net(TINY, 2))
    image = oracle.known_image(TINY, 3).tobytes()

    def verify(blob: bytes) -> str:
        (run,), _ = run_model(Path("alice.h"), image, name, text=emit(p), blob=blob)
        return run.layers_sha256

    assert verify(pack(p, for_device=True)) == verify(b"")
    damaged = bytearray(pack(p, for_device=True))
    damaged[200] ^= 1
    with pytest.raises(UserError, match="hm_person_from_blob refused the person"):
        verify(bytes(damaged))
    with pytest.raises(UserError, match="taps change the verdict"):
        verify(pack(other, for_device=True))
