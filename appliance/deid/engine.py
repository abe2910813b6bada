"""Acting upon a Data Set: element by element, every sequence, private and unknown ones too.

The original tree is not changed; what stays is shared with it, what is new is a new Element. Only values that an
action needs are decoded.
"""

from dataclasses import dataclass, field
from typing import BinaryIO

from appliance.deid.dates import capped_age, is_time, is_zone, shifted_date, shifted_date_time
from appliance.deid.descriptors import MOST_TEXT, Descriptors, TextTooLong
from appliance.deid.dummies import dummy, padded
from appliance.deid.forms import has_form
from appliance.deid.given import ByRules
from appliance.deid.graphics import is_no_writing
from appliance.deid.outcome import Minted, Report
from appliance.deid.plain import latin, patient_number, value_of
from appliance.deid.plan import Act, Place, Step
from appliance.deid.private import SafePrivate
from appliance.deid.pseudonyms import DayRange, PatientPseudonym, Pseudonyms
from appliance.deid.roles import PUBLISHED_SCHEMES
from appliance.deid.uids import is_uid, is_well_known
from appliance.dicom.element import Bulk, DataSet, Element, Tag, tag_text
from appliance.dicom.text import ONE_VALUED, decode, encode
from appliance.dicom.unknown import sequence_in_unknown
from appliance.errors import Malformed

_BINARY = frozenset({"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV"})
_FORMED = frozenset({"DA", "DS", "DT", "IS", "TM", "UI"})
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})  # PS3.5 7.1.2
_SHORT_LIMIT = 0xFFFE
_DEEPEST = 80  # the reader's own limit is 64; unknown bytes can hold more
_KEPT_DOCUMENT = Step(Act.KEEP, Act.DUMMY, ("OB",), "accepted by an operator")
_DOCUMENT: Tag = 0x00420011
_STUDY_ID: Tag = 0x00200010
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_TEXT_ACTS = frozenset({Act.DESCRIPTOR, Act.MEANING, Act.LABEL})
_LIMITS = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10_240}  # characters of one value: PS3.5 Table 6.2-1


@dataclass(slots=True)
class Engine:
    """One instance on its way through the profile.

    patient  what stands for the patient
    own      the patient's original (domain, number)
    study    original Study Instance UID
    file     what the tree's Bulk values refer to
    keep_document  somebody has read the encapsulated document and accepted it
    keep_uids  Retain UIDs is in force
    by_rules  what the site's transformations gave and kept
    placed   the elements that the engine put in place or an option kept: the second look expects them
    minted   original -> pseudonym of every UID and patient met
    dates    original dates that were moved, YYYYMMDD
    descriptors  what free text may keep
    dated    texts that were cleaned: the second look searches them for everything but moved dates
    """

    pseudonyms: Pseudonyms
    patient: PatientPseudonym
    own: tuple[str, str]
    shift: DayRange
    study: str
    file: BinaryIO
    private: SafePrivate | None
    report: Report
    keep_document: bool = False
    keep_uids: bool = False
    by_rules: ByRules = field(default_factory=ByRules)
    placed: list[Element] = field(default_factory=list)
    minted: dict[tuple[str, str], Minted] = field(default_factory=dict)
    dates: set[str] = field(default_factory=set)
    descriptors: Descriptors | None = None
    dated: list[Element] = field(default_factory=list)
    _depth: int = 0
    _texts: int = 0  # bytes of free text met

    def clean(self, source: DataSet, place: Place, path: str = "") -> DataSet:
        """Return what may leave of ``source``, which stands at ``place``; ``path`` names it in the report."""
        if self._depth > _DEEPEST:
            raise Malformed(f"Sequences are nested deeper than {_DEEPEST}.")
        self._depth += 1
        result = DataSet({}, source.little_endian, source.charsets)
        elements, steps = result.elements, place.steps
        kept = 0
        for tag, element in source.elements.items():
            if tag & 0x10000:
                continue
            step = steps.get(tag) or place.step(tag)
            if (
                step.act is Act.KEEP
                and element.vr in step.vrs
                and type(element.value) is bytes
                and (element.vr not in _FORMED or has_form(element.value, element.vr))
            ):
                elements[tag] = element
                kept += 1
                if step.retained:
                    self.placed.append(element)
                continue
            new = self._act(step, element, source, place, path)
            if new is not None:
                elements[tag] = new
        self.report.kept += kept
        self._private(source, result, place, path)
        if self.by_rules.given:
            self.by_rules.put(source, result, place, self.placed, self.dated)
        self._depth -= 1
        return result

    def uid(self, original: str) -> str:
        """Return the UID that stands for ``original``, and note that it was used."""
        key = ("uid", original)
        known = self.minted.get(key)
        if known is None:
            pseudonym = self.by_rules.rooted(self.pseudonyms.uid(original))
            known = self.minted[key] = Minted("uid", "", original, pseudonym, self.pseudonyms.scope)
        return known.pseudonym

    def patient_id(self, original: str) -> str:
        """Return the number that stands for a patient number of the same domain."""
        domain, own = self.own
        key = ("patient", original)
        known = self.minted.get(key)
        if known is None:
            patient = self.patient
            if original != own:
                patient = self.pseudonyms.patient(domain, original, self.shift)
            known = self.minted[key] = Minted("patient", domain, original, patient.id, self.pseudonyms.scope)
        return known.pseudonym

    def descriptor(self, element: Element, source: DataSet) -> Element:
        """Return a free text with what it may keep; emptied if that is nothing."""
        value = self._cleaned(Act.DESCRIPTOR, element, source) if isinstance(element.value, bytes) else None
        return Element(element.tag, element.vr, value or b"")

    def _act(self, step: Step, element: Element, source: DataSet, place: Place, path: str) -> Element | None:
        """Return what becomes of one standard element; None when it goes. Everything but a plain keep is reported."""
        if element.tag == _DOCUMENT and self.keep_document and not path:
            step = _KEPT_DOCUMENT
        if self.by_rules.opened:
            step = self.by_rules.step(element, step)
        act = step.act
        if act is not Act.REMOVE:
            fitting = self._fitting(element, step, source)
            if fitting is None:
                self._tell(path, element.tag, "removed", "contradicts the dictionary")
                return None
            element = fitting
        new = self._done(act, step, element, source, place, path)
        if new is None and act not in (Act.REMOVE, step.otherwise):
            act = step.otherwise
            new = self._done(act, step, element, source, place, path)
        if new is element:
            self.report.kept += 1
        else:
            self._tell(path, element.tag, "removed" if new is None else act.value, step.cause)
        if new is not None and act is not Act.INTO and (new is not element or step.retained):
            (self.dated if act in _TEXT_ACTS else self.placed).append(new)
        return new

    def _done(self, act: Act, step: Step, element: Element, source: DataSet, place: Place, path: str) -> Element | None:
        """Return the element after ``act``; None when it goes or ``act`` does not fit its value."""
        if act is Act.REMOVE:
            return None
        if isinstance(element.value, list):
            return self._sequence(act, element, source, place, path)
        if isinstance(element.value, Bulk):
            return self._bulk(act, element)
        if not element.value:
            return element  # zero-length stays zero-length
        if act is Act.KEEP:
            return element if has_form(value_of(element), step.vrs[0]) else None
        if act is Act.EMPTY:
            return Element(element.tag, element.vr, b"")
        if act is Act.DUMMY:
            return self._dummy(element)
        value = self._changed(act, element, source)
        if value is None or value == element.value:
            return None if value is None else element
        return Element(element.tag, element.vr, value)

    def _changed(self, act: Act, element: Element, source: DataSet) -> bytes | None:
        """Return the new bytes of a text value; None if ``act`` does not fit it."""
        if act is Act.PATIENT_ID:
            return self._text_out(self.patient_id(patient_number(element, source)), element)
        if act is Act.PATIENT_NAME:
            return self._text_out(self.patient.id, element)
        if act in _TEXT_ACTS:
            return self._cleaned(act, element, source)
        if act is Act.GRAPHIC:
            return value_of(element) if is_no_writing(source) else None
        text = latin(element.value)
        if act is Act.STUDY_NUMBER:
            # A study's own number, not its original one's: half of all studies are number 1 somewhere.
            about = self.study if element.tag == _STUDY_ID else f"{self.own[0]}\n{self.own[1]}\n{text}"
            return self._text_out(self.pseudonyms.text(tag_text(element.tag), about), element)
        if "\\" not in text:
            one = self._value(act, text, element)
            return None if one is None else self._text_out(one, element)
        parts = [self._value(act, part, element) for part in text.split("\\")]
        values = [part for part in parts if part is not None]
        return self._text_out("\\".join(values), element) if len(values) == len(parts) else None

    def _cleaned(self, act: Act, element: Element, source: DataSet) -> bytes | None:
        """Return the bytes of a free text, a code meaning or a label with what it may keep; None if that is nothing."""
        value = value_of(element)
        if act is Act.MEANING:
            scheme = source.get(0x00080102)
            if scheme is not None and latin(scheme.value) in PUBLISHED_SCHEMES:
                return value
        if self.descriptors is None:
            return None
        self._texts += len(value)
        if self._texts > MOST_TEXT:
            raise TextTooLong(tag_text(element.tag))
        text = decode(value, element.vr, source.charsets).text
        whole = element.vr in ONE_VALUED
        parts = [text.rstrip(" \0")] if whole else [part.strip(" \0") for part in text.split("\\")]
        if act is Act.LABEL:  # whole, or a pseudonym: a part of it could meet another's
            cleaned = [part if self.descriptors.is_clean(part) else self._label(part) for part in parts]
        else:
            cleaned = [self.descriptors.cleaned(part, _LIMITS.get(element.vr)) for part in parts]
        if cleaned == parts:
            return value
        encoded, exact = encode("\\".join(cleaned), element.vr, source.charsets)
        return padded(encoded, element.vr) if exact and any(cleaned) else None

    def _label(self, text: str) -> str:
        return self.pseudonyms.text("label", f"{self.study}\n{text}")

    def _value(self, act: Act, text: str, element: Element) -> str | None:
        """Return one value of a multi-valued element changed; None if ``act`` does not fit it."""
        if act in (Act.UID, Act.CLASS_UID):
            return self._new_uid(act, text.strip(" \0"))
        if act is Act.SHIFT:
            shifted = shifted_date_time if element.vr == "DT" else shifted_date
            if text[:8].isdigit() and len(text) >= 8:
                self.dates.add(text[:8])
            return shifted(text, self.patient.offset_days)
        if act is Act.AGE:
            return capped_age(text) if text.strip() else ""
        fits = is_time if act is Act.TIME else is_zone
        return text.strip() if not text.strip() or fits(text) else None

    def _new_uid(self, act: Act, uid: str) -> str:
        if not uid or is_well_known(uid) or (act is Act.CLASS_UID and is_uid(uid)):
            return uid
        return self.uid(uid)

    def _text_out(self, text: str, element: Element) -> bytes:
        return padded(text.encode("ascii", "replace"), element.vr)

    def _dummy(self, element: Element) -> Element:
        value = element.value
        if element.vr == "UI":
            uids = [self._new_uid(Act.UID, part.strip(" \0")) for part in latin(value).split("\\")]
            return Element(element.tag, "UI", padded("\\".join(uids).encode("ascii", "replace"), "UI"))
        if element.vr in _BINARY and element.vr not in ("OB", "UN") and isinstance(value, bytes):
            return Element(element.tag, element.vr, bytes(len(value)))  # as many zeros: the VM must stay right
        return Element(element.tag, element.vr, dummy(element.tag, element.vr))

    def _sequence(self, act: Act, element: Element, source: DataSet, place: Place, path: str) -> Element | None:
        # What was written as UN is little endian always; in a big endian file it cannot be written back as it is.
        items = element.items
        if act is Act.EMPTY or any(item.little_endian != source.little_endian for item in items):
            return Element(element.tag, "SQ", [])
        if act is Act.DUMMY:
            items = items[:1]  # how many there were may tell something, and Type 1 needs one
        inside = place.inside(element.tag, removed=act is Act.DUMMY)
        at = f"{path}{tag_text(element.tag)}"
        return Element(
            element.tag,
            element.vr,
            [self.clean(item, inside, f"{at}[{number}].") for number, item in enumerate(items)],
        )

    def _bulk(self, act: Act, element: Element) -> Element | None:
        """Return what becomes of a value left in the file: kept, or gone. It is never decoded here."""
        if act is Act.KEEP and (element.tag in _PIXELS or element.vr != "UN"):
            return element
        if act is Act.DUMMY:
            return Element(element.tag, element.vr, dummy(element.tag, element.vr))
        return Element(element.tag, element.vr, b"") if act is Act.EMPTY else None

    def _fitting(self, element: Element, step: Step, source: DataSet) -> Element | None:
        """Return the element read as the dictionary says; None when its form contradicts it.

        A public attribute written as UN is acted on by its tag. Its bytes are implicit little endian: PS3.5 6.2.2.
        """
        value, expected = element.value, step.vrs
        if element.vr in expected and (element.vr == "SQ") == isinstance(value, list):
            return element
        if "SQ" in expected:
            if isinstance(value, list):
                return Element(element.tag, "SQ", value)
            if not value:
                return Element(element.tag, "SQ", [])
            items = sequence_in_unknown(element, self.file, charsets=source.charsets)
            return None if items is None else Element(element.tag, "SQ", items)
        if isinstance(value, list):
            return None
        if element.vr != "UN":
            same_kind = (element.vr in _BINARY) == (expected[0] in _BINARY)
            return element if same_kind else None
        if isinstance(value, Bulk):
            return element
        vr = expected[0] if expected[0] != "OB" or len(expected) == 1 else expected[-1]
        fits = (vr in _LONG or len(value) <= _SHORT_LIMIT) and (source.little_endian or vr not in _BINARY)
        return Element(element.tag, vr, value) if fits else None

    def _private(self, source: DataSet, result: DataSet, place: Place, path: str) -> None:
        """Carry over what Retain Safe Private lists, each with its creator; tell of the rest."""
        gone = 0
        for tag, element in source.elements.items():
            if not tag & 0x10000:
                continue
            safe = None if place.removed else self.private
            new = None if safe is None else safe.kept(element, source, self.file)
            new = element if self.by_rules.opens(element) else new
            if new is not None and isinstance(new.value, list):
                inside = place.inside(tag)
                at = f"{path}{tag_text(tag)}"
                items = [self.clean(item, inside, f"{at}[{n}].") for n, item in enumerate(new.value)]
                new = Element(tag, "SQ", items)
            if new is not None and new.vr in ("DA", "DT", "UI") and isinstance(new.value, bytes):
                new = self._private_value(new, source)
            if new is None:
                gone += 1
                continue
            result.put(new)
            creator = source.get((tag & 0xFFFF0000) | ((tag & 0xFFFF) >> 8))
            if creator is not None:
                result.put(creator)
            self.report.kept += 1
        if gone:
            self.report.lines.append((f"{path}(private)", f"removed {gone}", "Basic Profile X"))

    def _private_value(self, element: Element, source: DataSet) -> Element | None:
        act = Act.UID if element.vr == "UI" else Act.SHIFT
        if not element.value or (element.vr == "UI" and self.keep_uids):
            return element
        value = self._changed(act, element, source)
        return None if value is None else Element(element.tag, element.vr, value)

    def _tell(self, path: str, tag: Tag, action: str, cause: str) -> None:
        self.report.lines.append((path + tag_text(tag), action, cause))
