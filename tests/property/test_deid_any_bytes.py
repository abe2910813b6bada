"""Whatever the bytes: the one door answers with an outcome, and the patient's identity is in no result.

The identity stands at several places of each original, so that damage to one leaves the proof its clues.
"""

import io
import os
from collections.abc import Callable
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.deid.outcome import Deidentified, Excluded, Held, Outcome, Refused
from appliance.deid.ruleset import Ruleset, load_rules
from appliance.dicom import part10
from appliance.errors import Malformed, NotDicom
from tests.make import make, secrets
from tests.make.deidentified import outcome_of

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
NAME, NUMBER = "Zwirnleinholz^Quasimodine", "QX00471199"
WORDS = ["Zwirnleinholz", "Quasimodine", NUMBER]
SYNTAXES = (make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN, make.DEFLATED)


@cache
def _rules() -> Ruleset:
    return load_rules(None)


@cache
def _originals() -> tuple[bytes, ...]:
    made = []
    for maker in (make.ct, make.mr, make.sr, make.presentation_state, make.pdf):
        data = maker(patient=NAME, patient_id=NUMBER)
        data.ReferringPhysicianName = data.OtherPatientNames = data.OperatorsName = NAME
        data.MedicalRecordLocator = data.AdmissionID = NUMBER
        data.StudyDescription = f"Thorax {NAME.replace('^', ' ')} {NUMBER}"
        data = make.with_private(data)
        data[0x00089215] = secrets.unknown(0x00089215, b"")
        made += [make.file(data, syntax) for syntax in SYNTAXES]
    return tuple(made)


@st.composite
def damaged(draw: Callable[..., object]) -> bytes:
    """A valid file with one or two bytes, lengths, tags or stretches changed."""
    body = bytearray(draw(st.sampled_from(_originals())))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        match draw(st.sampled_from(["set", "length", "vr", "delete", "insert", "cut", "swap"])):
            case "set":
                body[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "length":
                body[at : at + 2] = draw(st.sampled_from([b"\0\0", b"\xff\xff", b"\2\0", b"\x40\0"]))
            case "vr":
                body[at : at + 2] = draw(st.sampled_from([b"UN", b"SQ", b"LO", b"OB", b"PN", b"UI", b"DA"]))
            case "delete":
                del body[at : at + draw(st.integers(1, 16))]
            case "insert":
                body[at:at] = draw(st.binary(min_size=1, max_size=16))
            case "swap":
                body[at : at + 8] = body[at : at + 8][::-1]
            case "cut":
                del body[at:]
    return bytes(body)


def _outcome(body: bytes) -> Outcome | None:
    try:
        return outcome_of(body, _rules(), accepted={"burned-in-risk"})
    except (NotDicom, Malformed):
        return None  # refused by the reader


@settings(max_examples=EXAMPLES, deadline=None)
@given(damaged())
def test_a_damaged_original_ends_in_an_outcome_and_its_patient_in_no_result(body: bytes) -> None:
    outcome = _outcome(body)

    assert outcome is None or isinstance(outcome, Deidentified | Excluded | Held | Refused)
    if isinstance(outcome, Deidentified):
        target, source = io.BytesIO(), part10.read(io.BytesIO(body)).source
        part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, source, target)
        read = part10.read(io.BytesIO(target.getvalue()))
        read.source.seek(0)
        assert secrets.found(target.getvalue() + read.source.read(), WORDS) == []


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.text(max_size=80), st.sampled_from(["StudyDescription", "ImageComments", "SeriesDescription", "ProtocolName"])
)
def test_any_text_in_a_description_ends_in_an_outcome_and_is_not_reported(text: str, keyword: str) -> None:
    data = make.ct()
    setattr(data, keyword, text.replace("\\", " ").replace("\0", "")[:60])

    outcome = _outcome(make.file(data))

    assert outcome is None or isinstance(outcome, Deidentified | Refused)
    if isinstance(outcome, Deidentified):
        assert not secrets.found(str(outcome.report.as_json()).encode(), ["Invented"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(_originals()), st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=9, max_size=14))
def test_a_name_that_no_vocabulary_has_leaves_nowhere(body: bytes, name: str) -> None:
    name = f"q{name}x"
    renamed = body.replace(b"Zwirnleinholz", name.encode()[:13].ljust(13, b"x"))
    word = name[:13].ljust(13, "x")

    outcome = _outcome(renamed)

    if isinstance(outcome, Deidentified):
        target, source = io.BytesIO(), part10.read(io.BytesIO(renamed)).source
        part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, source, target)
        assert secrets.found(target.getvalue(), [word]) == []
