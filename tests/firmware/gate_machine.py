"""Asks flash_machine.c's gate: mounts of it, attempts, verdicts, and what each says."""

from __future__ import annotations

from flash_machine import OFF, Geometry, Machine

from hyper_mcu.device.client import MATCH, NO_MATCH

GATES = (Geometry(4096, 4, 2, 0), Geometry(16384, 32, 3, 0), Geometry(131072, 1, 2, 0), Geometry(2048, 8, 2, 0))
ERROR = 0x3C5AA5C3
DOOR = "3 10 60"  # failures, first and longest delay
UNIT_HEAD = 64  # bytes of a unit of the log before its entries
YES = (0, 900, 900, MATCH, 1)  # status, logit, threshold, decision, match
NO = (0, 899, 900, NO_MATCH, 0)


def entries(geometry: Geometry) -> int:
    """That a unit of the log has room for."""
    return (geometry.unit - UNIT_HEAD) // stride(geometry)


def stride(geometry: Geometry) -> int:
    """Bytes of an entry."""
    return max(8, geometry.word)


def mount(m: Machine, policy: str = DOOR, now: int = 0) -> int:
    """The failures that the gate has after a mount that has to succeed."""
    return _mounted(m.one(f"gmount {policy} {now}"))


def start(m: Machine, policy: str = DOOR, *, cut: int = 0, residue: int = 0, seed: int = 1) -> int | str:
    """Power and mount: the failures, or OFF."""
    m.power(cut, residue, seed)
    answer = m.one(f"gmount {policy} 0")
    return OFF if answer == OFF else _mounted(answer)


def _mounted(answer: str) -> int:
    code, failures = answer.split()
    assert code == "0"
    return int(failures)


def attempt(m: Machine, now: int = 0) -> int | str:
    """The code, or OFF."""
    answer = m.one(f"gattempt {now}")
    return OFF if answer == OFF else int(answer.split()[0])


def judge(m: Machine, verdict: tuple[int, ...] = YES, now: int = 0) -> int | str:
    """The decision, or OFF."""
    answer = m.one("gjudge " + " ".join(map(str, (*verdict, now))))
    return OFF if answer == OFF else int(answer.split()[0], 16)


def fail(m: Machine, times: int, policy: str = DOOR) -> None:
    """Failures one after another, from a mount that knows no delay."""
    mount(m, "1 0 0")
    for at in range(0, times, 1000):  # a pipe holds so many answers
        assert {a.split()[0] for a in m.ask(*["gattempt 0"] * min(1000, times - at))} == {"0"}
    mount(m, policy)
