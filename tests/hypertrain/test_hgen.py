"""h_gen: what its nets start as, and what each part of its shape does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

import torch
from generators import POINTWISE, VARIANTS, parameters_of, trained_like, unit

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Head
from hyper_mcu.codegen.presets import preset
from hyper_mcu.hypertrain import net
from hyper_mcu.hypertrain.hgen import HGen, Reader, Shape
from hyper_mcu.hypertrain.net import split

RESIDUAL, PLAIN = ([s for s in VARIANTS if s.residual == form] for form in (True, False))


@pytest.mark.parametrize("shape", RESIDUAL, ids=str)
def test_residual_form_starts_as_the_trunk(shape: Shape) -> None:
    hgen = HGen(POINTWISE, shape)
    with torch.no_grad():
        hgen.theta0.copy_(net.he_init(POINTWISE, torch.Generator().manual_seed(3)))
        raw = hgen.raw(unit(4, shape.dimension))
    assert torch.equal(raw, hgen.theta0.detach().expand(4, -1))


@pytest.mark.parametrize("shape", [Shape(64, 96, -1), Shape(64, 96, 64), Shape(64, 96, -1, refine=3)], ids=str)
def test_plain_form_starts_with_the_variance_of_he(shape: Shape) -> None:
    torch.manual_seed(0)
    spec = preset("paper")
    with torch.no_grad():
        named = split(spec, HGen(spec, replace(shape, residual=False)).raw(unit(64, 64)))
    for t in spec.tensors:
        fan_in = t.size // t.shape[0] if len(t.shape) == 4 else t.size
        want = 0.0 if t.name.endswith("bias") else 2 / fan_in
        assert float(named[t.name].square().mean()) == pytest.approx(want, rel=0.35), t.name


@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_nets_differ_from_the_first_personal_stage_on(shape: Shape) -> None:
    hgen = trained_like(POINTWISE, shape)
    with torch.no_grad():
        one, other = hgen.raw(unit(2, shape.dimension))
    for i, t in enumerate(POINTWISE.tensors):
        part = slice(t.offset, t.offset + t.size)
        assert bool((one[part] != other[part]).any()) == (i // 2 >= shape.first), t.name
        if i // 2 < shape.first:
            assert torch.equal(one[part], hgen.theta0[part].detach())


@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_every_parameter_learns_and_is_counted(shape: Shape) -> None:
    hgen = trained_like(POINTWISE, shape)
    toward = torch.randn(3, POINTWISE.params, generator=torch.Generator().manual_seed(0))
    (hgen(unit(3, shape.dimension)) * toward).sum().backward()
    idle = [k for k, p in hgen.named_parameters() if p.numel() and not (p.grad is not None and p.grad.any())]
    assert idle == []
    assert parameters_of(POINTWISE, shape) == sum(p.numel() for p in hgen.parameters())


def test_size_of_the_papers_generator() -> None:
    """118.6 M parameters of enrolment less the 65.2 M of AdaFace's backbone."""
    paper = Shape(512, 1936, -1, residual=False)
    assert parameters_of(preset("paper"), paper) == pytest.approx(118.6e6 - 65.2e6, rel=1e-3)


def test_head_starts_linear_in_the_embedding_alone() -> None:
    shape = Shape(16 + 10, 24, 3, layers=(10,))
    hgen, e = HGen(POINTWISE, shape), unit(3, 26)
    with torch.no_grad():
        hgen.linear.copy_(torch.randn(POINTWISE.head_size, 16, generator=torch.Generator().manual_seed(0)))
        head = split(POINTWISE, hgen.raw(e))["head.weight"]
    assert torch.allclose(head, e[:, :16] @ hgen.linear.T)


def test_strength_of_further_layers_does_not_count_but_what_they_say_does() -> None:
    hgen, e = trained_like(POINTWISE, Shape(16 + 10, 24, 3, layers=(10,))), unit(2, 26)
    e[:, 16:] *= 30
    louder, other = e.clone(), e.clone()
    louder[:, 16:] *= 100
    other[:, 16:] = other[:, 16:].flip(1)
    with torch.no_grad():
        assert torch.allclose(hgen.raw(e), hgen.raw(louder), atol=1e-5)
        assert not torch.allclose(hgen.raw(e), hgen.raw(other), atol=1e-3)


def test_further_layers_start_as_unit_vectors_beside_the_embedding() -> None:
    reader, e = Reader(Shape(16 + 10 + 40, 24, 3, layers=(10, 40))), unit(3, 66)
    with torch.no_grad():
        read = reader(e)
    assert torch.equal(read[:, :16], e[:, :16])
    assert all(torch.allclose(part.norm(dim=1), torch.ones(3), atol=0.02) for part in (read[:, 16:26], read[:, 26:]))


def test_tokens_start_as_the_first_one_and_all_count_once_trained() -> None:
    shape = Shape(5 * 16, 24, 3, tokens=5)
    hgen, e = trained_like(POINTWISE, shape), unit(3, 80)
    alone = HGen(POINTWISE, Shape(16, 24, 3))
    alone.load_state_dict({k: v for k, v in hgen.state_dict().items() if not k.startswith("reader")})
    for k in range(5):
        moved = e.clone()
        moved[:, 16 * k : 16 * (k + 1)] = unit(3, 16, seed=9)
        with torch.no_grad():
            assert not torch.allclose(hgen.raw(e), hgen.raw(moved), atol=1e-5), k
    with torch.no_grad():
        for p in hgen.reader.convs[-1].parameters():
            p.zero_()
        assert torch.equal(hgen.raw(e), alone.raw(e[:, :16]))


def test_a_refining_step_answers_to_what_was_written_before_it() -> None:
    """A shift of what the first step writes reaches a tensor of which the second step alone knows."""
    hgen, e = trained_like(POINTWISE, Shape(16, 24, 3, refine=2)), unit(3, 16)
    with torch.no_grad():
        before = split(POINTWISE, hgen.raw(e))
        hgen.shift["0"].bias.add_(1.0)
        after = split(POINTWISE, hgen.raw(e))
        assert not torch.allclose(before["head.weight"], after["head.weight"], atol=1e-4)
        hgen.note.weight.zero_()
        deaf = split(POINTWISE, hgen.raw(e))
        hgen.shift["0"].bias.sub_(1.0)
        assert torch.equal(deaf["head.weight"], split(POINTWISE, hgen.raw(e))["head.weight"])


def test_bias_of_a_dot_head_is_personal() -> None:
    spec = replace(POINTWISE, head=Head("dot"))
    for shape in (Shape(16, 24, 0), Shape(16, 24, -1, residual=False)):
        with torch.no_grad():
            bias = split(spec, trained_like(spec, shape).raw(unit(2, 16)))["head.bias"]
        assert bias[0] != bias[1]


NO_LAYERS = "hgen.layers: sizes of further layers; expected positive sizes that leave room for the embedding in 512, "


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            {"rank": 0, "residual": False},
            "hgen.rank: changes of channels alone need θ0; expected -1, 1 or more without residual, got 0",
        ),
        ({"depth": 0}, "hgen.depth: out of range; expected at least 1, got 0"),
        ({"refine": 0}, "hgen.refine: out of range; expected at least 1, got 0"),
        ({"tokens": 5}, "hgen.tokens: tokens of one size; expected a divisor of 512, got 5"),
        ({"layers": (512,)}, NO_LAYERS + "and no tokens, got (512,)"),
        ({"layers": (8,), "tokens": 2}, NO_LAYERS + "and no tokens, got (8,)"),
    ],
)
def test_shapes_that_are_none(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as e:
        Shape(**wrong)
    assert str(e.value) == text
