"""hm_image: every byte, warp and verdict is the twin's, on this machine under sanitizers and on emulated cores."""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from c_programs import C11, CXX14, HOST_COMPILERS, sanitizes
from image_calls import (
    CORRUPT_PERSON,
    DEVICE,
    GUIDE,
    IDENTITY,
    KINDS,
    LANDMARKS,
    MATCH,
    NO_FACE,
    NO_FRAME,
    NO_MATCH,
    NULL_POINTER,
    NULLS,
    OK,
    ROW_BYTES,
    ROWS,
    SEARCH,
    VERIFY,
    WRONG_ROW_COUNT,
    Ask,
    Calls,
    ask,
)

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.emulate import find_emulator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import session_bytes
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.device import image
from hyper_mcu.device.image import FORMATS, PAIRS, Search
from hyper_mcu.faces.align import Warp, apply, warp_of

pytestmark = pytest.mark.skipif(not HOST_COMPILERS, reason="no gcc or clang on PATH")
SANITISE = any(sanitizes(c) for c in ("gcc", "cc"))
INT32 = (-(2**31), 2**31 - 1)


# A net for whole crops that compiles and runs in no time: what is tested is what it is shown.
SMALL = NetSpec("small@1", (Conv(5, 2, "same", 3, 4), Conv(3, 2, "same", 4, 6)), Head("dot", pool=True), 112, 112)


@pytest.fixture(scope="module")
def person():
    return seeded(SMALL)


@pytest.fixture(scope="module")
def calls(tmp_path_factory, person):
    return Calls(tmp_path_factory.mktemp("image"), person, sanitise=SANITISE)


def frame(rng, kind, height, width, gap=0):
    """A random frame whose rows lie `gap` bytes apart."""
    row = width * FORMATS[kind]
    return rng.integers(0, 256, (height, row + gap), dtype=np.uint8)[:, :row]


def around(rng, height, width, halvings, wide, off=0.0):
    """A similarity that shows a crop `wide` halved pixels wide, its middle `off` widths from that of the frame."""
    size, turn = wide / 112, rng.uniform(-np.pi, np.pi)
    a, d = size * np.cos(turn), size * np.sin(turn)
    x, y = ((side >> halvings) / 2 + off * wide * rng.uniform(-1, 1) for side in (width, height))
    q = np.array([a, -d, x - 56 * (a - d), d, a, y - 56 * (d + a)]) * 65536
    return Warp(halvings, tuple(int(v) for v in np.rint(q).clip(*INT32)))


def sides(rng, kind):
    height, width = (int(rng.choice([1, 2, 3, int(rng.integers(1, 90))])) for _ in range(2))
    return height, -(-width // 2) * 2 if kind in PAIRS else width


def expect_twins(calls, asks, frames):
    """Each call's crop is the twin's."""
    for (code, crop), a, shown in zip(calls.rows(asks), asks, frames, strict=True):
        assert code == OK
        np.testing.assert_array_equal(crop, image.crop(shown, KINDS[a.kind], a.warp), str(a.warp))


@pytest.mark.parametrize("kind", KINDS)
def test_crop_of_any_frame_is_the_twins(calls, kind):
    rng = np.random.default_rng(KINDS.index(kind))
    asks, frames = [], []
    for _ in range(60):
        height, width = sides(rng, kind)
        frames.append(frame(rng, kind, height, width, int(rng.choice([0, 0, 1, 8]))))
        halvings = int(rng.choice([0, 0, 1, 2, 3, 6]))
        wide = float(np.exp(rng.uniform(-2, 1.5))) * max(height, width) / 2**halvings
        warp = around(rng, height, width, halvings, wide, float(rng.choice([0, 0.6, 3])))
        asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    expect_twins(calls, asks, frames)


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_is_a_frame(calls, kind):
    rng = np.random.default_rng(5)
    shown = frame(rng, kind, 1, 2 if kind in PAIRS else 1)
    warps = [IDENTITY, *(around(rng, 1, 1, 0, wide) for wide in (0.01, 0.5, 3.0))]
    expect_twins(calls, [ask(ROWS, shown, kind, warp=w) for w in warps], [shown] * len(warps))


def test_a_warp_of_any_numbers_is_the_twins(calls):
    """Huge, negative and extreme coefficients, more halvings than a frame has, places that wrap in 32 bits."""
    rng, draw = np.random.default_rng(6), random.Random(6)
    asks, frames = [], []
    for n in range(250):
        kind = KINDS[n % len(KINDS)]
        height, width = sides(rng, kind)
        frames.append(frame(rng, kind, height, width))
        q16 = tuple(
            draw.choice([0, 1, -1, *INT32, 65536, -65536, draw.randint(*INT32), draw.randint(-(2**22), 2**22)])
            for _ in range(6)
        )
        warp = Warp(draw.choice([0, 0, 1, 2, 5, 12, 13, 14]), q16)
        asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    for side in (40, 41):  # in 32 bits the second half of such a row or column would come back into the frame
        for a, c in ((2**25, 0), (2**26 + 3, 5), (-(2**26), 65536 * 3), (2**31 - 1, -(2**31))):
            for warp in (Warp(0, (a, 0, c, 0, 65536, 0)), Warp(0, (65536, 0, 0, 0, a, c)), Warp(0, (0, a, c, a, 0, 0))):
                frames.append(frame(rng, "grey", side, side) | 1)
                asks.append(ask(ROWS, frames[-1], "grey", warp=warp))
    expect_twins(calls, asks, frames)


@pytest.mark.parametrize(
    ("height", "width", "halvings"), [(1, 4096, 0), (4096, 1, 0), (2, 4096, 1), (4096, 5, 2), (256, 1024, 8)]
)
def test_frames_of_the_longest_sides_are_the_twins(calls, height, width, halvings):
    rng = np.random.default_rng(width)
    frames, asks = [], []
    for kind in ("rgb565-big", "uyvy") if width % 2 == 0 else ("rgb565-little", "bgr888"):
        frames.append(frame(rng, kind, height, width))
        # the whole of the longer side, and where it ends
        step, h = 65536 * (max(height, width) >> halvings) // 111, halvings
        end = 65536 * ((max(height, width) >> h) - 30)
        flat = [(step, 0, -9, 0, 100, 0), (65536, 0, end, 0, 100, 0)]
        tall = [(0, 100, 0, step, 0, -9), (0, 100, 0, 65536, 0, end)]
        q16s = flat if width > height else tall
        asks += [ask(ROWS, frames[-1], kind, warp=Warp(h, q)) for q in q16s]
        frames.append(frames[-1])
    expect_twins(calls, asks, frames)


def test_a_frame_of_4096_by_4096_is_halved_to_a_pixel(calls):
    shown = frame(np.random.default_rng(8), "grey", 4096, 4096)
    warp = Warp(12, (2**20, 0, -(2**15), 0, 2**20, -(2**15)))  # the only pixel, half a pixel off, once
    expect_twins(calls, [ask(ROWS, shown, "grey", warp=warp)], [shown])


def test_rgb_frames_give_the_product_aligners_crop(calls):
    """For the same Warp, the 112 rows are faces.align.apply of the picture: enrolment and device see the same."""
    rng = np.random.default_rng(9)
    asks, crops = [], []
    for size in (0.4, 1.0, 1.9, 2.1, 3.5, 4.2):
        picture = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        turn = size * np.exp(1j * rng.uniform(-0.5, 0.5))
        marks = np.array([(p - 560_000 - 700_000j) / 10_000 * turn for p in (complex(*t) for t in image.TEMPLATE)])
        warp = warp_of(np.stack([marks.real + 200, marks.imag + 150], 1).astype(np.float32), 300, 400)
        asks.append(ask(ROWS, image.frame_of(picture, "rgb888"), "rgb888", warp=warp))
        crops.append(apply(warp, picture))
    assert {a.warp.halvings for a in asks} == {0, 1, 2}
    for (code, crop), wanted in zip(calls.rows(asks), crops, strict=True):
        assert code == OK
        np.testing.assert_array_equal(crop, wanted)


def test_a_smaller_net_gets_the_first_pixels_of_the_crop(tmp_path):
    small = seeded(preset("nano"))
    side = small.qnet.spec.width
    rng = np.random.default_rng(10)
    shown = frame(rng, "rgb565-big", 100, 120)
    warp = around(rng, 100, 120, 0, 90)
    data = Calls(tmp_path, small, optimise="-O0").raw([ask(ROWS, shown, "rgb565-big", warp=warp)])
    crop = np.frombuffer(data[4:], np.uint8).reshape(side, side, 3)
    np.testing.assert_array_equal(crop, image.crop(shown, "rgb565-big", warp)[:side, :side])


def impossible():
    """Frames that cannot be, each as a change of one that can."""
    good = Ask(ROWS, bytes(8 * 6 * 4), KINDS.index("yuyv"), 8, 6, 16)
    grey = replace(good, kind=KINDS.index("grey"), stride=8)
    yield from (replace(good, frame=None), replace(good, width=0), replace(good, height=0))
    yield from (replace(good, stride=15), replace(good, width=7), replace(good, kind=7), replace(good, kind=-1))
    yield from (replace(grey, width=4097, stride=4097), replace(grey, height=4097), replace(grey, height=65535))
    yield from (replace(grey, stride=-1), replace(grey, stride=0), replace(grey, height=4096, stride=2**19))
    yield replace(good, kind=KINDS.index("rgb888"), stride=23)


def test_a_frame_that_cannot_be_is_refused_and_no_pixel_is_read(calls):
    for code, crop in calls.rows(list(impossible())):
        assert code == NO_FRAME
        assert (crop == 0xA5).all()


def test_a_frame_that_cannot_be_is_never_a_match(calls):
    asks = [replace(a, op=op, person=1) for a in impossible() for op in (VERIFY, SEARCH)]
    for answer in calls.judged(asks):
        assert (answer.code, answer.decision, answer.match) == (NO_FRAME, NO_MATCH, False)
        assert (answer.logit, answer.threshold) == (-(2**31), 2**31 - 1)


def test_nulls_and_rows_that_are_none_are_refused(calls):
    data = np.frombuffer(calls.raw([ask(NULLS, np.zeros((4, 4), np.uint8), "grey")]), "<i4").reshape(-1, 2)
    assert data[:, 0].tolist() == [NULL_POINTER] * 24 + [WRONG_ROW_COUNT] * 2
    assert not data[:, 1].any()


def landmark_sets(n, seed):
    """Landmarks in 1/16 pixel: faces of all sizes and turns, faces with noise, any points, and what is no face."""
    rng = np.random.default_rng(seed)
    template = np.array(image.TEMPLATE) / 10_000 @ [1, 1j]
    for i in range(n):
        size, turn = float(np.exp(rng.uniform(np.log(0.02), np.log(60)))), rng.uniform(-np.pi, np.pi)
        marks = 16 * (template * size * np.exp(1j * turn) + complex(*rng.uniform(-2000, 5000, 2)))
        points = np.stack([marks.real, marks.imag], 1) + rng.normal(0, (0, 16 * size, 160 * size)[i % 3], (5, 2))
        if i % 5 == 4:
            points = rng.integers(-140_000, 140_000, (5, 2)) >> int(rng.integers(0, 17))
        if i % 50 == 49:
            points = rng.choice([0, 1, -(2**17), 2**17, -(2**17) - 1, 2**17 + 1, *INT32], (5, 2))
        yield [(int(x), int(y)) for x, y in np.rint(points)]


def expected_warp(make, *arguments):
    try:
        return OK, make(*arguments)
    except ValueError:
        return NO_FACE, IDENTITY


def check_landmarks(calls, n, seed):
    rng = random.Random(seed)
    sets = [*landmark_sets(n, seed), [(5, 5)] * 5, [(0, 0), (1, 0), (0, 0), (0, 0), (0, 0)]]
    sizes = [(rng.choice([1, 2, 240, 4096, rng.randint(1, 4096)]), rng.randint(1, 4096)) for _ in sets]
    asks = [Ask(LANDMARKS, b"", 0, w, h, 0, points=p) for (w, h), p in zip(sizes, sets, strict=True)]
    wanted = [expected_warp(image.warp_of_landmarks, w, h, p) for (w, h), p in zip(sizes, sets, strict=True)]
    assert calls.warps(asks) == wanted
    codes = [code for code, _ in wanted]
    assert codes[-2:] == [NO_FACE, NO_FACE]  # one point; and a face of 1/16 pixel, smaller than a crop pixel can be
    assert min(codes.count(OK), codes.count(NO_FACE)) > n // 50


def test_warps_of_landmarks_are_the_twins(calls):
    check_landmarks(calls, 2000, 1)


@pytest.mark.slow
def test_warps_of_very_many_landmarks_are_the_twins(calls):
    for seed in range(10):
        check_landmarks(calls, 20_000, seed)


def test_warps_of_guides_are_the_twins(calls):
    rng = random.Random(2)
    guides = [
        (rng.randint(-1000, 70_000), rng.randint(-1000, 70_000), rng.randint(1, 1 << rng.randint(1, 17)))
        for _ in range(500)
    ]
    ends = [0, 1, -1, 2**17, -(2**17), 2**17 + 1, -(2**17) - 1, *INT32]
    guides += [(x, y, eyes) for x in ends for y in (0, 2**17 + 1) for eyes in (8, 1600, 0, -1, *ends)]
    sizes = [(rng.randint(1, 4096), rng.choice([1, 240, 480, 4096])) for _ in guides]
    asks = [Ask(GUIDE, b"", 0, w, h, 0, guide=g) for (w, h), g in zip(sizes, guides, strict=True)]
    wanted = [
        expected_warp(image.warp_of_guide, w, h, (x, y), eyes)
        for (w, h), (x, y, eyes) in zip(sizes, guides, strict=True)
    ]
    assert calls.warps(asks) == wanted
    assert {code for code, _ in wanted} == {OK, NO_FACE}


def test_a_warp_needs_a_frame_that_can_be(calls):
    good = Ask(GUIDE, b"", 0, 320, 240, 0, guide=(2560, 1920, 640))
    wrong = [
        replace(good, op=op, **{side: n})
        for op in (GUIDE, LANDMARKS)
        for side in ("width", "height")
        for n in (0, 4097)
    ]
    assert calls.warps(wrong) == [(NO_FRAME, IDENTITY)] * len(wrong)
    assert calls.warps([good])[0][0] == OK


def test_verdicts_on_frames_are_the_oracles(calls, person):
    rng = np.random.default_rng(3)
    asks, crops = [], []
    for kind in KINDS:
        shown = frame(rng, kind, 130, 140)
        asks.append(ask(VERIFY, shown, kind, warp=around(rng, 130, 140, 0, 120)))
        crops.append(image.crop(shown, kind, asks[-1].warp))
    for answer, crop in zip(calls.judged(asks), crops, strict=True):
        wanted = oracle.run(person.qnet, crop).logit
        assert (answer.code, answer.logit, answer.threshold) == (OK, wanted, person.threshold)
        assert answer.match == (wanted >= person.threshold)
        assert answer.decision == (MATCH if answer.match else NO_MATCH)


def test_nothing_of_the_face_stays(calls, person):
    shown = frame(np.random.default_rng(4), "rgb888", 112, 112)
    good = ask(VERIFY, shown, "rgb888")
    for answer in calls.judged([good, replace(good, op=SEARCH), replace(good, person=2)]):
        assert len(answer.left) == ROW_BYTES + session_bytes(person.qnet.spec)
        assert not any(answer.left)


@pytest.mark.parametrize(("who", "code"), [(0, NULL_POINTER), (2, CORRUPT_PERSON)])
def test_a_person_that_cannot_be_used_is_never_a_match(calls, who, code):
    shown = frame(np.random.default_rng(4), "rgb888", 112, 112)
    search = Search(shifts=1, shift=2)
    asks = [ask(op, shown, "rgb888", person=who, search=search) for op in (VERIFY, SEARCH)]
    for answer in calls.judged(asks):
        assert (answer.code, answer.decision, answer.match) == (code, NO_MATCH, False)
        assert (answer.logit, answer.threshold) == (-(2**31), 2**31 - 1)


SEARCHES = [
    Search(),
    Search(shifts=1, shift=3),
    Search(scales=2, scale=4),
    Search(tilts=3, tilt=5),
    Search(shifts=1, scales=1, tilts=1, shift=2, scale=3, tilt=4),
]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: str(s.cost))
def test_search_finds_the_best_of_the_twins_tries(calls, person, search):
    rng = np.random.default_rng(11)
    shown = frame(rng, "yuyv", 150, 160)
    start = around(rng, 150, 160, 0, 130)
    (answer,) = calls.judged([ask(SEARCH, shown, "yuyv", warp=start, search=search)])
    warps = image.tries(start, search)
    logits = [oracle.run(person.qnet, image.crop(shown, "yuyv", w)).logit for w in warps]
    first = logits.index(max(logits))
    assert len(warps) == search.cost == answer.cost
    assert (answer.code, answer.logit, answer.best) == (OK, logits[first], warps[first])
    assert answer.match == (logits[first] >= person.threshold)


def test_of_equal_tries_the_first_wins(calls):
    """All crops of an even grey are one, so the guide itself is the best."""
    shown = np.full((400, 400), 90, np.uint8)
    start = Warp(0, (65536, 0, 144 << 16, 0, 65536, 144 << 16))
    (answer,) = calls.judged([ask(SEARCH, shown, "grey", warp=start, search=SEARCHES[-1])])
    assert (answer.code, answer.best) == (OK, start)


def test_a_search_out_of_bounds_is_refused(calls):
    shown = frame(np.random.default_rng(12), "grey", 9, 9)
    wrong = [
        Search(shifts=1),
        Search(scales=1),
        Search(tilts=1),
        Search(shifts=2, shift=57),
        Search(tilts=255, tilt=255),
    ]
    wrong += [Search(scales=11, scale=3), Search(tilts=13, tilt=5), Search(shifts=255, shift=255)]
    for answer in calls.judged([ask(SEARCH, shown, "grey", search=s) for s in wrong]):
        assert (answer.code, answer.cost, answer.decision, answer.match) == (NO_FACE, 0, NO_MATCH, False)
        assert answer.best == IDENTITY


def test_a_search_whose_numbers_grow_too_large_is_refused(calls):
    shown = frame(np.random.default_rng(13), "grey", 9, 9)
    start = Warp(0, (2**31 - 1, 0, 0, 0, 65536, 0))
    (answer,) = calls.judged([ask(SEARCH, shown, "grey", warp=start, search=Search(scales=1, scale=1))])
    assert (answer.code, answer.match, answer.best, answer.cost) == (NO_FACE, False, start, 3)


def test_any_search_from_any_warp_is_the_twins(calls, person):
    draw = random.Random(14)
    shown = frame(np.random.default_rng(14), "rgb565-little", 20, 24)
    asks = []
    for _ in range(40):
        q16 = tuple(draw.choice([draw.randint(-(2**k), 2**k - 1) for k in (12, 17, 24, 31)]) for _ in range(6))
        search = draw.choice([Search(0, 1, 0, 0, draw.randint(1, 32), 0), Search(0, 0, 1, 0, 0, draw.randint(1, 64)),
                              Search(1, 0, 0, draw.randint(1, 112), 0, 0)])  # fmt: skip
        asks.append(ask(SEARCH, shown, "rgb565-little", warp=Warp(draw.randint(0, 3), q16), search=search))
    for answer, a in zip(calls.judged(asks), asks, strict=True):
        try:
            warps = image.tries(a.warp, a.search)
        except ValueError:
            assert (answer.code, answer.match) == (NO_FACE, False)
            continue
        logits = [oracle.run(person.qnet, image.crop(shown, "rgb565-little", w)).logit for w in warps]
        assert (answer.code, answer.logit) == (OK, max(logits))
        assert answer.best == warps[logits.index(max(logits))]


def test_photos_by_the_detector_from_rgb565_frames(calls, person, research_faces):
    """Landmarks as the product finds them, told in 1/16 pixel; warp, crop and verdict by the C."""
    from hyper_mcu.faces.detect import detect
    from hyper_mcu.faces.photo import read_photo

    asks, shown = [], []
    for photo in sorted((research_faces / "raw").glob("*-frontal-01.jpg"))[:6]:
        picture = read_photo(photo)
        face = detect(picture)[0]
        height, width = picture.shape[:2]
        pixels = image.frame_of(picture, "rgb565-big")
        marks = image.points(face.landmarks)
        (found,) = calls.warps([ask(LANDMARKS, pixels, "rgb565-big", points=marks)])
        assert found == (OK, image.warp_of_landmarks(width, height, marks))
        asks.append(ask(VERIFY, pixels, "rgb565-big", warp=found[1]))
        shown.append(pixels)
    for answer, a, pixels in zip(calls.judged(asks), asks, shown, strict=True):
        assert answer.code == OK
        assert answer.logit == oracle.run(person.qnet, image.crop(pixels, "rgb565-big", a.warp)).logit


COSTS = {0: 2_700_000, 1: 6_900_000, 2: 12_700_000}  # instructions of a frame of RGB565, by halvings


@pytest.mark.parametrize("target", ["m4", "rv32imc"])
def test_emulated_cores_give_the_same_bytes_within_their_budget(tmp_path, person, target):
    if not shutil.which(TARGETS[target].isa.gcc.name):
        pytest.skip(f"no {TARGETS[target].isa.gcc.name} on PATH")
    try:
        find_emulator(TARGETS[target])
    except UserError as missing:
        pytest.skip(str(missing))
    core = Calls(tmp_path, person, target)
    rng = np.random.default_rng(15)
    asks, frames = [], []
    for kind in KINDS:
        for halvings in range(3):
            frames.append(frame(rng, kind, 240, 320))
            warp = around(rng, 240, 320, halvings, 150, 0.3)
            asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    expect_twins(core, asks, frames)
    assert core.calls is not None
    if target == "m4":
        for a, call in zip(asks, core.calls, strict=True):
            if KINDS[a.kind].startswith("rgb565"):
                assert call.instructions < COSTS[a.warp.halvings]
    sets = list(landmark_sets(60, 3))
    wanted = [expected_warp(image.warp_of_landmarks, 640, 480, p) for p in sets]
    assert core.warps([Ask(LANDMARKS, b"", 0, 640, 480, 0, points=p) for p in sets]) == wanted


CROSS = {
    "m4": (("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-ffreestanding"), 7_000),
    "rv32": (("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"), 8_600),
}


@pytest.mark.parametrize("core", CROSS)
def test_code_is_small_and_needs_no_library(tmp_path, person, core):
    compiler, budget = CROSS[core]
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]} on PATH")
    (tmp_path / "hm_engine.h").write_text(emit_engine(person), encoding="ascii")
    compiled(tmp_path, *compiler, *C11, "-Os")
    tool = compiler[0].removesuffix("gcc")
    sizes = subprocess.run([f"{tool}size", tmp_path / "image.o"], capture_output=True, text=True, check=True).stdout
    text, data, bss = (int(n) for n in sizes.splitlines()[1].split()[:3])
    assert (text < budget, data, bss) == (True, 0, 0), sizes
    names = subprocess.run([f"{tool}nm", "-u", tmp_path / "image.o"], capture_output=True, text=True, check=True).stdout
    wanted = set(names.split()) - {"U", "hm_begin", "hm_push_row", "hm_end", "memset", "memcpy"}
    assert wanted <= {"__ashldi3", "__ashrdi3", "__lshrdi3"}  # shifts of 64 bits, libgcc's at -Os; no division


def compiled(folder, *command):
    done = subprocess.run(
        [*command, f"-I{folder}", "-c", DEVICE / "hm_image.c", "-o", folder / "image.o"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("language", [C11, CXX14], ids=["c11", "c++14"])
@pytest.mark.parametrize("optimise", ["-O0", "-O2", "-Os"])
def test_compiles_without_a_warning(tmp_path, person, compiler, language, optimise):
    if language is CXX14 and compiler == "gcc" and not shutil.which("g++"):
        pytest.skip("no g++ on PATH (Debian: g++)")
    (tmp_path / "hm_engine.h").write_text(emit_engine(person), encoding="ascii")
    compiled(tmp_path, compiler, *language, optimise)


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")
def test_a_static_checker_has_nothing_to_say(tmp_path, person):
    (tmp_path / "hm_engine.h").write_text(emit_engine(person), encoding="ascii")
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--std=c11", "--quiet"]
    known = ["--suppress=missingIncludeSystem", "-DHM_KERNELS=HM_PORTABLE", "-D__GNUC__=12", f"-I{tmp_path}"]
    command = ["cppcheck", *checks, *known, DEVICE / "hm_image.c"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
