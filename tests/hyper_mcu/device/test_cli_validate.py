"""`hyper-mcu validate` as a user meets it: every layer of a real device, as a process and on QEMU."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from devices import ALICE, PRODUCT, Board, Told, client, compiled, needs_compiler, on
from enrolled import Command, Refused
from people import TINY, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels.kernel import describe
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.progress import silent
from hyper_mcu.device.client import first_difference, layer_crcs
from hyper_mcu.device.process import SELFTEST, Process
from hyper_mcu.device.validation import guest

pytestmark = needs_compiler

DEFINES = (SELFTEST,)  # of the device that conftest.py compiles


def test_a_person_on_the_device_is_compared_layer_by_layer(
    process: Process, at: tuple[object, ...], files: Path, told: Told
) -> None:
    told("send", files / "alice.bin", *at)
    said = told("validate", files / "alice.bin", *at)
    assert (said["identical"], said["target"], said["name"]) == (True, "host", "alice")
    assert (said["layers"], said["layers_compared"]) == (len(TINY.stages), True)
    assert (said["self_test"], said["images"]) == (True, 3)
    assert [a["first"] for a in said["answers"]] == [None] * 3
    assert [a["logit"] for a in said["answers"]] == [a["oracle_logit"] for a in said["answers"]]
    assert [e["name"] for e in told("people", "list", "--port", process.line)["people"]] == ["alice"]


def differing_from(layer: int) -> Person:
    """Alice with other integers in one stage: what stages before it say is the same."""
    stages = list(ALICE.qnet.stages)
    conv = stages[layer]
    assert conv is not None
    stages[layer] = replace(conv, weight=-conv.weight)
    return person(replace(ALICE.qnet, stages=tuple(stages)))


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (0, "3x3, stride 2, 8x6x3 to 4x3x6"),
        (1, "3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3"),
        (3, "1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear"),
    ],
)
def test_the_first_layer_that_differs_is_named(
    at: tuple[object, ...],
    files: Path,
    tmp_path: Path,
    told: Told,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    layer: int,
    what: str,
) -> None:
    """A device with another net under that name."""
    other = differing_from(layer)
    (tmp_path / "alice.bin").write_bytes(pack(other))
    told("send", tmp_path / "alice.bin", *at)
    capsys.readouterr()
    words = ("validate", files / "alice.bin", *at, "--images", 1)
    assert command(*words, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["identical"] is False
    (answer,) = said["answers"]
    image = oracle.known_image(TINY, answer["seed"])
    want, got = (f"{layer_crcs(oracle.run(p.qnet, image))[layer]:08x}" for p in (ALICE, other))
    assert answer["first"] == {"layer": layer, "what": what, "oracle_crc32": want, "crc32": got}
    assert command(*words) == 1
    assert "DIFFERENT" in (out := capsys.readouterr().out)
    assert f"first differs layer {layer}, {what}: CRC-32 {want} by the oracle, got {got}\n" in out


@pytest.mark.parametrize(
    ("device", "first"), [((1, 2, 3), None), ((0, 2, 3), 0), ((1, 0, 3), 1), ((1, 2, 0), 2), ((1, 0, 0), 1)]
)
def test_first_difference_is_the_first(device: tuple[int, ...], first: int | None) -> None:
    assert first_difference(device, (1, 2, 3)) == first


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(UserError, match="layers: their number; expected 3, got 2"):
        first_difference((1, 2), (1, 2, 3))


def test_cycles_of_each_layer_are_told_of_a_board_that_counts_them(
    at: tuple[object, ...],
    files: Path,
    told: Told,
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told("send", files / "alice.bin", *at)
    words = ("validate", files / "alice.bin", *at, "--images", 1)
    assert command(*words) == 0
    assert "cycles" not in capsys.readouterr().out  # of what runs here they mean nothing
    monkeypatch.setattr("hyper_mcu.device.validation.counts", lambda board: True)
    (answer,) = told(*words)["answers"]
    assert len(answer["layer_cycles"]) == len(TINY.stages)
    assert 0 < sum(answer["layer_cycles"]) <= answer["cycles"]
    assert command(*words) == 0
    text = capsys.readouterr().out
    cycles = int(re.search(r"a verification takes ([\d,]+) cycles", text)[1].replace(",", ""))
    (heading, *rows) = text.splitlines()[2 : 4 + len(TINY.stages)]
    assert heading.split() == ["layer", "cycles", "share"]
    table = [re.fullmatch(r" +(\d*) +([\d,]+) +(\d+\.\d)%  (.+)", row).groups() for row in rows]
    assert [(i, what) for i, _, _, what in table] == [
        *((str(s.index), describe(s)) for s in TINY.stages),
        ("", "all else"),
    ]
    counted = [int(n.replace(",", "")) for _, n, _, _ in table]
    assert sum(counted) == cycles
    assert [float(share) for _, _, share, _ in table] == [pytest.approx(100 * n / cycles, abs=0.051) for n in counted]


def test_without_a_person_a_guest_is_sent_and_taken_off_again(
    tmp_path: Path, files: Path, told: Told, refused: Refused
) -> None:
    program = compiled(tmp_path, seeded(preset("nano")), defines=DEFINES)
    with Board(program, tmp_path).start() as device:
        at = ("--port", device.line, "--key", files / "key.json")
        said = told("validate", *at, "--preset", "nano", "--images", 1)
        assert (said["identical"], said["layers_compared"], said["name"]) == (True, True, "hyper_mcu_validate")
        assert (said["netspec"], said["model"]) == ("nano@1", None)
        assert (said["answers"][0]["cycles"], said["answers"][0]["layer_cycles"]) == (None, None)
        assert told("people", "list", "--port", device.line)["people"] == []
        assert "of another network than the firmware" in refused("validate", *at)


def test_a_guest_opens_to_nobody(tmp_path: Path) -> None:
    """Whoever cuts the line meanwhile leaves him there."""
    spec = preset("nano")
    red = np.full((spec.height, spec.width, 3), (255, 0, 0), np.uint8)
    assert oracle.run(seeded(spec).qnet, red).logit >= seeded(spec).threshold
    with Board(compiled(tmp_path, seeded(spec)), tmp_path).start() as process, client(process) as device:
        with guest(device, spec, silent) as person:
            assert not device.verify(red, person.name).match
            assert not device.verify(red).match
        assert on(device) == []


def test_another_person_of_that_name_is_no_difference_of_the_engine(
    at: tuple[object, ...], files: Path, tmp_path: Path, told: Told, refused: Refused
) -> None:
    (tmp_path / "alice.bin").write_bytes(pack(replace(ALICE, threshold=ALICE.threshold + 1)))
    told("send", tmp_path / "alice.bin", *at)
    assert "alice is another there; hyper-mcu send --replace" in refused("validate", files / "alice.bin", *at)


def test_a_build_that_tells_no_layers_is_compared_by_its_logits(
    tmp_path: Path, files: Path, told: Told, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board(compiled(tmp_path, ALICE, defines=PRODUCT), tmp_path).start() as device:
        at = ("--port", device.line, "--key", files / "key.json")
        told("send", files / "alice.bin", *at)
        said = told("validate", files / "alice.bin", *at, "--images", 1)
        assert (said["identical"], said["layers_compared"], said["self_test"]) == (True, False, True)
        assert command("validate", files / "alice.bin", *at, "--images", 1) == 0
        assert "logits alone, as only a selftest build tells its layers" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["host", "m4", "stm32"])
def test_devices_of_this_machine_are_identical(told: Told, target: str) -> None:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if target != "host" and not shutil.which(tool):
            pytest.skip(f"no {tool} on PATH")
    said = told("validate", "--target", target, "--preset", "nano", "--images", 1)
    assert (said["identical"], said["layers_compared"], said["self_test"]) == (True, True, True)
    assert (said["target"], said["layers"]) == (target, len(preset("nano").stages))
    assert said["answers"][0]["first"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which device; expected --port or --target, got neither"),
        (("--port", "auto", "--target", "m4"), "which device; expected --port or --target, got both"),
        (("--port", "auto"), "sending a person needs the device's key; expected --key FILE, or MODEL, got neither"),
        (("--target", "z80"), "--target: unknown; expected host, m4, stm32, got z80"),
        (("--target", "m4", "--key", "k.json"), "a device of this machine gets one of its own"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(refused: Refused, words: tuple[str, ...], said: str) -> None:
    assert said in refused("validate", *words)
