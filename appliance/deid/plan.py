"""What to do with each attribute, worked out once for a SOP Class and a set of options: one look-up an element.

A ``Place`` is the Data Set at the top of a SOP Class, or the items of a sequence in it. It learns a ``Step`` for each
tag it meets and remembers it; there are only as many as the dictionary has, so a Place is bounded whatever comes in.
Source: PS3.15 Annex E.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pydicom.datadict import get_entry

from appliance.deid.roles import (
    CODE_MEANING,
    CONTENT,
    DATES,
    DESCRIBES,
    DRAWN_TEXT,
    FREE_TEXT,
    GRAPHIC_DATA,
    KEYS_BY_HAND,
    KNOWN_BYTES,
    LIKE_LISTED,
    NAMES_BY_HAND,
    NEVER,
    PUBLISHED_DATES,
    TERMS,
    TEXT_VALUE,
    WRITTEN,
)
from appliance.deid.standard import Row, Standard
from appliance.deid.uids import CLASS_ROLES
from appliance.dicom.dictionary import keyword_of
from appliance.dicom.element import Tag

OPTION_CODES: dict[str, tuple[str, str]] = {  # PS3.16 CID 7050
    "CleanPixelData": ("113101", "Clean Pixel Data Option"),
    "CleanRecognizableVisualFeatures": ("113102", "Clean Recognizable Visual Features Option"),
    "CleanGraphics": ("113103", "Clean Graphics Option"),
    "CleanStructuredContent": ("113104", "Clean Structured Content Option"),
    "CleanDescriptors": ("113105", "Clean Descriptors Option"),
    "RetainLongitudinalFullDates": (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    "RetainLongitudinalModifiedDates": (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    "RetainPatientCharacteristics": ("113108", "Retain Patient Characteristics Option"),
    "RetainDeviceIdentity": ("113109", "Retain Device Identity Option"),
    "RetainUIDs": ("113110", "Retain UIDs Option"),
    "RetainSafePrivate": ("113111", "Retain Safe Private Option"),
    "RetainInstitutionIdentity": ("113112", "Retain Institution Identity Option"),
}
BASIC_CODE = ("113100", "Basic Application Confidentiality Profile")

# Options of the Annex that this program carries out; the others must not be asked for, still less claimed.
CARRIED_OUT = frozenset(OPTION_CODES) - {
    "CleanPixelData",
    "CleanRecognizableVisualFeatures",
}


class Act(Enum):
    """What happens to an element."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "new uid"
    CLASS_UID = "keep class uid"
    SHIFT = "shift date"
    TIME = "keep time"
    ZONE = "keep time zone"
    AGE = "cap age"
    PATIENT_ID = "new patient id"
    PATIENT_NAME = "new name"
    STUDY_NUMBER = "new number"
    MEANING = "clean code meaning"
    DESCRIPTOR = "clean text"
    LABEL = "clean label"
    GRAPHIC = "clean graphic"
    INTO = "into sequence"


_PLACED: dict[Tag, Act] = {  # Z or Z/D in the table; the dummy that we place is a pseudonym
    0x00100010: Act.PATIENT_NAME,
    0x00100020: Act.PATIENT_ID,
    0x00080050: Act.STUDY_NUMBER,  # Accession Number
    0x00200010: Act.STUDY_NUMBER,  # Study ID: emptied, archives merge studies of one day
}


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with one attribute at one place.

    act        what to do
    otherwise  what to do with a value that ``act`` does not fit (no date, for one); never KEEP
    vrs        VRs of the dictionary
    cause      column of the table, or rule, in words
    retained   kept because an option says so: the second look does not search here
    """

    act: Act
    otherwise: Act
    vrs: tuple[str, ...]
    cause: str
    retained: bool = False


_SIMPLE = {"X": Act.REMOVE, "Z": Act.EMPTY, "D": Act.DUMMY, "U": Act.UID, "U*": Act.INTO}


def code_for(basic: str, kind: str | None) -> str:
    """Return the one code that a combination means for an attribute of Type ``kind`` in its IOD; None is not known.

    Never less than the Type needs: an X on a Type 1 attribute is D, a Z is D. X/Z/U* is always U*: the references
    stay and their UIDs are new. Source: PS3.15 E.1.1, Table E.1-1a.
    """
    if basic.endswith("U*"):
        return "U*"
    codes = basic.split("/")
    if kind is None:
        return codes[-1]
    if basic in ("D", "U"):
        return basic
    return {"1": "D", "2": "Z" if "Z" in codes or codes == ["X"] else "D"}.get(kind, codes[0])


class Place:
    """A Data Set in an IOD: which step each attribute gets.

    types     {tag: (Type, nodes inside)}; None when the IOD or this sequence is not known
    content   inside a structured content tree that is cleaned
    removed   inside a sequence of code D: everything readable becomes a dummy
    """

    def __init__(
        self,
        standard: Standard,
        options: frozenset[str],
        nodes: Iterable[int] | None,
        *,
        content: bool = False,
        removed: bool = False,
    ) -> None:
        self.steps: dict[Tag, Step] = {}
        self._insides: dict[tuple[Tag, bool], Place] = {}
        self._standard = standard
        self._options = options
        self._types = None if nodes is None else standard.attributes(nodes)
        self.content = content
        self.removed = removed

    def step(self, tag: Tag) -> Step:
        """Return what to do with a standard (even-group) attribute here."""
        known = self.steps.get(tag)
        if known is None:
            known = self.steps[tag] = self._learn(tag)
        return known

    def inside(self, tag: Tag, *, removed: bool = False) -> "Place":
        """Return the place that the items of a sequence here are."""
        removed = removed or self.removed
        place = self._insides.get((tag, removed))
        if place is None:
            place = self._insides[tag, removed] = self._deeper(tag, removed)
        return place

    def _deeper(self, tag: Tag, removed: bool) -> "Place":
        content = self.content or (tag in CONTENT and "CleanStructuredContent" in self._options)
        known = None if self._types is None else self._types.get(tag)
        if known is None and self._types is None and (content, removed) == (self.content, self.removed):
            return self  # unknown within unknown is the same place, however deep a file nests
        nodes = None if known is None else known[1]
        return Place(self._standard, self._options, nodes, content=content, removed=removed)

    def _learn(self, tag: Tag) -> Step:
        vrs = dictionary_vrs(tag)
        if _is_structure(tag) or not vrs or tag in NEVER:
            return Step(Act.REMOVE, Act.REMOVE, vrs or ("UN",), "not known" if not vrs else "never passed on")
        row = self._standard.rows.get(tag)
        step = self._unlisted(tag, vrs) if row is None else self._listed(tag, row, vrs)
        if self.removed:
            return _within_removed(step)
        texts = "CleanDescriptors" in self._options
        if tag == CODE_MEANING and (self.content or texts):
            return Step(Act.MEANING, Act.DUMMY, vrs, "CleanStructuredContent" if self.content else "CleanDescriptors")
        if self.content and tag == TEXT_VALUE:
            return Step(Act.DESCRIPTOR if texts else Act.DUMMY, Act.DUMMY, vrs, "CleanStructuredContent")
        return step

    def _kind(self, tag: Tag) -> str | None:
        """Return the Type of an attribute here; what a known IOD does not list is an extension: Type 3."""
        return None if self._types is None else self._types.get(tag, ("3", ()))[0]

    def _listed(self, tag: Tag, row: Row, vrs: tuple[str, ...]) -> Step:
        basic = _SIMPLE[code_for(row.basic, self._kind(tag))]
        for option, code in row.options:
            if option not in self._options:
                continue
            if code == "K":
                # What describes the patient is no reason to name the patient: the second look searches it.
                return Step(_kept(vrs), basic, vrs, option, retained=option != "RetainPatientCharacteristics")
            act = self._cleaned(tag, option, vrs)
            if act is not None:
                return Step(act, basic, vrs, option)
        if tag == DRAWN_TEXT and "CleanGraphics" in self._options:
            return Step(Act.DESCRIPTOR, basic, vrs, "CleanGraphics")
        placed = _PLACED.get(tag)
        return Step(placed or basic, basic, vrs, f"Basic Profile {row.basic}")

    def _cleaned(self, tag: Tag, option: str, vrs: tuple[str, ...]) -> Act | None:
        """Return how code C of an option is carried out here; None if it is not: the basic code applies."""
        if option == "CleanStructuredContent":
            return Act.INTO
        if option == "RetainDeviceIdentity":
            return Act.LABEL if vrs[0] == "AE" else None  # another name for each: which one it was stays visible
        if option == "CleanGraphics":
            return Act.INTO if vrs[0] == "SQ" else None  # bits of overlays and curves cannot be read: they go
        if option in ("CleanDescriptors", "RetainPatientCharacteristics"):
            return Act.INTO if vrs[0] == "SQ" else Act.DESCRIPTOR if vrs[0] in WRITTEN else None
        if option == "RetainLongitudinalModifiedDates" and tag not in PUBLISHED_DATES:
            return _moved(vrs)
        return None

    def _unlisted(self, tag: Tag, vrs: tuple[str, ...]) -> Step:
        """Return the step of an attribute without a row: by role or kind, else it stays. Source: PS3.15 E.1.1."""
        vr = vrs[0]
        careful = _SIMPLE[code_for("X/Z/D", self._kind(tag))]
        if vr == "SQ":
            return Step(Act.INTO, Act.REMOVE, vrs, "sequence")
        if vr == "UI" and "RetainUIDs" in self._options:
            return Step(Act.KEEP, Act.UID, vrs, "RetainUIDs", retained=True)
        if vr == "UI":
            return Step(Act.CLASS_UID if tag in CLASS_ROLES else Act.UID, Act.UID, vrs, "UID by role")
        if vr in DATES or vr == "TM":
            for option in ("RetainLongitudinalFullDates", "RetainLongitudinalModifiedDates"):
                if option in self._options:
                    act = _kept(vrs) if option.endswith("FullDates") else _moved(vrs)
                    return Step(act or careful, careful, vrs, option, retained=option.endswith("FullDates"))
            return Step(careful, careful, vrs, f"unlisted {vr}")
        free = vr in FREE_TEXT and tag not in TERMS
        drawn = self._by_hand(tag, vrs, careful, free=free)
        if drawn is not None:
            return drawn
        if vr == "PN" or free or tag in LIKE_LISTED or (vrs == ("OB",) and tag not in KNOWN_BYTES):
            return Step(careful, careful, vrs, f"unlisted {vr}")
        return Step(Act.KEEP, careful, vrs, "not listed")

    def _by_hand(self, tag: Tag, vrs: tuple[str, ...], careful: Act, *, free: bool) -> Step | None:
        """Return the step of what somebody typed or drew where the table has no row; None if it is no such thing."""
        graphics = "CleanGraphics" in self._options
        if tag in KEYS_BY_HAND and (graphics or "CleanDescriptors" in self._options):
            return Step(Act.LABEL, Act.DUMMY, vrs, "CleanGraphics" if graphics else "CleanDescriptors")
        if tag == GRAPHIC_DATA and graphics:
            return Step(Act.GRAPHIC, Act.DUMMY, vrs, "CleanGraphics")
        if "CleanDescriptors" not in self._options or vrs[0] not in WRITTEN or tag in TERMS:
            return None
        if free or tag in NAMES_BY_HAND or DESCRIBES.search(keyword_of(tag)) is not None:
            return Step(Act.DESCRIPTOR, careful, vrs, "CleanDescriptors")
        return None


def dictionary_vrs(tag: Tag) -> tuple[str, ...]:
    """Return the VRs that PS3.6 gives an attribute; none if it is not known (or was never given a name)."""
    try:
        vrs, _, _, _, keyword = get_entry(tag)
    except KeyError:
        return ()
    return tuple(vrs.split(" or ")) if keyword and vrs != "NONE" else ()


def _is_structure(tag: Tag) -> bool:
    """Whether an element belongs to no Data Set that is forwarded: commands, File Meta, DICOMDIR, curves, overlays."""
    group, number = tag >> 16, tag & 0xFFFF
    return (
        number == 0  # group lengths: wrong once anything changed
        or group < 0x0008
        or 0x5000 <= group < 0x5100
        or 0x6000 <= group < 0x6100
        or (0x7F00 <= group < 0x8000 and group != 0x7FE0)
        or group >= 0xFFF0  # signatures FFFA,FFFA and padding FFFC,FFFC too
    )


def _kept(vrs: tuple[str, ...]) -> Act:
    return {"SQ": Act.INTO, "AS": Act.AGE}.get(vrs[0], Act.KEEP)


def _moved(vrs: tuple[str, ...]) -> Act | None:
    return {"DA": Act.SHIFT, "DT": Act.SHIFT, "TM": Act.TIME, "SH": Act.ZONE}.get(vrs[0])


_TEXTUAL = frozenset({"AE", "AS", "DA", "DT", "LO", "LT", "OB", "PN", "SH", "ST", "TM", "UC", "UN", "UR", "UT"})
_DRAWN = frozenset({"FD", "FL"})  # handwriting is a text too: graphics become points at the origin


def _within_removed(step: Step) -> Step:
    """Return the step inside a sequence of code D: structure and numbers stay, what can be read does not."""
    if step.act in (Act.REMOVE, Act.EMPTY, Act.INTO, Act.UID, Act.CLASS_UID):
        return step
    readable = step.vrs[0] in _TEXTUAL or step.vrs[0] in _DRAWN
    return Step(Act.DUMMY if readable else step.act, Act.DUMMY, step.vrs, "within a removed sequence")
