"""The networks that see and read text: found, checked, opened.

Two lie in the package ``rapidocr``, which itself is never imported: it can fetch models from the net, and what is done
with them here is little. Its wheel is what the models are shipped in. Source: PP-OCRv6 small, Apache-2.0, see the
package's MODEL_LICENSES.md. The third is our own and lies beside this file: MIT, as all that is here; tools/ink makes
it again.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from appliance.errors import CannotLook


@dataclass(frozen=True, slots=True)
class Model:
    """A network's file in an installed package, and what it must be to the byte."""

    package: str
    file: str
    sha256: str


_CARRIER = "rapidocr"
# The text map knows 4096x3328 of pixels and 8 px of letters only as well as was measured with exactly these.
SEEING = Model(
    _CARRIER, "models/PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
)
READING = Model(
    _CARRIER, "models/PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"
)
INK = Model("appliance.deid.pixels", "ink.onnx", "f6c107aec760f1944fb3f684fa68ed837b3e257aae01ef79f8c15cbee28c097f")
NAME = "PP-OCRv6-small and ink"


class Network:
    """One of the models, ready to run in this process on ``threads`` threads. Same input, same output."""

    def __init__(self, model: Model, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.use_deterministic_compute = True
        options.enable_cpu_mem_arena = False  # or one large image's memory is kept for good
        options.log_severity_level = 3  # its log is no log of ours: errors only
        self._session = onnxruntime.InferenceSession(_body(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the only output for (N, channels, height, width) values, as the model was trained with."""
        output: Any = self._session.run(None, {self._input: batch})[0]
        return np.asarray(output, dtype=np.float32)

    def metadata(self, key: str) -> str:
        return str(self._session.get_modelmeta().custom_metadata_map.get(key, ""))


def as_input(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (N, R, C) or (N, R, C, 3) as both networks want it: (N, 3, R, C), -1 to 1."""
    scaled = pictures.astype(np.float32) / 127.5 - 1.0
    if scaled.ndim == 3:
        return np.repeat(scaled[:, None], 3, axis=1)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def engine_version() -> str:
    """What a report says about the engine: the package that holds the models, and what runs them."""
    try:
        return f"rapidocr {version(_CARRIER)}, ink {INK.sha256[:8]}, onnxruntime {version('onnxruntime')}"
    except PackageNotFoundError as missing:
        raise CannotLook(_absent(f"the package {missing.name}")) from missing


def _body(model: Model) -> bytes:
    spec = find_spec(model.package)
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for file in (folder / model.file for folder in folders):
        try:
            body = file.read_bytes()
        except OSError:
            continue
        if hashlib.sha256(body).hexdigest() != model.sha256:
            raise CannotLook(
                f"The model {file.name} for finding text is not the one that was tested: its SHA-256 differs. "
                "Nothing was looked at, and nothing leaves without a look. Install the appliance's packages again."
            )
        return body
    raise CannotLook(_absent(f"{Path(model.file).name} of the package {model.package}"))


def _absent(what: str) -> str:
    return (
        f"Text in images cannot be looked for: {what} is missing. Nothing was looked at, and nothing leaves without "
        "a look. Install the appliance's packages again, with all that its lock file names."
    )
