"""Which architectures are legal, what the others are told, and what an architecture costs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from strategies import net_specs

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle, cosdot_bits, from_json, same_padding
from hyper_mcu.codegen.presets import MACS, PARAMS, PERSON_BYTES, PRESETS, cost, preset, same

DOT, COSDOT = Head("dot"), Head("cosdot")
FIRST = same(3, 3, 8, stride=2)
VALID = Conv(7, 1, "valid", 8, 8)


def net(*layers, head=DOT, **sizes):
    return NetSpec("t", layers, head, **{"height": 16, "width": 16, **sizes})


NORMS = "none, weight-standardised, train-statistics, instance, pixel-channel"
EARLY = ": linear Conv; expected only as the last stage, got an earlier one"
BEHIND = " layer 1: layer behind Shuffle; expected a grouped Conv, got "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: net(FIRST, height=0), ": empty input; expected positive sizes, got (0, 16, 3)"),
        (lambda: net(FIRST, height=2.0), ": height; expected a whole number, got 2.0"),
        (lambda: net(FIRST, height=4096, width=4096), ": input bytes; expected at most 16777216, got 50331648"),
        (lambda: net(FIRST, norm="batch"), f": norm; expected {NORMS}, got batch"),
        (lambda: net(), ": first layer; expected a Conv, got nothing"),
        (lambda: net(Shuffle(3)), ": first layer; expected a Conv, got Shuffle"),
        (lambda: net(Conv(4, 1, "same", 3, 8)), " layer 0: kernel size; expected 1, 3, 5 or 7, got 4"),
        (lambda: net(Conv(3.0, 1, "same", 3, 8)), " layer 0: k; expected a whole number, got 3.0"),
        (lambda: net(Conv(True, 1, "same", 3, 8)), " layer 0: k; expected a whole number, got True"),
        (lambda: net(Conv(3, 3, "same", 3, 8)), " layer 0: stride; expected 1 or 2, got 3"),
        (lambda: net(Conv(3, 1, "full", 3, 8)), " layer 0: padding; expected same or valid, got full"),
        (lambda: net(FIRST, same(1, 4, 8)), " layer 1: input channels; expected 8, got 4"),
        (lambda: net(Conv(3, 1, "same", 3, 0)), " layer 0: channels and groups; expected positive, got (0, 1)"),
        (lambda: net(Conv(3, 1, "same", 3, 8, 0)), " layer 0: channels and groups; expected positive, got (8, 0)"),
        (lambda: net(FIRST, same(3, 8, 12, 8)), " layer 1: groups; expected a divisor of 8 and 12, got 8"),
        (lambda: net(same(7, 3, 700), same(7, 700, 8)), " layer 1: products a sum; expected at most 32768, got 34300"),
        (lambda: net(FIRST, VALID, VALID), " layer 2: map for a valid convolution; expected at least 7, got 2"),
        (lambda: net(same(1, 3, 70_000)), " layer 0: bytes of the map; expected at most 16777216, got 17920000"),
        (lambda: net(same(1, 3, 8, relu=0)), " layer 0: relu; expected true or false, got 0"),
        (lambda: net(same(1, 3, 8, relu=False), same(1, 8, 8)), " layer 0" + EARLY),
        (lambda: net(FIRST, same(1, 8, 8), same(1, 8, 8, relu=False), Add(1)), " layer 2" + EARLY),
        (
            lambda: net(FIRST, Shuffle(8), same(1, 8, 8, 2)),
            " layer 1: Shuffle groups; expected a proper divisor of 8, got 8",
        ),
        (
            lambda: net(FIRST, Shuffle(3), same(1, 8, 8, 2)),
            " layer 1: Shuffle groups; expected a proper divisor of 8, got 3",
        ),
        (lambda: net(FIRST, Shuffle(2), same(1, 8, 8)), BEHIND + "a dense Conv"),
        (lambda: net(FIRST, Shuffle(2)), BEHIND + "nothing"),
        (lambda: net(FIRST, Shuffle(2), Shuffle(2), same(1, 8, 8, 2)), BEHIND + "Shuffle"),
        (lambda: net(FIRST, Add(0)), " layer 1: Add; expected two stages before it, got 1"),
        (lambda: net(FIRST, same(1, 8, 8), Add(1)), " layer 2: Add of; expected a stage of 0…0, got 1"),
        (lambda: net(FIRST, same(1, 8, 8), Add(-1)), " layer 2: Add of; expected a stage of 0…0, got -1"),
        (
            lambda: net(FIRST, same(1, 8, 4), Add(0)),
            " layer 2: Add of another shape; expected (8, 8, 4), got (8, 8, 8)",
        ),
        (
            lambda: NetSpec("t", (FIRST,), DOT, 4096, 1),
            ": rows of the image and all maps; expected at most 4096, got 6144",
        ),
        (lambda: net(FIRST, *[same(1, 8, 8)] * 256), ": layers; expected at most 256, got 257"),
        (lambda: net(FIRST, head=Head("softmax")), ": head; expected dot or cosdot, got softmax"),
        (lambda: net(FIRST, head=Head("dot", 1)), ": pool; expected true or false, got 1"),
        (lambda: net(same(1, 3, 260)), ": head sum; expected below 2^31, got 2155545600"),
        (lambda: net(same(1, 3, 5), head=COSDOT), ": CosDot elements; expected at most 1024, got 1280"),
        (
            lambda: net(same(1, 3, 64), head=Head("cosdot", True)),
            f": CosDot numerator; expected below 2^63, got {(127 * 255 * 256 * 64) ** 2 * 512}",
        ),
    ],
)
def test_illegal_net_is_refused(make, message):
    with pytest.raises(UserError) as e:
        make()
    assert str(e.value) == "netspec t" + message


def test_net_without_a_name_is_refused():
    with pytest.raises(UserError) as e:
        NetSpec("", (FIRST,), DOT)
    assert str(e.value) == "netspec: id; expected a name, got ''"


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("{", "JSONDecodeError Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "TypeError pop expected at most 1 argument, got 0"),
        ("{}", "KeyError 'layers'"),
        ('{"layers": [{"type": "Pool"}]}', "KeyError 'Pool'"),
        ('{"layers": [1]}', "AttributeError 'int' object has no attribute 'pop'"),
        ('{"layers": [], "head": {"kind": "dot"}}', None),
        ("[" * 100_000, None),
    ],
)
def test_foreign_json_is_refused(text, got):
    with pytest.raises(UserError) as e:
        from_json(text)
    start = "netspec: not a NetSpec; expected its canonical JSON, got "
    assert str(e.value).startswith(start)
    if got and text != "[]":  # the wording of list.pop is Python's affair
        assert str(e.value) == start + got


def test_json_with_numbers_of_another_type_is_refused():
    text = preset("nano").to_json().replace('"k":3', '"k":3.0', 1)
    with pytest.raises(UserError) as e:
        from_json(text)
    assert str(e.value) == "netspec nano@1 layer 0: k; expected a whole number, got 3.0"


@given(net_specs())
def test_json_gives_the_same_net_back(spec):
    assert from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["layers"][0]["type"] == "Conv"


def test_hash_is_of_the_architecture_and_not_of_its_name():
    nano = preset("nano")
    assert replace(nano, id="other").sha256 == nano.sha256
    others = [replace(nano, height=64), replace(nano, norm="none"), replace(nano, layers=nano.layers[:-1])]
    assert len({nano.sha256, *(o.sha256 for o in others)}) == 4


@pytest.mark.parametrize(
    ("size", "k", "stride", "expected"),
    [(112, 3, 2, (56, 0)), (7, 3, 2, (4, 1)), (14, 3, 1, (14, 1)), (8, 5, 2, (4, 1)), (8, 7, 2, (4, 2)),
     (1, 7, 2, (1, 3)), (5, 1, 2, (3, 0)), (6, 1, 2, (3, 0))],
)  # fmt: skip
def test_same_padding_is_tflites(size, k, stride, expected):
    assert same_padding(size, k, stride) == expected


@given(net_specs())
def test_stages_follow_one_another(spec):
    shape = (spec.height, spec.width, 3)
    for s in spec.stages:
        assert s.in_shape == shape
        shape = s.out_shape
    assert spec.map_shape == shape


def test_shuffle_belongs_to_the_stage_before_it():
    spec = net(FIRST, Shuffle(2), same(3, 8, 8, 2), Add(0), Shuffle(4), same(1, 8, 4, 4))
    assert [(s.index, type(s.layer).__name__, s.shuffle) for s in spec.stages] == [
        (0, "Conv", 2), (1, "Conv", 1), (2, "Add", 4), (3, "Conv", 1)
    ]  # fmt: skip


def test_theta_is_laid_out_tensor_by_tensor():
    spec = net(FIRST, same(3, 8, 4, 2), head=Head("dot", True))
    assert [(t.name, t.shape, t.offset) for t in spec.tensors] == [
        ("stage0.weight", (8, 3, 3, 3), 0),
        ("stage0.bias", (8,), 216),
        ("stage1.weight", (4, 3, 3, 4), 224),
        ("stage1.bias", (4,), 368),
        ("head.weight", (4,), 372),
        ("head.bias", (1,), 376),
    ]
    assert spec.params == 377
    assert spec.macs == 8 * 8 * 8 * 27 + 8 * 8 * 4 * 36 + 4


def test_largest_u_of_the_head():
    relu, linear = same(1, 3, 2), same(1, 3, 2, relu=False)
    peaks = [net(c, head=Head("dot", pool)).head_peak for c in (relu, linear) for pool in (False, True)]
    assert peaks == [255, 255 * 256, 128, 128 * 256]


def test_fraction_bits_of_cosdot():
    assert [cosdot_bits(n) for n in (1, 128, 129, 1024)] == [9, 9, 6, 6]


def test_paper_keeps_its_budgets():
    c = cost(preset("paper"))
    assert c.params <= PARAMS == 23_500
    assert c.macs <= MACS == 5_400_000
    assert c.person_bytes <= PERSON_BYTES == 27_648
    assert (preset("paper").input_bytes, preset("paper").stages[-1].out_shape[:2]) == (112 * 112 * 3, (7, 7))


def test_large_is_papers_larger_f_and_no_narrower_than_paper():
    """0.037 M parameters and 5.7 M multiply-accumulates (table II)."""
    c, large, paper = cost(preset("large")), preset("large"), preset("paper")
    assert (round(c.params / 1e6, 3), round(c.macs / 1e6, 1)) == (0.037, 5.7)
    shapes = [s.out_shape for s in paper.stages]
    assert [s.out_shape[:2] for s in large.stages] == [s[:2] for s in shapes]
    assert all(s.out_shape[2] >= t[2] for s, t in zip(large.stages, shapes, strict=True))
    assert (large.head, large.norm) == (paper.head, paper.norm)


def test_cost_of_the_reference_list():
    """A net much like paper@1: 20,016 weights, 592 channels, 5.19 M multiply-accumulates."""
    c14 = (same(3, 64, 64, 16), same(1, 64, 64, 2))
    layers = (
        same(3, 3, 16, stride=2),
        same(3, 16, 32, 4, 2),
        same(1, 32, 32),
        same(3, 32, 64, 8, 2),
        same(1, 64, 64, 2),
    )
    end = (same(3, 64, 64, 16, 2), same(1, 64, 64, 2), *c14)
    spec = NetSpec("reference", (*layers, *c14, *end), Head("cosdot", True))
    c = cost(spec)
    assert (c.params, round(c.macs / 1e6, 2)) == (20_016 + 592 + 64, 5.19)
    assert c.person_bytes == 20_016 + 64 + 9 * 592 + 256
    block = (*c14[:1], *c14[:1], Add(6))
    with_add = NetSpec("residual", (*layers, *c14, *block, *end), Head("cosdot", True))
    assert c.ram_bytes <= 14 * 1024 < cost(with_add).ram_bytes <= 16_896


def test_preset_without_version_is_the_newest():
    assert preset("paper") is preset("paper@1") is PRESETS["paper@1"]


def test_unknown_preset_is_refused():
    with pytest.raises(UserError) as e:
        preset("giant")
    assert str(e.value) == "netspec: no preset giant; expected paper@1 or large@1 or nano@1, got giant"
