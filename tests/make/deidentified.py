"""What the tests of this room share: an instance through the one door, and back as pydicom reads it."""

import io
from pathlib import Path
from typing import Any

import pydicom

from appliance.deid.instance import deidentify
from appliance.deid.outcome import Deidentified, Outcome
from appliance.deid.pixels.looking import Pixels
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.ruleset import Ruleset, load_rules
from appliance.deid.transcode import Scratch
from appliance.dicom import part10
from appliance.model import Provenance
from tests.make import make

KEY = b"a key for tests, 32 bytes long.."


def outcome_of(
    body: bytes,
    rules: Ruleset,
    *,
    key: bytes = KEY,
    accepted: Any = (),
    domain: str = "site",
    provenance: Provenance | None = None,
    pixels: Pixels | None = None,
    scratch: Scratch | None = io.BytesIO,
) -> Outcome:
    """What becomes of the bytes of a DICOM file."""
    return deidentify(
        part10.read(io.BytesIO(body)),
        rules=rules,
        pseudonyms=KeyedPseudonyms(key, "st"),
        provenance=provenance or Provenance("CT1"),
        accepted=frozenset(accepted),
        domain=domain,
        pixels=pixels,
        scratch=scratch,
    )


def written(body: bytes, rules: Ruleset, **how: Any) -> bytes:
    """The bytes of the de-identified file; fails if it is withheld."""
    outcome = outcome_of(body, rules, **how)
    assert isinstance(outcome, Deidentified), outcome
    target = io.BytesIO()
    part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, part10.read(io.BytesIO(body)).source, target)
    return target.getvalue()


def passed(data: pydicom.Dataset, rules: Ruleset, syntax: str = make.EXPLICIT, **how: Any) -> pydicom.Dataset:
    """The de-identified instance as pydicom reads it."""
    return pydicom.dcmread(io.BytesIO(written(make.file(data, syntax), rules, **how)), force=True)


def rules_from(text: str, folder: Path) -> Ruleset:
    """The rules that this text says."""
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return load_rules(folder / "rules.yaml")
