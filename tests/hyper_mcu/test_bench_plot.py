"""The picture of bench: what is drawn, by its data, and the files."""

from __future__ import annotations

import sys

import pytest
from fake_model import missing

from hyper_mcu import bench_plot
from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.peers import LAYERS, Figure, peers

FIRST = next(iter(LAYERS))


def layer(stage, name, kind, per_mac):
    return {
        "stage": stage,
        "name": name,
        "kind": kind,
        "macs": 9 * (stage is not None),
        "instructions_per_mac": per_mac,
    }


def told(*targets):
    """A result of bench: a layer that a peer was measured on, one of a kind, one of none."""
    layers = [
        layer(None, "checking the person", None, None),
        layer(0, FIRST, LAYERS[FIRST], 1.25),
        layer(1, "1x1, 7x7x64 to 7x7x96", "1x1", 1.5),
        layer(2, "3x3, stride 2, 14x14x64 to 7x7x64 in 16 groups of 4 to 4", "3x3, stride 2, 4 to 4 in groups", 2.0),
    ]
    counted = {name: {"layers": layers, "instructions_per_mac": 1.75} for name in targets}
    others = {"host": {"layers": []}, "lx106": {"not_run": "no emulator"}}
    return {"netspec": "net@1", "kernels": "portable", "targets": {**counted, **others}}


@pytest.fixture(autouse=True)
def _drawn():
    pytest.importorskip("matplotlib", reason="needs hyper-mcu[plot]: matplotlib")


def test_peer_is_of_the_very_layer_or_the_least_of_its_kind():
    assert peers("m4", "1x1, 28x28x32 to 28x28x32", "1x1") == Figure(2.69, same=True)
    assert peers("m4", "1x1, 28x28x32 to 28x28x33", "1x1") == Figure(2.07, same=False)
    assert peers("m4", "1x1, 14x14x64 to 14x14x64 in 2 groups of 32 to 32", "1x1, 32 to 32 in groups") is None
    assert peers("m4", "score", None) is None
    assert peers("host", "1x1, 28x28x32 to 28x28x32", "1x1") is None


def test_groups_of_bars_are_the_layers_and_then_the_whole():
    (t,) = (told("m55")["targets"]["m55"],)
    assert bench_plot.bars("m55", t) == [
        ("0: 3x3\nstride 2\n3 to 16", 1.25, Figure(1.42, same=True)),
        ("1: 1x1", 1.5, Figure(0.39, same=False)),
        ("2: 3x3\nstride 2\n4 to 4\nin groups", 2.0, None),
        ("in all", 1.75, Figure(1.59, same=False)),
    ]
    assert [g.peer for g in bench_plot.bars("lx106", t)] == [None] * 4


def test_panels_show_the_targets_that_were_counted_with_peers_and_goal():
    drawn = bench_plot.picture(told("m4", "m0"))
    m4, m0 = drawn.axes
    assert drawn.legends[0].texts[0].get_text() == "hyper-mcu, net@1, portable kernels"
    heights = [[bar.get_height() for bar in bars] for bars in m4.containers]
    assert heights == [[1.25, 1.5, 2.0, 1.75], [4.77], [2.07], [4.93]]
    assert [list(line.get_ydata()) for line in m4.lines] == [[1.15]]
    assert [text.get_text() for text in m4.texts] == ["1.25", "1.50", "2.00", "1.75", "4.77", "2.07", "4.93"]
    assert m4.get_title("left") == "m4, peer CMSIS-NN"
    assert [[bar.get_height() for bar in bars] for bars in m0.containers] == heights[:1]
    assert (m0.get_title("left"), list(m0.lines)) == ("m0", [])


def test_nothing_counted_is_an_error():
    with pytest.raises(UserError, match="--plot: nothing was counted; expected a target other than host"):
        bench_plot.picture(told())


def test_files_are_of_the_format_of_their_suffix_and_the_same_every_time(tmp_path):
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        bench_plot.save(told("m4"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert "<svg " in (tmp_path / "a.svg").read_text()
    for form in ("png", "svg"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def test_bench_draws_what_it_counts(command, tmp_path):
    if why := missing("m4", ("auto", "m4"), ("gcc", "host")):
        pytest.skip(why)
    out = tmp_path / "layers.png"
    assert command("bench", "--preset", "nano", "--targets", "m4,host", "--plot", out) == 0
    assert out.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_bench_says_nothing_where_its_picture_fails_late(command, capsys, tmp_path, words):
    if why := missing("host"):
        pytest.skip(why)
    out = tmp_path / "layers.png"
    assert command("bench", "--preset", "nano", "--targets", "host", "--plot", out, *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("--plot: nothing was counted; ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("layers.pdf", True, "--plot: unknown format; expected a name that ends in .png or .svg, got layers.pdf"),
        ("layers.png", False, f"--plot: needs matplotlib; expected {install.extra('plot')}, got no such package"),
        ("no/layers.png", True, "layers.png: cannot write; expected an existing folder"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_before_any_work(command, capsys, monkeypatch, tmp_path, name, there, said):
    if not there:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command("bench", "--preset", "nano", "--targets", "m4", "--plot", tmp_path / name) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
