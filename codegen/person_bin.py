"""person.bin: one person as a blob that a device uses where it lies in flash. Its bytes: SPEC.md, "person.bin".

What the device needs is at fixed offsets; what only the host wants to know stands behind it and may be left out.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.facts import NONSENSE, facts, person_of, spec_of
from hyper_mcu.codegen.files import read
from hyper_mcu.codegen.layout import ABI, architecture, check_sum, members, payload
from hyper_mcu.codegen.passes import compiled
from hyper_mcu.codegen.person import Person, check_name

MAGIC = b"HMpb"
FORMAT = 1
LAYOUT = 1  # of the weights: hm_weights as the emitted C declares it
HEAD = struct.Struct("<4s 5I IIiIiI 32s 48s")  # its second group is the beginning of hm_person
CRC = struct.Struct("<I")
_OLD = "made by another version of hyper-mcu; enrol again to regenerate it"


def pack(p: Person, *, for_device: bool = False) -> bytes:
    """The bytes of person.bin; for_device: without what the host alone reads, so that `parse` refuses them."""
    spec, program = p.qnet.spec, compiled(p.qnet)
    weights = payload(program)
    said = b"" if for_device else json.dumps(facts(p), sort_keys=True, separators=(",", ":")).encode("ascii")
    total = HEAD.size + len(weights) + len(said) + CRC.size
    head = HEAD.pack(
        MAGIC, FORMAT, total, LAYOUT, len(weights), len(said),
        ABI, architecture(spec), p.threshold, p.known.seed, p.known.logit, check_sum(p, program),
        bytes.fromhex(spec.sha256), p.name.encode("ascii"),
    )  # fmt: skip
    whole = head + weights + said
    return whole + CRC.pack(zlib.crc32(whole))


def parse(path: Path | str) -> Person:
    """The Person in the file `path`; raises UserError for a file that cannot be read and as `parse_bytes` does."""
    return parse_bytes(read(Path(path), "a person.bin of hyper-mcu"), str(path))


def parse_bytes(data: bytes, where: str = "person.bin") -> Person:
    """The Person of a person.bin.

    Raises UserError for bytes that `pack` does not write (whoever did): cut or grown, damaged, of another version, or
    with one number that does not fit the others.
    """
    said, weights = _parts(data, where)
    try:
        facts_of = json.loads(said.decode("ascii"))
        p = person_of(facts_of, members(spec_of(facts_of), weights))
        again = pack(p)
    except UserError as e:
        raise UserError(f"{where}, {e.where}", e.what, e.expected, e.got) from e
    except NONSENSE as e:
        got = f"{type(e).__name__} {e}"[:200]
        raise UserError(where, "not a person.bin", "facts as hyper-mcu writes them", got) from e
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), min(len(again), len(data)))
        at -= at % 4
        theirs, ours = (x[at : at + 4].hex() or "its end" for x in (data, again))
        raise UserError(where, "inconsistent", f"{ours} at byte {at}, as its person gives", theirs)
    return p


def device_name(data: bytes, where: str = "person.bin") -> str:
    """Whose blob for a device this is: whole, undamaged and without facts; raises UserError."""
    _, said = _sizes(data, where)
    if said:
        raise UserError(where, "with what the host alone reads", "a person.bin made for a device", f"{said} bytes more")
    name = bytes(HEAD.unpack_from(data)[-1]).rstrip(b"\0").decode("latin-1")
    check_name(where, name)
    return name


def _parts(data: bytes, where: str) -> tuple[bytes, bytes]:
    """Facts and weights of a blob that is whole; raises UserError."""
    weights, said = _sizes(data, where)
    if not said:
        raise UserError(
            where, "made for a device alone", "the model.h or person.bin that it was made from", "no facts in it"
        )
    return data[-CRC.size - said : -CRC.size], data[HEAD.size : HEAD.size + weights]


def _sizes(data: bytes, where: str) -> tuple[int, int]:
    """Bytes of weights and of facts of a blob that is whole; raises UserError."""
    if data[:4] != MAGIC:
        raise UserError(where, "not a person.bin", f"{MAGIC!r} at its beginning", repr(data[:4]))
    if len(data) < HEAD.size + CRC.size:
        raise UserError(where, "cut short", f"at least {HEAD.size + CRC.size} bytes", len(data))
    _, form, total, layout, weights, said, abi, *_ = HEAD.unpack_from(data)
    if form != FORMAT:
        raise UserError(where, _OLD, f"format {FORMAT}", f"format {form}")
    if total != len(data):
        raise UserError(where, "cut short or grown", f"{total} bytes", len(data))
    crc, got = CRC.unpack_from(data, total - CRC.size)[0], zlib.crc32(data[: -CRC.size])
    if crc != got:
        raise UserError(where, "damaged", f"CRC-32 {crc:08x}", f"{got:08x}")
    if abi != ABI:
        raise UserError(where, _OLD, f"ABI {ABI}", f"ABI {abi}")
    if layout != LAYOUT:
        raise UserError(where, "layout of the weights", str(LAYOUT), layout)
    if HEAD.size + weights + said + CRC.size != total:
        raise UserError(where, "sizes of its parts", f"{total} bytes together", HEAD.size + weights + said + CRC.size)
    return weights, said
