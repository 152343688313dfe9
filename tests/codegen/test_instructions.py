"""The library that counts instructions is built once, whoever asks for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from hyper_mcu.codegen import instructions
from hyper_mcu.codegen.toolchain import Toolchain


def test_two_threads_that_build_the_library_at_once_both_have_it(tmp_path, monkeypatch):
    both = Barrier(2, timeout=10)

    def compiled(source, out, tools, defines):
        out.write_bytes(b"library")
        both.wait()  # neither has moved its own yet

    monkeypatch.setattr(instructions, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(instructions, "find_toolchain", lambda target: Toolchain("gcc", "1", "gcc", tmp_path / "gcc"))
    monkeypatch.setattr(instructions, "compile_library", compiled)
    with ThreadPoolExecutor(2) as pool:
        one, two = (pool.submit(instructions.counter_library.__wrapped__) for _ in range(2))
    assert one.result() == two.result()
    assert [p.read_bytes() for p in (tmp_path / "cache").iterdir()] == [b"library"]
