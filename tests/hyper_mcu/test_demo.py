"""The README's first command: one photo to a verdict on two others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_model import missing

from hyper_mcu.codegen.parse_header import parse


@pytest.mark.parametrize(("words", "needs"), [((), ("m4", "unicorn")), (("--target", "host"), ("host",))])
def test_demo_knows_the_man_among_sixteen_and_refuses_the_stranger(
    command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    needs: tuple[str, ...],
) -> None:
    if why := missing(*needs):
        pytest.skip(why)
    assert command("demo", "--out", tmp_path / "out", *words) == 0
    said = capsys.readouterr().out.splitlines()
    verdicts = [line for line in said if re.search(r": (MATCH|no match) for ", line)]
    assert [re.sub(r", face .*(?=: )", ", face", line) for line in verdicts] == [
        "players.jpg, face: MATCH for yaoming",
        "astronaut.jpg: no match for yaoming",
    ]
    assert re.search(r", face \d+ of 16, at \d+,\d+–\d+,\d+: ", verdicts[0])
    assert said[said.index(verdicts[0]) + 2] == (
        "  the best of 16 faces; FMR is of one: for 16 strangers about 1.58 % "
        "(1 − (1 − FMR)^16, an upper estimate for independent faces)"
    )
    hashes = [m[1] for line in said if (m := re.fullmatch(r"  layers ([0-9a-f]{64}), the same on the oracle", line))]
    assert len(set(hashes)) == 2
    person = parse(tmp_path / "out" / "model.h").person
    assert (person.name, person.qnet.spec.id) == ("yaoming", "paper@1")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["model.h"]
