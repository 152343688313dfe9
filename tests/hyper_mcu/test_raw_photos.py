"""Raw photos of many people, enrolled and asked about on the host and on the emulated core."""

from pathlib import Path

import pytest

from hyper_mcu import enroll, generator
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.person_file import person_file
from hyper_mcu.faces import face_crops
from hyper_mcu.probe import ask


def quiet(text: str) -> None:
    """No progress."""


def test_most_verdicts_on_raw_photos_are_right(research_faces: Path, tmp_path: Path) -> None:
    pytest.importorskip("unicorn", reason="needs hyper-mcu[emulate]: unicorn")
    raw = research_faces / "raw"
    names = sorted({p.name.split("-")[0] for p in raw.glob("*-frontal-*.jpg")})[:8]
    photos = {n: sorted(raw.glob(f"{n}-frontal-*.jpg")) for n in names}
    right = []
    for i, name in enumerate(names):
        e = enroll.embedding(
            face_crops(photos[name][0], None, "enrol")[0], generator.load().backbone, enroll.Stopwatch()
        )
        path = tmp_path / f"{name}.h"
        path.write_text(emit(enroll.person(f"p{name}", e, generator.load(), enroll.Stopwatch(), fmr=0.1)))
        person = person_file(path)
        for probe, same in ((photos[name][1], True), (photos[names[i - 1]][1], False)):
            answer = ask(face_crops(probe, None, "probe"), path, person, ["host", "m4"], quiet)
            right.append(answer.run.match is same)
    assert sum(right) >= 12, f"{sum(right)} of {len(right)}"
