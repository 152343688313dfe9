"""`hyper-mcu bench` and `hyper-mcu compare` as a user meets them."""

from __future__ import annotations

import json
import shutil

import pytest
from fake_model import missing

from hyper_mcu.cli import bench
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.presets import preset

NANO = preset("nano")
NO_RESULT = "b.json: no result of bench; expected JSON of hyper-mcu bench --json, schema_version 1"
PARTS = ["checking the person", "keeping the image's rows", *range(7), "score, and wiping the session"]


def need(target):
    """Skips the test by the name of what is not installed."""
    if why := missing(target, ("auto", target), ("gcc", "host")):
        pytest.skip(why)


@pytest.fixture
def nano(command, capsys):
    """What `bench --json` says of the smallest network on a target."""

    def told(*words):
        assert command("bench", "--preset", "nano", "--json", *words) == 0
        return json.loads(capsys.readouterr().out)

    return told


def test_json_has_every_figure_of_every_layer(nano):
    need("m4")
    said = nano("--targets", "m4")
    m4 = said["targets"]["m4"]
    assert (said["schema_version"], said["macs"], said["netspec"]) == (1, NANO.macs, "nano@1")
    assert m4["instructions_per_mac"] == round(m4["instructions"] / NANO.macs, 4)
    groups = [x for x in m4["layers"] if x["stage"] in (1, 3, 5)]
    of_groups = sum(x["instructions"] for x in groups) / sum(x["macs"] for x in groups)
    assert m4["groups_3x3_instructions_per_mac"] == round(of_groups, 4)
    assert [x["kind"] for x in groups] == [
        "3x3, stride 2, 2 to 4 in groups",
        "3x3, 4 to 4 in groups",
        "3x3, stride 2, 4 to 4 in groups",
    ]
    assert m4["ram_bytes"] == m4["session_bytes"] + m4["stack_bytes"]
    for figure in ("instructions", "modelled_cycles", "stack_bytes", "person_bytes", "text_bytes", "rodata_bytes"):
        assert m4[figure] > 0
    assert [x["name"] if x["stage"] is None else x["stage"] for x in m4["layers"]] == PARTS
    for figure in ("instructions", "modelled_cycles"):
        assert sum(x[figure] for x in m4["layers"]) == m4[figure]
    assert sum(x["macs"] for x in m4["layers"]) == NANO.macs
    assert said == nano("--targets", "m4"), "the same in every run"


def test_person_in_a_file_is_measured(nano, tmp_path, command, capsys):
    need("m4")
    want = nano("--targets", "m4")["targets"]
    p = seeded(NANO)
    for name, content in (("model.h", emit(p).encode()), ("person.bin", pack(p))):
        (tmp_path / name).write_bytes(content)
        assert command("bench", tmp_path / name, "--targets", "m4", "--json") == 0
        assert json.loads(capsys.readouterr().out)["targets"] == want


def test_text_shows_layers_totals_peers_and_where_those_are_from(command, capsys):
    need("m4")
    assert command("bench", "--preset", "nano", "--targets", "m4,host", "--people", 2) == 0
    out = capsys.readouterr().out
    assert "\nm4 by " in out
    assert "\n3: 3x3, 8x8x16 to 8x8x16 in 4 groups of 4 to 4 " in out
    assert "\nin all  " in out
    assert "CMSIS-NN 4.93" in out
    assert "on ANOTHER network" in out
    assert "\n3x3 in groups, alone  " in out
    assert "m4: 2 people, 2 images each: the same instructions\n" in out
    assert "\nhost  " in out


def test_people_and_images_are_counted_in_words():
    assert [bench.counted(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]


def test_missing_tools_are_named_and_none_at_all_is_an_error(monkeypatch, command, capsys):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert command("bench", "--preset", "nano", "--targets", "m55,lx106", "--json") == 2
    said = capsys.readouterr()
    told = json.loads(said.out)["targets"]
    assert "qemu-system-arm on PATH (Debian: qemu-system-arm)" in told["m55"]["not_run"]
    assert "qemu-system-misc" in told["lx106"]["not_run"]
    assert said.err == "bench: no target ran; expected one with compiler, emulator and these kernels, got none\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--targets", "m5"), "target: unknown; expected one of host, m0, "),
        (("--kernels", "avx"), "kernels: unknown; expected one of portable, "),
        (("--preset", "huge"), "netspec: no preset huge; expected paper@1"),
        (("model.h", "--people", "2"), "--people: MODEL is one person; expected no --people beside it, got 2"),
        (("model.h", "--preset", "large"), "--preset: MODEL has a network; expected no --preset beside it, got large"),
    ],
)
def test_what_is_not_there_is_refused_before_any_work(command, capsys, words, said):
    assert command("bench", *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(said)


def test_kernels_are_chosen_by_name(nano):
    need("m55")
    chosen = nano("--targets", "m55")["targets"]["m55"]
    portable = nano("--targets", "m55", "--kernels", "portable")["targets"]["m55"]
    if chosen["instructions"] is None:
        pytest.skip("a QEMU with plugins")
    assert portable["instructions"] > 2 * chosen["instructions"]


def test_kernels_of_instructions_that_a_core_lacks_have_not_run(nano):
    need("m4")
    told = nano("--targets", "m3,m4", "--kernels", "dsp")["targets"]
    assert told["m3"] == {"not_run": "the dsp kernels do not compile for it"}
    assert told["m4"]["instructions"] > 0


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_a_core_that_lacks_the_instructions_is_told_from_c_that_is_broken(command, capsys, monkeypatch, kind):
    if why := missing((kind, "m3"), ("auto", "m3")):
        pytest.skip(why)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)
    words = ("bench", "--preset", "nano", "--targets", "m3")
    assert command(*words, "--kernels", "dsp") == 2
    assert "m3: not run: the dsp kernels do not compile for it\n" in capsys.readouterr().out
    monkeypatch.setattr("hyper_mcu.codegen.bench.emit", lambda p: f"#error planted\n{emit(p)}")
    assert command(*words, "--kernels", "tiled") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("seed1.h: does not compile for m3 with ")
    assert "planted" in said.err


def test_short_name_of_a_target_is_the_same_target(nano):
    need("rv32imc")
    assert list(nano("--targets", "rv32,rv32imc")["targets"]) == ["rv32imc"]


def result(**m4):
    """A result of bench as `compare` reads it, with other figures for m4."""
    layers = [
        {"name": "checking the person", "stage": None, "macs": 0, "instructions": 5, "modelled_cycles": 9},
        {"name": "1x1", "stage": 0, "macs": 9, "instructions": 1000, "modelled_cycles": None},
    ]
    figures = {"toolchain": "gcc 1", "emulator": "u 1", "instructions": 1005, "text_bytes": 400, "layers": layers}
    targets = {"m4": {**figures, "instructions_per_mac": 111.7, **m4}, "m55": {"not_run": "no emulator"}}
    return {"schema_version": 1, "netspec_sha256": "0" * 64, "macs": 9, "kernels": "portable", "targets": targets}


@pytest.fixture
def compare(tmp_path, command, capsys):
    """Exit code and output of `compare` of two results."""

    def run(a, b, *words):
        for name, value in (("a.json", a), ("b.json", b)):
            (tmp_path / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        code = command("compare", tmp_path / "a.json", tmp_path / "b.json", *words)
        said = capsys.readouterr()
        return code, (said.out or said.err).replace(f"{tmp_path}/", "")

    return run


def test_equal_results_have_no_changes(compare):
    assert compare(result(), result()) == (0, "0 changes, 0 regressions beyond 1.00% on m4\n")


def test_growth_beyond_the_limit_is_a_regression_and_less_is_told(compare):
    layers = [dict(x) for x in result()["targets"]["m4"]["layers"]]
    layers[1]["instructions"] = 990
    other = result(text_bytes=405, layers=layers)
    lines = "m4: text_bytes: 400 → 405 (+1.25%){}\nm4: stage 0: instructions: 1,000 → 990 (-1.00%)\n2 changes, {}\n"
    assert compare(result(), other) == (1, lines.format(", a regression", "1 regression beyond 1.00% on m4"))
    assert compare(result(), other, "--limit", "1.25%") == (0, lines.format("", "0 regressions beyond 1.25% on m4"))
    assert compare(result(), other, "--limit", "0")[0] == 1


def test_other_tools_are_told(compare):
    code, out = compare(result(), result(toolchain="gcc 2"))
    assert (code, out.splitlines()[0]) == (0, "m4: toolchain: gcc 1 → gcc 2")


def test_figure_that_is_no_longer_counted_is_a_regression(compare):
    code, out = compare(result(), result(instructions=None))
    assert (code, out.splitlines()[0]) == (1, "m4: instructions: 1,005 → –, a regression")
    assert compare(result(instructions=None), result())[0] == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({**result(), "macs": 10}, "b.json: cannot be compared with a.json: macs; expected 9, got 10\n"),
        (
            {**result(), "netspec_sha256": "1" * 64},
            "b.json: cannot be compared with a.json: netspec_sha256; expected 0",
        ),
        ({**result(), "targets": {}}, "b.json: cannot be compared with a.json: targets; expected m4, got none\n"),
        ({**result(), "schema_version": 2}, f"{NO_RESULT}, got schema_version 2\n"),
        ({"schema_version": 1}, f"{NO_RESULT}, got targets that bench does not write\n"),
        ({**result(), "targets": {"m4": 7}}, f"{NO_RESULT}, got targets that bench does not write\n"),
        (result(layers=7), f"{NO_RESULT}, got targets that bench does not write\n"),
        (result(layers=[{"name": "1x1"}]), f"{NO_RESULT}, got targets that bench does not write\n"),
        (
            result(layers=[{"name": "1x1", "stage": 0, "instructions": "9", "modelled_cycles": None}]),
            f"{NO_RESULT}, got targets that bench does not write\n",
        ),
        ([1], f"{NO_RESULT}, got another JSON\n"),
        (b"{\n", f"{NO_RESULT}, got something else in line 2, column 1\n"),
        (b'"\xff"', f"{NO_RESULT}, got something else\n"),
        (b"[" * 100_000, f"{NO_RESULT}, got something else\n"),
    ],
)
def test_files_that_cannot_be_compared_are_an_error(compare, other, said):
    code, text = compare(result(), other)
    assert code == 2
    assert text.startswith(said)


@pytest.mark.parametrize("limit", ["x", "-1%", "1%%"])
def test_limit_that_is_no_percentage_is_refused(compare, limit):
    code, text = compare(result(), result(), f"--limit={limit}")
    assert code == 2
    assert "expected a percentage as 1%" in text


def test_what_bench_writes_compare_reads(nano, compare):
    need("m4")
    said = nano("--targets", "m4,host")
    assert compare(said, said) == (0, "0 changes, 0 regressions beyond 1.00% on m4, host\n")
