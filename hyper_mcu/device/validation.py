"""Whether a device computes what the oracle computes: known images, every layer's check sum, logits, the self-test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kernels.kernel import describe
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.progress import Progress
from hyper_mcu.device import keys
from hyper_mcu.device.boards import BOARDS, Board
from hyper_mcu.device.client import Device, first_difference, layer_crcs
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.reach import counts
from hyper_mcu.device.sending import sealed_for

TARGETS = {"host": "host", "m4": "m4", "stm32": "netduinoplus2-qemu"}  # boards that run here
GUEST = "hyper_mcu_validate"  # the name of a person who is there for as long as it takes
SLOWER = 5.0  # an emulated board than a real one, at most


@dataclass(frozen=True)
class Difference:
    """The first layer whose bytes differ, by number and in words, and its CRC-32 by the oracle and on the device."""

    layer: int
    what: str
    want: int
    got: int


@dataclass(frozen=True)
class Answer:
    """What a device said of a known image. seed: of the image; want: the oracle's logit. cycles: of the whole, and
    layer_cycles of each layer, () where it tells no layers; both None where nothing counts them but an emulator."""

    seed: int
    logit: int
    want: int
    first: Difference | None
    cycles: int | None
    layer_cycles: tuple[int, ...] | None

    @property
    def identical(self) -> bool:
        """Whether it is what the oracle says."""
        return self.logit == self.want and self.first is None


@dataclass(frozen=True)
class Validation:
    """What a device said of known images. layers: whether it told them. self_test: whether the person's passed."""

    board: str
    firmware: str
    name: str
    layers: bool
    self_test: bool
    answers: tuple[Answer, ...]
    stack_bytes: int
    hz: int

    @property
    def identical(self) -> bool:
        """Whether all of it is what the oracle says."""
        return self.self_test and all(a.identical for a in self.answers)


@contextmanager
def guest(device: Device, spec: NetSpec, progress: Progress) -> Iterator[Person]:
    """A seeded person of that architecture under a name of its own, sealed and sent, and deleted at the end; one whom
    an interrupted run left there is replaced. His threshold is such that the device opens for nobody meanwhile."""
    person = replace(seeded(spec), name=GUEST, threshold=2**31 - 1)
    progress("sending a seeded person")
    device.load(sealed_for(person, device, device.info()), replace=True)
    try:
        yield person
    finally:
        device.delete(GUEST)


def validate(device: Device, person: Person, images: int, progress: Progress) -> Validation:
    """Asks the device about generated images and holds every answer against the oracle.

    Raises UserError where it does not have that person, or refuses.
    """
    info = device.info()
    spec = person.qnet.spec
    answers = []
    hz = info.hz
    for i in range(images):
        progress(f"{info.board}: {i} of {images} images")
        seed = (person.known.seed - 1 + i) % (2**32 - 1) + 1
        image = oracle.known_image(spec, seed)
        expected = oracle.run(person.qnet, image)
        said = device.verify(image, person.name, layers=info.selftest)
        if said.threshold != person.threshold:
            want, got = f"threshold {person.threshold}", said.threshold
            raise UserError(device.port, f"{person.name} is another there; hyper-mcu send --replace", want, got)
        first = difference(spec, said.layers, expected)
        counted = (said.cycles, said.profile) if counts(info.board) and said.cycles else (None, None)
        answers.append(Answer(seed, said.logit, expected.logit, first, *counted))
    progress(f"{info.board}: self-test")
    try:
        device.known_answer(person.name)
        passed = True
    except DeviceError as e:
        if e.code != Code.WRONG_ANSWER:
            raise
        passed = False
    stack = device.info().stack
    return Validation(info.board, info.firmware, person.name, info.selftest, passed, tuple(answers), stack, hz)


def difference(spec: NetSpec, crcs: tuple[int, ...], expected: oracle.Result) -> Difference | None:
    """The first layer that differs; None where none does, or the device told none."""
    want = layer_crcs(expected)
    at = first_difference(crcs, want) if crcs else None
    return None if at is None else Difference(at, describe(spec.stages[at]), want[at], crcs[at])


@contextmanager
def started(target: str, person: Person, progress: Progress) -> Iterator[Device]:
    """A device of this machine, one of TARGETS, as a selftest build for the architecture of `person`: built, started,
    with a key of its own and nobody on it. Raises MissingToolError for what is not installed."""
    if target not in TARGETS:
        raise UserError("--target", "unknown", ", ".join(TARGETS), target)
    board = BOARDS[TARGETS[target]]
    with tempfile.TemporaryDirectory(prefix="hyper-mcu-") as name:
        folder = Path(name)
        progress(f"compiling for {board.title}")
        with _running(board, person, folder) as line, Device(line, patience=SLOWER) as device:
            device.set_key(keys.new())
            yield device


@contextmanager
def _running(board: Board, person: Person, folder: Path) -> Iterator[str]:
    """The name of the line of a selftest build that runs."""
    if board.build == "host":
        from hyper_mcu.device import process

        program = process.build(person, folder / "device", defines=(process.SELFTEST,))
        with process.Process(program) as running:
            yield running.line
        return
    from hyper_mcu.device.build import compile_board
    from hyper_mcu.device.emulated import Emulated
    from hyper_mcu.device.engine import engine

    program = compile_board(board, "selftest", folder / "selftest.elf", engine(person))
    with Emulated(board, program, folder) as emulated:
        yield emulated.line
