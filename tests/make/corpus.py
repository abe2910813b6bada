"""A hard corpus with its answer key: what must not come out, what must still refer, what must stay apart, what stays.

    from tests.make.corpus import make_corpus
    corpus = make_corpus()
    corpus.specimens[0].body       the bytes of a DICOM file

The same seed makes the same corpus. ``tests/make/score.py`` compares anybody's results with the key.
"""

import random
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from tests.make import make
from tests.make.corpus_people import PEOPLE, Chance
from tests.make.corpus_plants import PLANTS, where_it_stays
from tests.make.corpus_plants_hard import HARD_PLANTS
from tests.make.corpus_studies import at, research, studies_of

SYNTAXES = (make.EXPLICIT, make.IMPLICIT, make.EXPLICIT, make.DEFLATED, make.BIG_ENDIAN, make.IMPLICIT)
PLANTS_EACH = 6
DATES = ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDateTime", "StructureSetDate",
         "PresentationCreationDate", "ContentSequence/1/ContentSequence/1/Date",
         "RadiopharmaceuticalInformationSequence/0/RadiopharmaceuticalStartDateTime")  # fmt: skip


@dataclass(frozen=True)
class Secret:
    """A text that must not come out, and the plant that put it in."""

    text: str
    plant: str


@dataclass
class Specimen:
    """One file and its part of the key.

    patient     number of the patient
    secrets     must not be found in the result, in any usual encoding
    references  (path, original UID): what stands there must be what stands for that UID everywhere else
    dates       (path, original value): must keep its distance to every other date of the patient
    research    (path, value): must be equal in the result
    """

    name: str
    patient: int
    modality: str
    body: bytes
    secrets: list[Secret] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)
    dates: list[tuple[str, str]] = field(default_factory=list)
    research: list[tuple[str, object]] = field(default_factory=list)


@dataclass
class Corpus:
    """All files."""

    specimens: list[Specimen]

    @property
    def planted(self) -> int:
        """How many secrets there are."""
        return sum(len(specimen.secrets) for specimen in self.specimens)


def make_corpus(seed: int = 3) -> Corpus:
    """Return the corpus: ten patients, twenty studies, four hundred instances."""
    chance, turn = Chance(seed), random.Random(seed)
    order = [*PLANTS, *HARD_PLANTS]
    specimens = []
    for number, person in enumerate(PEOPLE):
        for name, data, references in studies_of(person, number):
            secrets = [Secret(text, "identity") for text in (*person.words, person.number)]
            secrets += [Secret(_uid, "uid") for _uid in (data.SOPInstanceUID, data.StudyInstanceUID)]
            wanted = [(path, _plain(at(data, path))) for path in research(data)]
            for plant in _next(order, turn):
                secrets += [Secret(text, plant.__name__) for text in plant(data, person, chance)]
            if turn.random() < 0.01:
                secrets += [Secret(text, "where_it_stays") for text in where_it_stays(data, person, chance)]
                wanted = [(path, value) for path, value in wanted if path != "ImageType"]
            specimens.append(_specimen(name, number, data, secrets, references, wanted, len(specimens)))
    return Corpus(specimens)


def _next(order: list, turn: random.Random) -> list:  # type: ignore[type-arg]
    """Deal plants like cards: every one comes equally often, in ever new company."""
    picked = order[:PLANTS_EACH]
    rest = order[PLANTS_EACH:] + picked
    turn.shuffle(rest)
    order[:] = rest
    return picked


def _specimen(
    name: str,
    patient: int,
    data: Dataset,
    secrets: list[Secret],
    references: list[tuple[str, str]],
    wanted: list[tuple[str, object]],
    count: int,
) -> Specimen:
    syntax = SYNTAXES[count % len(SYNTAXES)]
    hidden = f"PREAMBLE{count:05d}Q"
    body = make.file(data, syntax, preamble=hidden.encode().ljust(128), SourceApplicationEntityTitle=f"AE{count:05d}Q")
    secrets += [Secret(hidden, "preamble"), Secret(f"AE{count:05d}Q", "file meta")]
    dates = [(path, str(at(data, path))) for path in DATES if at(data, path)]
    return Specimen(name, patient, data.Modality, body, secrets, references, dates, wanted)


def _plain(value: object) -> object:
    """A value that compares by itself."""
    return value if isinstance(value, bytes) else str(value)
