"""The phantom that ``appliance doctor --through`` sends, and whether anything of it is still in what came out."""

import io
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from appliance.dicom import phantom

PATIENT = "APPLIANCE-DOCTOR"  # always this one: the mapping knows one phantom, however often doctor is run
NAME = "Appliancedoctor^Testpatient"
WARD = "Nobodys Ward"
BORN = "19700101"

_DAY = datetime(2001, 2, 3)  # noqa: DTZ001 - a DICOM study has no time zone; no day of today, which stamps hold
_SAFE_S = 86_000  # within the day
_PERSON = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber")
_OTHER = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"),
    *("InstitutionName", "ReferringPhysicianName", "StudyDate"),
)
_DATES = frozenset({"DA", "DT"})


@dataclass(frozen=True, slots=True)
class Phantom:
    """One instance of nobody. ``values``: keyword -> what must not come out."""

    sop_instance: str
    body: bytes = field(repr=False)
    values: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CameOut:
    """What of a phantom is in what came out, by keyword.

    person     of the patient's own
    other      of UIDs, names and dates that a site's rules may keep on purpose
    pseudonym  the patient's number there; "" if what came out cannot be read
    """

    person: tuple[str, ...]
    other: tuple[str, ...]
    pseudonym: str


def made() -> Phantom:
    """Make a phantom: another study each time, of the same patient."""
    when = _DAY + timedelta(microseconds=secrets.randbelow(_SAFE_S * 1_000_000))
    [(uid, body)] = phantom.study(name=NAME, patient_id=PATIENT, born=BORN, when=when, slices=1, institution=WARD)
    data = pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True)
    return Phantom(uid, body, {keyword: str(data.get(keyword)) for keyword in (*_PERSON, *_OTHER)})


def looked_at(phantom_sent: Phantom, body: bytes) -> CameOut:
    """Search what came out for the phantom's values: text anywhere in its bytes, dates in its dates."""
    try:
        data = pydicom.dcmread(io.BytesIO(body))
        dates = _dates(data)
        pseudonym = str(data.get("PatientID", ""))
    except (InvalidDicomError, ValueError, AttributeError, NotImplementedError):
        dates, pseudonym = set(), ""
    folded = body.lower()

    def is_in(keyword: str) -> bool:
        value = phantom_sent.values[keyword]
        if keyword.endswith("Date"):
            return any(value in date for date in dates)
        # A name is searched for by its parts too, each of which is nobody else's; the referring physician's are words.
        parts = [value, *value.split("^")] if keyword == "PatientName" else [value]
        return any(part.lower().encode() in folded for part in parts)

    return CameOut(
        tuple(keyword for keyword in _PERSON if is_in(keyword)),
        tuple(keyword for keyword in _OTHER if is_in(keyword)),
        pseudonym,
    )


def _dates(data: Dataset) -> set[str]:
    """Return every date in it, at any depth."""
    return {str(element.value) for element in data.iterall() if element.VR in _DATES}
