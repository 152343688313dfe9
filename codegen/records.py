"""Reading what the harness writes (firmware/harness/main.c describes the records).

Whatever is not exactly a whole run is an error, never a verdict.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from hyper_mcu.codegen.digest import layers_sha256
from hyper_mcu.codegen.errors import UserError

FORMAT = 2
HM_OK = 0
MAX_LAYERS = 2**16  # layers have 16 bits in their records


@dataclass(frozen=True)
class Run:
    """One hm_verify, as the compiled C reported it.

    status: hm_status (0: HM_OK). logit, threshold: int32. layers: each layer's int8 HWC bytes in canonical order;
    layers_sha256: hex, over them and the logit (digest.py); both empty in a run without taps. session_bytes: RAM of the
    caller's hm_session; stack_bytes: stack that the call touched. instructions: of the call, as its emulator counted
    them, None where nobody did.
    """

    status: int
    match: bool
    logit: int
    threshold: int
    layers: tuple[bytes, ...]
    layers_sha256: str
    session_bytes: int
    stack_bytes: int
    instructions: int | None = None


@dataclass(frozen=True)
class Hello:
    """The first record: layers that are tapped, sizeof(hm_session), bytes of one probe."""

    layers: int
    session_bytes: int
    input_bytes: int


@dataclass
class _Probe:
    """The rows that came so far for one probe."""

    layers: list[bytearray]
    next_row: list[int]
    row_bytes: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, layers: int) -> _Probe:
        return cls([bytearray() for _ in range(layers)], [0] * layers, [0] * layers)


def read_hello(data: bytes, where: str) -> Hello:
    """The first record of an output, whole or not; raises UserError where it is missing or of another format."""
    first = next(_records(data, where), None)
    if first is None or first[0] != b"HMhi" or len(first[1]) != 16:
        raise _broken(where, "HMhi first", first[0] if first else "nothing")
    form, *rest = struct.unpack("<4I", first[1])
    if form != FORMAT:
        raise _broken(where, f"record format {FORMAT}", form)
    hello = Hello(*rest)
    if hello.layers > MAX_LAYERS:
        raise _broken(where, f"at most {MAX_LAYERS} layers", hello.layers)
    return hello


def parse_runs(data: bytes, probes: int, where: str, *, taps: bool) -> list[Run]:
    """The runs on `probes` probes.

    where: named in errors. taps: layers are expected. Raises UserError for an output that is cut off, out of order, or
    whose match contradicts its status, logit and threshold.
    """
    hello = read_hello(data, where)
    runs: list[Run] = []
    probe = _Probe.empty(hello.layers)
    done = False
    for number, (tag, body) in enumerate(_records(data, where)):
        if done:
            raise _broken(where, "no record after HMok", tag)
        if tag == b"HMro" and taps and len(body) > 4:
            _add_row(probe, body, where)
        elif tag == b"HMve" and len(body) == 24:
            runs.append(_verdict(probe, body, hello, where, taps=taps))
            probe = _Probe.empty(hello.layers)
        elif tag == b"HMok" and len(body) == 4:
            done = True
            if sum(probe.next_row) or struct.unpack("<I", body)[0] != len(runs):
                raise _broken(where, f"{len(runs)} probes done", struct.unpack("<I", body)[0])
        elif number:
            raise _broken(where, "a known record", f"{tag!r} of {len(body)} bytes")
    if not done or len(runs) != probes:
        raise _broken(where, f"{probes} verdicts and HMok", f"{len(runs)}{' and HMok' if done else ''}")
    return runs


def _records(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise _broken(where, "a whole record", f"{len(data) - at} bytes")
        tag, n = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + n]
        if len(body) != n:
            raise _broken(where, f"{n} bytes in {tag!r}", len(body))
        yield tag, body
        at += 8 + n


def _add_row(probe: _Probe, body: bytes, where: str) -> None:
    layer, row = struct.unpack_from("<2H", body)
    if layer >= len(probe.layers):
        raise _broken(where, f"a layer below {len(probe.layers)}", layer)
    if row != probe.next_row[layer]:
        raise _broken(where, f"row {probe.next_row[layer]} of layer {layer}", row)
    n = len(body) - 4
    if row and n != probe.row_bytes[layer]:
        raise _broken(where, f"{probe.row_bytes[layer]} bytes in a row of layer {layer}", n)
    probe.row_bytes[layer] = n
    probe.next_row[layer] += 1
    probe.layers[layer] += body[4:]


def _verdict(probe: _Probe, body: bytes, hello: Hello, where: str, *, taps: bool) -> Run:
    status, match, logit, threshold, rows, stack = struct.unpack("<IIiiII", body)
    allowed = status == HM_OK and logit >= threshold
    if match not in (0, 1) or bool(match) != allowed:
        raise _broken(where, f"match {int(allowed)} at status {status}, logit {logit}, threshold {threshold}", match)
    if rows != sum(probe.next_row):
        raise _broken(where, f"{rows} rows", sum(probe.next_row))
    if taps and status == HM_OK and 0 in probe.next_row:
        raise _broken(where, f"rows of {hello.layers} layers", f"none of layer {probe.next_row.index(0)}")
    layers = tuple(bytes(b) for b in probe.layers) if taps else ()
    digest = layers_sha256(layers, logit) if taps else ""
    return Run(status, bool(match), logit, threshold, layers, digest, hello.session_bytes, stack)


def _broken(where: str, expected: str, got: object) -> UserError:
    return UserError(where, "the program's output is broken", expected, got)
