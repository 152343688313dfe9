"""The trained generator h_gen as shipped: one ONNX file, from a face embedding to the weights θ of a personal net."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyper_mcu import inference
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.kinds import GENERATOR_FORM, no_generator
from hyper_mcu.codegen.netspec import NetSpec, from_json
from hyper_mcu.codegen.rates import Rates
from hyper_mcu.codegen.rates import from_json as from_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 2
SHIPPED = Path(__file__).resolve().parent / "hypertrain" / "weights" / "generator.onnx"


@dataclass(frozen=True)
class Generator:
    """A generator file and what it promises.

    spec: the architecture that it writes weights for; backbone, backbone_sha256: the h_bb whose embeddings it reads, by
    the name that faces.backbone takes (of a file: its path); scales: float32 (stages,), real value of one step of each
    stage's bytes, learned in training or calibrated after it; rates: what its integer nets do to held-out people;
    first: the stages before it are the same for everybody; trained: the settings of its training.
    """

    path: Path
    sha256: str
    spec: NetSpec
    backbone: str
    backbone_sha256: str
    scales: NDArray[np.float32]
    rates: Rates
    learned: bool
    first: int
    trained: dict[str, Any]
    session: Any

    @property
    def personal(self) -> int:
        """How many weights of f differ from person to person; the others all share."""
        shared = {f"stage{i}" for i in range(self.first)}
        return sum(t.size for t in self.spec.tensors if t.name.partition(".")[0] not in shared)

    def weights(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """θ float32 (N, params), normalisation folded in, of unit embeddings (N, d)."""
        try:
            theta: NDArray[np.float32] = self.session.run(["theta"], {"embedding": embeddings})[0]
            shape = theta.shape
        except Exception as e:  # onnxruntime's exception types are its own
            raise UserError(self.path, "generator does not run", "embeddings in, weights out", type(e).__name__) from e
        if shape != (len(embeddings), self.spec.params):
            want = f"({len(embeddings)}, {self.spec.params})"
            raise UserError(self.path, "generator writes another number of weights", want, shape)
        return theta


def read(path: Path) -> bytes:
    """The bytes of a generator file; raises UserError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as e:
        got = "a folder" if path.is_dir() else (e.strerror or str(e)).lower() if path.exists() else "no such file"
        raise UserError(path, "no generator", GENERATOR_FORM, got) from e


@functools.cache
def load(path: Path = SHIPPED) -> Generator:
    """Reads a generator; raises UserError where the file is missing, is none, or belongs to another backbone."""
    import numpy as np

    from hyper_mcu.faces.backbone import backbone

    data = read(path)
    if b"\n\x08location" in data:  # the key of external data, which onnxruntime would read from the current folder
        raise UserError(path, "generator with external data", "one file", "another beside it")
    try:
        session = inference.session(data)
        meta = session.get_modelmeta().custom_metadata_map
        if meta["format"] != str(FORMAT):
            raise UserError(path, "generator format", str(FORMAT), meta["format"])
        spec = from_json(meta["netspec"])
        scales = np.array(json.loads(meta["scales"]), np.float32)
        rates = from_plain(json.loads(meta["rates"]))
        learned, trained = (json.loads(meta.get(key, plain)) for key, plain in (("qat", "false"), ("trained", "{}")))
        first = int(json.loads(meta["shape"]).get("first", 0))
        name, backbone_sha256, netspec_sha256 = (meta[k] for k in ("backbone", "backbone_sha256", "netspec_sha256"))
    except UserError:
        raise
    except Exception as e:  # onnxruntime raises its own unexported exception types for a damaged file
        raise no_generator(path, data, e) from e
    if scales.shape != (len(spec.stages),):
        raise UserError(path, "generator metadata", f"{len(spec.stages)} scales", scales.shape)
    if spec.sha256 != netspec_sha256:
        raise UserError(path, "generator of another NetSpec", netspec_sha256[:16], spec.sha256[:16])
    source = _beside(path, name)
    known = backbone(source)
    if known.sha256 != backbone_sha256:
        raise UserError(path, f"generator of another backbone {name}", known.sha256[:16], backbone_sha256[:16])
    return Generator(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        spec=spec,
        backbone=source,
        backbone_sha256=backbone_sha256,
        scales=scales,
        rates=rates,
        learned=learned,
        first=first,
        trained=trained,
        session=session,
    )


def _beside(path: Path, name: str) -> str:
    """The backbone that a generator names: a file, which was the trainer's own, is expected beside the generator."""
    from hyper_mcu.faces.backbone import CHECKPOINTS, split

    plain = split(name)[0]
    file = f"{plain}.onnx" if plain in CHECKPOINTS else plain
    if not file.endswith(".onnx"):
        return name
    if Path(file).name != file:
        raise UserError(path, "generator's backbone", "the name of a file, without a folder", file)
    if not (path.parent / file).is_file():
        raise UserError(path, f"generator of the backbone {plain}", f"{file} beside it", "no such file")
    return str(path.parent / file) + name.removeprefix(plain)
