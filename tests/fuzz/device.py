"""Fuzzes a whole device by its line, by libFuzzer under ASan and UBSan:

    python tests/fuzz/device.py --seconds 60 [--corpus FOLDER]

An input is what a host sends: bytes as they are, or requests, whose frames, tags and seals the target makes right, so
that what stands behind them is reached. Exit code 1 on a fault, whose input then lies in the corpus' folder.
"""

from __future__ import annotations

import atexit
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from fuzzing import OPTIONS, Fuzzer, Planted, changed, link, main
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.frames import Frame, Request, encode

DEVICE = Path(__file__).parents[2] / "firmware" / "device"
RAW, PLAIN, TAGGED, PERSON = range(4)  # kinds of a step: bytes, a request, one with a tag, a whole upload

TARGET = Path(__file__).with_name("device.c")


@cache
def objects() -> dict[str, Path]:
    """The device's files, compiled once for all fuzzers of this process, by their names."""
    folder = Path(mkdtemp(prefix="fuzzed-device-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    sources = [p for p in sorted(DEVICE.glob("*.c")) if p.name != "hm_factory.c"]
    for source in sources:
        _compile(source, folder / f"{source.stem}.o", folder)
    return {source.name: folder / f"{source.stem}.o" for source in sources}


def _compile(source: Path, out: Path, engine: Path) -> None:
    words = ["clang", *OPTIONS, "-DHM_SELFTEST=1", f"-I{engine}", f"-I{DEVICE}", "-c", str(source), "-o", str(out)]
    subprocess.run(words, check=True)


def build(folder: Path, *changes: tuple[str, str]) -> Path:
    """The fuzzer of the device's C; changes: pieces of its files replaced, to plant a fault."""
    there = dict(objects())
    engine = there["hm_engine.c"].parent
    texts = {name: (DEVICE / name).read_text(encoding="ascii") for name in there}
    for old, new in changes:
        name = next(name for name, text in texts.items() if old in text)
        there[name] = folder / f"{name}.o"
        (folder / name).write_text(_absolute(changed(texts[name], [(old, new)])), encoding="ascii")
        _compile(folder / name, there[name], engine)
    (folder / "target.c").write_text(_absolute(TARGET.read_text(encoding="ascii")), encoding="ascii")
    return link(folder, ["-DHM_SELFTEST=1", f"-I{engine}", f"-I{DEVICE}", "target.c", *there.values()])


def _absolute(text: str) -> str:
    return text.replace('"../core/', f'"{DEVICE.parent}/core/')


def step(kind: int, type: int, data: bytes = b"", *, key: bool = True) -> bytes:
    """One step of an input; whether there is a key is said by the first one."""
    return struct.pack("<BBH", kind << 1 | (not key), type, len(data)) + data


def wrong_known_answer(p: Person) -> Person:
    """A person whose self-test fails."""
    return replace(p, known=replace(p.known, logit=p.known.logit ^ 1))


def seeds() -> list[bytes]:
    """What an honest host does, in pieces, and frames as they are."""
    alice, bob = (pack(person(net(TINY, i), name), for_device=True) for i, name in ((1, "alice"), (2, "bob")))
    broken = pack(wrong_known_answer(person(net(TINY))), for_device=True)
    name = struct.pack("48s", b"alice")
    image = bytes(i % 256 for i in range(TINY.input_bytes))
    people = step(PERSON, 0, alice) + step(PERSON, 1, bob) + step(PERSON, 2, alice)
    verify = step(TAGGED, Request.VERIFY, name) + step(PLAIN, Request.VERIFY_ROWS, bytes(4) + image)
    verify += step(PLAIN, Request.VERIFY_END) + step(PLAIN, Request.LAYERS, bytes(4)) + step(PLAIN, 14, bytes(4))
    both = step(TAGGED, Request.VERIFY, bytes(48)) + step(PLAIN, Request.VERIFY_ROWS, bytes(4) + image * 2)
    rest = step(PLAIN, Request.LIST, bytes(4)) + step(PLAIN, Request.INFO) + step(PLAIN, Request.KAT, name)
    made = [people + verify + both + step(PLAIN, Request.VERIFY_END) + rest, people + step(TAGGED, 8, name) + rest]
    made += [step(PLAIN, Request.SET_KEY, struct.pack("<I", 1) + bytes(32), key=False), step(PERSON, 0, alice)]
    made += [step(PERSON, 0, broken), step(PERSON, 0, alice) + step(PLAIN, Request.DELETE, name + bytes(32))]
    made += [step(kind, r, bytes(n)) for kind in (PLAIN, TAGGED) for r in Request for n in (0, 4, 48)]
    made += [step(RAW, 0, encode(Frame(r, 1, b"x" * 9))) for r in (*Request, 0x81)]
    return [*made, step(RAW, 0, b"\1" * 1100 + b"\0" + encode(Frame(1, 2)))]


FUZZER = Fuzzer(
    "Fuzzes a device by its line.",
    build,
    seeds,
    runs=12_000,
    planted={
        "receiver": Planted("receiver->n < sizeof receiver->bytes", "true", "out of bounds"),
        "length": Planted("n < kind->least + tag ||", "", "ERROR: AddressSanitizer"),
        "tag": Planted("code != HM_CODE_OK || decision != HM_MATCH", "false", "deadly signal"),
        "known answer": Planted(
            "return (hm_code)hm_known_answer(&device->session, &device->person)", "return HM_CODE_OK", "deadly signal"
        ),
    },
)

if __name__ == "__main__":
    sys.exit(main(FUZZER))
