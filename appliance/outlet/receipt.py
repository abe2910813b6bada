"""Reading a STOW-RS answer, and judging each instance by it and by nothing else.

Status alone is no evidence: Orthanc answers 400 for a batch of which it stored a part, and a server may answer 200
with an instance silently missing. What is named in the Referenced SOP Sequence is stored; what is named in the Failed
SOP Sequence is refused, for good or for now; what is not named is not acknowledged. Source: PS3.18 Section 10.5.3,
PS3.3 Table C.12-1 for the sequences, PS3.4 Table B.2-1 and PS3.7 Annex C for the reasons.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from appliance.model import Parcel
from appliance.outlet.destination import Later, Receipt, RefusedForGood, Stored, Unavailable, Verdict
from appliance.reasons import Reason

REFERENCED_SOP_SEQUENCE = "00081199"
FAILED_SOP_SEQUENCE = "00081198"
SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"
WARNING_REASON = "00081196"

DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 C.5.3

# Failures that another try may cure; every other one is for good, because the instance will not change.
PASSING = {
    0x0110: "processing failure",  # PS3.7 C.5.8
    0x0213: "resource limitation",  # PS3.7 C.5.22
}
OUT_OF_RESOURCES = range(0xA700, 0xA800)  # PS3.4 Table B.2-1, PS3.18 Table I.2-2

# 4xx by which a server may mean this very instance. Any other 4xx is about the destination.
ABOUT_THE_INSTANCE = {400, 409, 415, 422}
TOO_LARGE = 413
BUSY = {408, 425, 429}
LOGIN = {401, 403, 407}
MAY_BE_THE_REQUESTS_FAULT = {408, 500, 502, 504}  # an instance that upsets the server must not stop its neighbours

DEEPEST = 32  # levels of nesting in an answer that are followed


@dataclass(frozen=True, slots=True)
class Answer:
    """What a body says, by SOP Instance UID.

    stored    -> Warning Reason, 0 without
    failed    -> Failure Reason, 0 without
    readable  it was DICOM JSON or XML at all
    """

    stored: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    readable: bool = False


def read_answer(body: bytes) -> Answer:
    """Return what the body says; what is neither DICOM JSON nor native XML is an unreadable answer, never an error.

    The Content-Type is not asked: Orthanc 1.10 with DICOMweb 1.7 sends none with a 400.
    """
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    try:
        if start in (b"{", b"["):
            elements = _from_json(body)
        elif start == b"<":
            elements = _from_xml(body)
        else:
            return Answer()
    except (ValueError, RecursionError, expat.ExpatError):
        return Answer()
    if elements is None:
        return Answer()
    return Answer(
        stored=_named(elements.get(REFERENCED_SOP_SEQUENCE), WARNING_REASON),
        failed=_named(elements.get(FAILED_SOP_SEQUENCE), FAILURE_REASON),
        readable=True,
    )


def judge(status: int, after_s: float | None, answer: Answer, parcels: Sequence[Parcel]) -> Receipt:
    """Return the verdicts of one request.

    after_s  what Retry-After asked for
    """
    verdicts: dict[str, Verdict] = {}
    unnamed = []
    for parcel in parcels:
        verdict = _by_name(parcel.sop_instance, answer)
        if verdict is None:
            unnamed.append(parcel)
        else:
            verdicts[parcel.out] = verdict
    alone = len(parcels) == 1
    if 200 <= status < 300:
        return _accepted(status, answer, verdicts, unnamed)
    if status == TOO_LARGE:
        return Receipt(verdicts | {parcel.out: _too_large(parcel, alone=alone) for parcel in unnamed}, too_large=True)
    if status in ABOUT_THE_INSTANCE:
        refused = RefusedForGood(
            Reason.DESTINATION_REFUSED, f"HTTP {status} to this instance alone.", explained=answer.readable
        )
        verdict = refused if alone else Later(0, f"HTTP {status} to a batch; next time alone")
        return Receipt(verdicts | {parcel.out: verdict for parcel in unnamed})
    return _trouble(status, after_s, verdicts, unnamed)


def _by_name(sop_instance: str, answer: Answer) -> Verdict | None:
    """The verdict that the answer itself gives; an instance both failed and stored counts as failed."""
    if sop_instance in answer.failed:
        return _failed(answer.failed[sop_instance])
    if sop_instance in answer.stored:
        return Stored(answer.stored[sop_instance])
    return None


def _failed(code: int) -> Verdict:
    if code in PASSING or code in OUT_OF_RESOURCES:
        return Later(None, f"failure reason {code:04X}")
    if code == DUPLICATE_SOP_INSTANCE:
        # It has one of this UID and did not take ours. Whether the bytes are the same it does not say, so this is
        # no success; stow.py compares where it can.
        return RefusedForGood(Reason.ALREADY_THERE_DIFFERENT, "Failure reason 0111.")
    if code == 0:
        return Later(None, "named as failed without a reason")
    return RefusedForGood(Reason.DESTINATION_REFUSED, f"Failure reason {code:04X}.")


def _accepted(status: int, answer: Answer, verdicts: dict[str, Verdict], unnamed: Sequence[Parcel]) -> Receipt:
    later = Later(None, f"HTTP {status} without naming it")
    trouble = None
    if unnamed and not verdicts:
        # A server that names nobody, or a proxy's welcome page. Asking a million times will not help.
        what = "an answer that names none of the instances" if answer.readable else "no STOW-RS answer"
        trouble = Unavailable(
            None,
            f"it answered {status} with {what}. Check that url is the DICOMweb root and that no proxy answers for it.",
            sure=False,
        )
    return Receipt(verdicts | {parcel.out: later for parcel in unnamed}, trouble)


def _too_large(parcel: Parcel, *, alone: bool) -> Verdict:
    if alone:
        return RefusedForGood(Reason.TOO_LARGE_FOR_DESTINATION, f"HTTP 413 to {parcel.size} bytes.")
    return Later(0, "HTTP 413 to a batch; next time alone")


def _trouble(status: int, after_s: float | None, verdicts: dict[str, Verdict], unnamed: Sequence[Parcel]) -> Receipt:
    sure = status not in MAY_BE_THE_REQUESTS_FAULT or after_s is not None
    if not sure:
        verdicts = verdicts | {parcel.out: Later(None, f"HTTP {status}") for parcel in unnamed}
    return Receipt(
        verdicts,
        Unavailable(after_s, _advice(status), sure=sure),
        too_much=status >= 500 or status == 408,
    )


def _advice(status: int) -> str:
    """What happened and what to do about it, for a status that is about the destination."""
    said = f"it answered {status}"
    if status in LOGIN:
        return f"{said} to our login. Check auth and client_certificate; a new secret in the file is taken by itself."
    if 300 <= status < 400:
        return (
            f"{said}: redirects are not followed, as credentials could go to another host. Put the new address in url."
        )
    if status in BUSY or status >= 500:
        return f"{said}. See the destination's own log if it lasts."
    return f"{said}: it does not take STOW-RS there. Check that url is its DICOMweb root, which ends before /studies."


# --- reading ----------------------------------------------------------------------------------------------------------

_Items = list[dict[str, list[Any]]]  # items of a sequence: tag -> values


def _named(items: _Items | None, code_tag: str) -> dict[str, int]:
    """Return SOP Instance UID -> code of each item that names one."""
    named = {}
    for item in items or []:
        for uid in item.get(SOP_INSTANCE_UID, [])[:1]:
            if isinstance(uid, str):
                named[uid.strip(" \0")] = _code(item.get(code_tag, []))
    return named


def _code(values: list[Any]) -> int:
    """Return a US value; some servers send it as text, in decimal."""
    if values and isinstance(values[0], (int, str)) and not isinstance(values[0], bool):
        try:
            return int(values[0]) & 0xFFFF
        except ValueError:
            return 0
    return 0


def _from_json(body: bytes) -> dict[str, _Items] | None:
    """Return the two sequences of a DICOM JSON object, or of the first of an array. Source: PS3.18 Annex F."""
    found = json.loads(body)
    if isinstance(found, list):
        found = found[0] if found else None
    if not isinstance(found, dict):
        return None
    wanted = (REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE)
    return {tag: [_json_item(item) for item in _values(found.get(tag))] for tag in wanted}


def _values(element: Any) -> list[Any]:
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _json_item(item: Any) -> dict[str, list[Any]]:
    return {tag: _values(element) for tag, element in item.items()} if isinstance(item, dict) else {}


def _from_xml(body: bytes) -> dict[str, _Items] | None:
    """Return the two sequences of a Native DICOM Model. Source: PS3.19 Annex A.1."""
    reader = _NativeXml()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # A DTD is never part of an answer; refusing it shuts out entities, external or multiplying.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.Parse(body, True)
    return reader.sequences if reader.is_dicom else None


def _refuse_doctype(*_: object) -> None:
    raise ValueError("an answer with a document type declaration")


class _NativeXml:
    """Collects the items of the two sequences; everything else is passed over."""

    def __init__(self) -> None:
        self.is_dicom = False
        self.sequences: dict[str, _Items] = {REFERENCED_SOP_SEQUENCE: [], FAILED_SOP_SEQUENCE: []}
        self._tags: list[str] = []  # of the DicomAttributes we are inside of
        self._depth = 0
        self._text: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("an answer that is nested too deeply")
        kind = name.rpartition(":")[2]
        if kind == "NativeDicomModel":
            self.is_dicom = True
        elif kind == "DicomAttribute":
            self._tags.append(attributes.get("tag", "").upper())
        elif kind == "Item" and len(self._tags) == 1 and self._tags[0] in self.sequences:
            self.sequences[self._tags[0]].append({})
        elif kind == "Value" and len(self._tags) == 2:
            self._text = []

    def text(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        kind = name.rpartition(":")[2]
        if kind == "Value" and self._text is not None:
            items = self.sequences.get(self._tags[0], [])
            if items:
                items[-1].setdefault(self._tags[1], []).append("".join(self._text))
            self._text = None
        elif kind == "DicomAttribute":
            self._tags.pop()
