"""A device from the host's side, against the real one as a process: people, images, keys, and all that it refuses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from c_programs import HOST
from devices import (
    ALICE,
    ALICE_AGAIN,
    BOB,
    KEY,
    NO_COMPILER,
    OTHER_KEY,
    SMALL,
    STRANGER,
    Board,
    changed_blob,
    client,
    compiled,
    healthy,
    keep_key,
    resealed,
    sealed,
    wrapped,
    wrong_known_answer,
)
from people import TINY, Person, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import ABI, architecture
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device.client import Device, answered, first_difference, layer_crcs
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import Frame, Receiver, Request, encode
from hyper_mcu.device.keys import Key
from hyper_mcu.device.line import LineError, open_line
from hyper_mcu.device.seal import seal

pytestmark = pytest.mark.skipif(not HOST, reason=NO_COMPILER)

CROP = oracle.known_image(TINY, 99)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device for tiny people, replay and self-test."""
    return compiled(tmp_path_factory.mktemp("device"), ALICE)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without either."""
    return compiled(tmp_path_factory.mktemp("product"), ALICE, defines=())


@pytest.fixture
def board(program: Path, tmp_path: Path) -> Board:
    return Board(program, tmp_path, *SMALL)


@pytest.fixture
def device(board: Board) -> Iterator[Device]:
    """A device with a key and nobody on it; whatever a test does, it never opens and never faults."""
    with board.start() as process, client(process) as d:
        yield d
        assert healthy(process.kill())


def refused(code: Code) -> pytest.RaisesContext[DeviceError]:
    return pytest.raises(DeviceError, match=rf"{code.name} \({code.value}\)$")


def check(device: Device, p: Person, image: np.ndarray = CROP) -> None:
    """Every layer and the verdict are the oracle's."""
    said, want = device.verify(image, p.name, layers=True), oracle.run(p.qnet, image)
    assert first_difference(said.layers, layer_crcs(want)) is None
    assert (said.name, said.logit, said.threshold) == (p.name, want.logit, p.threshold)
    assert said.match == (want.logit >= p.threshold)
    assert len(said.profile) == len(said.layers)
    assert all(said.profile)
    assert sum(said.profile) <= said.cycles


def on(device: Device) -> list[tuple[str, int]]:
    return [(e.name, e.counter) for e in device.people()]


@pytest.mark.parametrize("line", [("--tcp", "0"), ()], ids=["tcp", "pseudo-terminal"])
def test_two_people_are_sent_listed_asked_replaced_and_deleted(board: Board, line: tuple[str, ...]) -> None:
    told = []
    with board.start(line=line) as process, client(process) as device:
        assert device.ping() > 0
        device.load(sealed(ALICE, 1), progress=lambda done, of: told.append((done, of)))
        device.load(sealed(BOB, 2))
        assert on(device) == [("alice", 1), ("bob", 2)]
        check(device, ALICE)
        check(device, BOB)
        assert device.known_answer("bob")[0] > 0
        device.load(sealed(ALICE_AGAIN, 3), replace=True)
        check(device, ALICE_AGAIN)
        check(device, BOB)
        device.delete("alice")
        assert on(device) == [("bob", 2)]
        assert healthy(process.kill())
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]


def test_people_are_there_after_a_restart(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    with board.start() as process, client(process) as device:
        assert on(device) == [("alice", 1)]
        check(device, ALICE)


def test_the_paper_preset_on_a_whole_image(tmp_path: Path) -> None:
    p = seeded(preset("paper"))
    board = Board(compiled(tmp_path, p), tmp_path, "--units", 48)
    image = oracle.known_image(p.qnet.spec, 5)
    with board.start() as process, client(process, patience=1.0) as device:
        info = device.info()
        assert (info.rows, info.row_bytes, info.layers) == (112, 336, len(p.qnet.spec.stages))
        device.load(sealed(p, 1))
        check(device, p, image)
        assert healthy(process.kill())


def test_info_is_what_was_built(device: Device) -> None:
    device.load(sealed(ALICE, 5))
    info = device.info()
    assert (info.abi, info.architecture, info.layers) == (ABI, architecture(TINY), len(TINY.stages))
    assert (info.protocol, info.replay, info.selftest, info.board) == (1, True, True, "host")
    assert (info.people, info.free, info.counter, info.key) == (1, info.places - 1, 5, KEY.number)
    assert (info.partition, info.failures, info.wait) == (40 * 256, 0, 0)
    assert info.largest >= len(sealed(ALICE, 5))


def test_everybody_is_asked_and_the_furthest_above_their_threshold_wins(device: Device) -> None:
    people = [ALICE, BOB, person(net(TINY, 4), "carol", -5), person(net(TINY, 5), "dave", 1 << 22)]
    for counter, p in enumerate(people, 1):
        device.load(sealed(p, counter))
    for seed in range(1, 6):
        image = oracle.known_image(TINY, seed)
        above = {p.name: oracle.run(p.qnet, image).logit - p.threshold for p in people}
        said = device.verify(image)
        assert said.name == max(above, key=lambda n: above[n])
        assert said.logit - said.threshold == max(above.values())


def test_nobody_is_there_to_be_asked(device: Device) -> None:
    with refused(Code.NO_PERSON):
        device.verify(CROP)
    for call in (device.delete, device.known_answer, lambda name: device.verify(CROP, name)):
        with refused(Code.NO_PERSON):
            call("nobody")


def test_a_name_that_is_taken_needs_the_word_replace(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    with refused(Code.NAME_TAKEN):
        device.load(sealed(ALICE_AGAIN, 2))
    check(device, ALICE)


def test_the_very_same_person_sent_again_is_there_already(device: Device) -> None:
    whole, told = sealed(ALICE, 1), []
    device.load(whole)
    device.load(whole, progress=lambda done, of: told.append(done))
    assert told == [len(whole)]
    assert on(device) == [("alice", 1)]


def test_a_full_partition_takes_nobody_else_until_somebody_goes(device: Device) -> None:
    places = device.info().places
    names = [f"p{i}" for i in range(places + 1)]
    for counter, name in enumerate(names[:-1], 1):
        device.load(sealed(person(net(TINY), name), counter))
    with refused(Code.FULL):
        device.load(sealed(person(net(TINY), names[-1]), 99))
    assert [name for name, _ in on(device)] == names[:-1]
    device.delete("p0")
    device.load(sealed(person(net(TINY), names[-1]), 100))
    assert {name for name, _ in on(device)} == set(names[1:])


WHOLE = pack(ALICE, for_device=True)
BAD = {
    "cut": (sealed(ALICE, 9)[:-4], Code.NOT_SEALED),
    "grown": (sealed(ALICE, 9) + bytes(4), Code.NOT_SEALED),
    "a person.bin without a seal": (WHOLE, Code.NOT_SEALED),
    "a flipped bit": (sealed(ALICE, 9)[:300] + b"\x55" + sealed(ALICE, 9)[301:], Code.WRONG_SEAL),
    "another device's": (sealed(ALICE, 9, OTHER_KEY), Code.WRONG_SEAL),
    "another key number": (sealed(ALICE, 9, Key(2, KEY.key)), Code.WRONG_KEY),
    "an old counter": (sealed(ALICE, 3), Code.OLD),
    "the same counter": (sealed(ALICE, 5), Code.OLD),
    "another format of the seal": (resealed(b"HMsp\2" + sealed(ALICE, 9)[5:]), Code.NOT_SEALED),
    "another architecture": (wrapped(pack(STRANGER, for_device=True), 9), Code.WRONG_ENGINE),
    "an older ABI": (wrapped(changed_blob(ALICE, 24, struct.pack("<I", ABI - 1)), 9), Code.WRONG_ENGINE),
    "an older format": (wrapped(changed_blob(ALICE, 4, struct.pack("<I", 0)), 9), Code.WRONG_FORMAT),
    "a cut blob": (wrapped(WHOLE[:-8], 9), Code.WRONG_SIZE),
    "a damaged blob": (wrapped(WHOLE[:200] + b"\x7f" + WHOLE[201:], 9), Code.CORRUPT_PERSON),
    "a weight out of bounds": (wrapped(changed_blob(ALICE, len(WHOLE) - 20, b"\x80" * 4), 9), Code.CORRUPT_PERSON),
    "no known answer": (sealed(wrong_known_answer(ALICE), 9), Code.WRONG_ANSWER),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_person_that_is_not_right_is_refused_and_the_old_one_kept(device: Device, bad: str) -> None:
    device.load(sealed(ALICE_AGAIN, 5))
    data, code = BAD[bad]
    with refused(code):
        device.load(data, name="alice", replace=True)
    assert on(device) == [("alice", 5)]
    check(device, ALICE_AGAIN)
    device.load(sealed(ALICE, 10), replace=True)  # nothing of the refused one is in the way
    check(device, ALICE)


@pytest.mark.skipif(find_spec("cryptography") is None, reason="needs hyper-mcu[device]: cryptography")
def test_an_encrypted_person_is_decrypted_on_the_device_alone(board: Board) -> None:
    with board.start() as process, client(process) as device:
        assert device.info().cipher
        whole = seal(ALICE, KEY, 1, encrypt=True)
        device.load(whole)
        device.load(sealed(BOB, 2))
        check(device, ALICE)
        check(device, BOB)
        device.verify(CROP)
        assert device.known_answer("alice")[0] > 0
        assert healthy(process.kill())
    weights = pack(ALICE, for_device=True)[128:-4]
    assert whole[128:-32] in board.flash.read_bytes()
    assert weights not in board.flash.read_bytes()


@pytest.mark.skipif(find_spec("cryptography") is None, reason="needs hyper-mcu[device]: cryptography")
def test_an_encrypted_person_of_another_nonce_is_refused(device: Device) -> None:
    whole = seal(ALICE, KEY, 1, encrypt=True)
    with refused(Code.NOT_A_PERSON):
        device.load(resealed(whole[:48] + bytes(16) + whole[64:]))
    assert on(device) == []


def test_an_oversized_person_is_refused_before_it_is_sent(device: Device) -> None:
    with refused(Code.TOO_LARGE):
        device.load(bytes(device.info().largest + 4), name="large")
    with refused(Code.TOO_LARGE):
        device.load(bytes(2**20), name="large")
    assert on(device) == []


def test_a_person_of_another_name_than_announced_is_refused(device: Device) -> None:
    with refused(Code.WRONG_DIGEST):
        device.load(sealed(ALICE, 1), name="bob")
    assert on(device) == []


@pytest.mark.parametrize("name", ["", "1st", "a b", "a" * 48])
def test_a_name_that_is_none_is_refused(device: Device, name: str) -> None:
    with refused(Code.WRONG_VALUE):
        device.load(sealed(ALICE, 1), name=name)
    with refused(Code.WRONG_VALUE):
        device.delete(name)


def test_bytes_that_are_not_those_announced_are_refused(device: Device) -> None:
    whole = sealed(ALICE, 1)
    asked = struct.pack("<BI", 0, len(whole)) + bytes(32) + struct.pack("48s", b"alice")
    raw(device, Request.LOAD, tagged(device, Request.LOAD, asked))
    raw(device, Request.LOAD_PART, bytes(4) + whole)
    assert raw(device, Request.LOAD_END) == bytes([Code.WRONG_DIGEST])
    assert raw(device, Request.LOAD_END) == bytes([Code.WRONG_ORDER])
    assert on(device) == []


def raw(device: Device, request: int, payload: bytes = b"") -> bytes:
    """The whole payload of a response."""
    return device.talk.ask(request, payload)  # type: ignore[arg-type]


def tagged(device: Device, request: Request, payload: bytes) -> bytes:
    return answered(KEY, raw(device, Request.CHALLENGE)[1:], request, payload)


def test_a_wrong_key_loads_deletes_and_verifies_nothing(product: Path, tmp_path: Path) -> None:
    board = Board(product, tmp_path, *SMALL)
    with board.start() as process:
        with client(process) as device:
            device.load(sealed(ALICE, 1))
            assert device.verify(CROP, "alice").name == "alice"
            with refused(Code.NOT_HERE):
                device.verify(CROP, "alice", layers=True)
        for key in (OTHER_KEY, Key(2, KEY.key)):
            with client(process, key) as device:
                for call in (
                    lambda d: d.load(sealed(BOB, 2)),
                    lambda d: d.delete("alice"),
                    lambda d: d.verify(CROP, "alice"),
                ):
                    with refused(Code.NOT_ALLOWED):
                        call(device)
                assert on(device) == [("alice", 1)]
        with client(process, None) as device, pytest.raises(UserError, match="needs the device's key"):
            device.delete("alice")
        assert healthy(process.kill())


def test_an_answered_challenge_serves_once(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    message = tagged(device, Request.DELETE, struct.pack("48s", b"alice"))
    assert raw(device, Request.DELETE, message) == bytes([Code.OK])
    device.load(sealed(ALICE, 2))
    for _ in range(2):  # as it was, and while another challenge is open
        assert raw(device, Request.DELETE, message) == bytes([Code.NOT_ALLOWED])
        raw(device, Request.CHALLENGE)
    assert on(device) == [("alice", 2)]


def test_a_wrong_answer_spends_the_challenge(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    right = tagged(device, Request.DELETE, struct.pack("48s", b"alice"))
    assert raw(device, Request.DELETE, right[:-1] + bytes([right[-1] ^ 1])) == bytes([Code.NOT_ALLOWED])
    assert raw(device, Request.DELETE, right) == bytes([Code.NOT_ALLOWED])


def test_a_tag_is_of_one_request_alone(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    challenge = raw(device, Request.CHALLENGE)[1:]
    other = answered(KEY, challenge, Request.VERIFY, struct.pack("48s", b"alice"))
    assert raw(device, Request.DELETE, other) == bytes([Code.NOT_ALLOWED])


def test_a_request_that_comes_twice_is_executed_once(board: Board) -> None:
    with board.start() as process:
        line = open_line(process.line)
        frame, receiver, said = encode(Frame(Request.CHALLENGE, 7)), Receiver(), list[Frame]()
        line.write(frame + frame[1:] + b"console text\r\n" + frame)
        while len(said) < 3:
            said += receiver.feed(line.read(5))
        assert said[0] == said[1] == said[2]
        line.write(encode(Frame(Request.CHALLENGE, 8)))
        while len(said) < 4:
            said += receiver.feed(line.read(5))
        assert said[3].payload != said[0].payload
        line.close()


def test_the_key_is_set_once_and_lasts(program: Path, tmp_path: Path) -> None:
    board = Board(program, tmp_path, *SMALL, key=None)
    with board.start() as process, client(process) as device:
        assert device.info().key == 0
        with refused(Code.NO_KEY):
            device.load(sealed(ALICE, 1))
        with pytest.raises(UserError, match="number"):
            device.set_key(KEY.key, 0)
        device.set_key(KEY.key, KEY.number)
        with refused(Code.HAS_KEY):
            device.set_key(OTHER_KEY.key, 2)
        device.key, device.number = KEY.key, KEY.number
        device.load(sealed(ALICE, 1))
    with board.start() as process, client(process) as device:
        assert device.info().key == KEY.number
        with refused(Code.HAS_KEY):
            device.set_key(OTHER_KEY.key, 2)
        check(device, ALICE)


def test_a_new_key_number_revokes_who_was_sealed_before(board: Board) -> None:
    new = Key(2, bytes(range(7, 39)))
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    keep_key(board.key_file, new)
    with board.start() as process, client(process, new) as device:
        with refused(Code.WRONG_KEY):
            device.verify(CROP, "alice")
        with refused(Code.NO_PERSON):
            device.verify(CROP)
        device.load(sealed(BOB, 2, new))
        assert device.verify(CROP).name == "bob"


def test_a_person_whose_flash_was_changed_is_not_asked(board: Board) -> None:
    with board.start() as process, client(process) as device:
        device.load(sealed(ALICE, 1))
    whole = bytearray(board.flash.read_bytes())
    at = whole.index(sealed(ALICE, 1)[200:300])
    whole[at] ^= 1
    board.flash.write_bytes(whole)
    with board.start() as process, client(process) as device:
        for name in ("alice", ""):
            with pytest.raises(DeviceError):
                device.verify(CROP, name)


def test_an_image_of_another_size_is_refused(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    with pytest.raises(UserError, match="another size; expected 144 bytes, got 75"):
        device.verify(np.zeros((5, 5, 3), np.uint8), "alice")
    name = struct.pack("48s", b"alice")
    for sent in (143, 145):
        raw(device, Request.VERIFY, name)
        said = raw(device, Request.VERIFY_ROWS, bytes(4 + sent))
        said = raw(device, Request.VERIFY_END) if sent < 144 else said
        assert said == bytes([Code.WRONG_ROW_COUNT])
        assert raw(device, Request.VERIFY_END) == bytes([Code.WRONG_ORDER])
    check(device, ALICE)


def test_requests_out_of_order_or_of_another_form_are_refused(device: Device) -> None:
    device.load(sealed(ALICE, 1))
    for request in (Request.LOAD_END, Request.VERIFY_END):
        assert raw(device, request) == bytes([Code.WRONG_ORDER])
    for request in (Request.LOAD_PART, Request.VERIFY_ROWS):
        assert raw(device, request, bytes(8)) == bytes([Code.WRONG_ORDER])
    for request in (Request.LAYERS, Request.PROFILE):
        assert raw(device, request, bytes(4)) == bytes([Code.WRONG_ORDER])
    for request in (0, 16, 127):
        assert raw(device, request) == bytes([Code.UNKNOWN])
    for request in set(Request) - {Request.PING, Request.LOAD_PART, Request.VERIFY_ROWS}:
        assert raw(device, request, bytes(777)) == bytes([Code.WRONG_LENGTH])
    raw(device, Request.VERIFY, struct.pack("48s", b"alice"))
    assert raw(device, Request.VERIFY_ROWS, struct.pack("<I", 8)) == bytes([Code.WRONG_OFFSET]) + bytes(4)
    assert raw(device, Request.KAT, struct.pack("48s", b"alice"))[0] == Code.OK
    assert raw(device, Request.VERIFY_ROWS, bytes(8)) == bytes([Code.WRONG_ORDER])  # the self-test ended it


def test_an_unplugged_device_is_told_in_one_line(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyper_mcu.device.client.BACK", 0.5)
    with board.start() as process, client(process) as device:
        process.kill()
        with pytest.raises(LineError, match="expected a device") as e:
            device.info()
        assert "\n" not in str(e.value)
    with pytest.raises(LineError, match="cannot be opened"):
        Device(process.line)


def test_a_line_on_which_nobody_answers_is_told_with_the_remedy() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(LineError, match="no answer; does it run this firmware"):
            Device(name, patience=0.02)


@pytest.mark.parametrize("name", ["tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp::80", "tcp:localhost:70000"])
def test_a_name_of_no_line_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"expected tcp:HOST:PORT"):
        open_line(name)
