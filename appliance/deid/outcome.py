"""How de-identifying one instance can end: every way is a type, and the loop matches all of them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from appliance.dicom.element import DataSet
from appliance.dicom.meta import FileMeta
from appliance.reasons import Reason


@dataclass(frozen=True, slots=True)
class Minted:
    """A pseudonym that the result uses: the mapping must hold it before the result is seen outside.

    kind       "patient" or "uid"
    domain     identity domain of a patient; "" for a UID
    original   what it stands for: identifying, never to be logged
    pseudonym  what stands in the result
    scope      project with pseudonyms of its own; "" for the site's
    owner      pseudonym of the patient that it was met with; "" if nobody says
    """

    kind: str
    domain: str
    original: str
    pseudonym: str
    scope: str = ""
    owner: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"Minted(kind={self.kind!r}, original=***, pseudonym={self.pseudonym!r})"


@dataclass(frozen=True, slots=True)
class Hidden:
    """A box that was hidden in the pixels; the text that stood there is nowhere.

    frame  from 1, in which it was found: it is hidden in every frame that shows it; 0 for every frame
    box    left, top, right, bottom: pixels from the top left, half open
    cause  rule and line, device, or search engine with its version
    """

    frame: int
    box: tuple[int, int, int, int]
    cause: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What was done with the pixels of an instance that was looked at.

    rule      why
    frames    how many there are
    searched  how many of them the search engine looked at; those like one that it looked at need not be
    engine    its name and version; "" if none was asked
    hidden    none: looked at, and nothing was found
    """

    rule: str
    frames: int
    searched: int
    engine: str
    hidden: tuple[Hidden, ...]


@dataclass(slots=True)
class Report:
    """What was done with each element and why: tag paths, words and counts, never a value.

    lines  (tag path, action, cause), in the order of the Data Set; kept elements are counted only
    kept   how many elements stayed as they were
    codes  what 0012,0064 now claims
    pixels None: nobody needed to look at them
    """

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    kept: int = 0
    codes: tuple[str, ...] = ()
    pixels: Looked | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "codes": list(self.codes),
            "kept": self.kept,
            "elements": [{"path": path, "action": action, "cause": cause} for path, action, cause in self.lines],
            "pixels": None if self.pixels is None else asdict(self.pixels),
        }


@dataclass(frozen=True, slots=True)
class Deidentified:
    """A result that may leave.

    meta, dataset       what the writer needs, besides the source that the original's Bulk offsets refer to
    sop_instance, study, series  new UIDs; sop_class is never changed
    minted              commit these first
    patient             what stands for the patient in the mapping
    labels              of the original, by which its destinations are chosen
    """

    meta: FileMeta
    dataset: DataSet
    transfer_syntax: str
    sop_class: str
    sop_instance: str
    study: str
    series: str
    minted: tuple[Minted, ...]
    report: Report
    patient: str = ""
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Excluded:
    """A rule says: not forwarded. ``rule`` names it, with its line."""

    rule: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It must not, or cannot, be passed on. ``detail`` holds tags and counts, never a value."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """It waits for something that will come by itself, an id list for one.

    patient  domain and number of the patient whose id list it waits for: identifying, never to be logged
    """

    reason: Reason
    detail: str = ""
    patient: tuple[str, str] | None = field(default=None, repr=False)


Outcome = Deidentified | Excluded | Refused | Held
