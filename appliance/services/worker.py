"""What one worker process does with one original: read it, de-identify it, write the result where it was told.

It knows no database, no network and no other instance. A job goes in, a result comes out; what it wrote is durable in
the staging folder and still nowhere: the parent decides. The offline command runs the same function.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from appliance.bounds import Pixels
from appliance.config import Missing
from appliance.deid.account import account_of, study_name
from appliance.deid.instance import STUDY, deidentify, patient_of
from appliance.deid.outcome import Deidentified, Excluded, Held, Looked, Minted, Refused
from appliance.deid.pseudonyms import KeyedPseudonyms, Pseudonyms, project_key
from appliance.deid.ruleset import Ruleset, RulesFile
from appliance.deid.uids import is_uid
from appliance.dicom import part10
from appliance.errors import Malformed, NotDicom
from appliance.mapping.listed import Book, ListedPseudonyms
from appliance.mapping.met import met_of
from appliance.mapping.store import Met, index_key
from appliance.model import Provenance
from appliance.reasons import Reason
from appliance.services.looker import Look, Looker, limit_memory
from appliance.spool.files import CHUNK, open_regular
from appliance.spool.reports import Body, packed
from appliance.watch.logs import start_logging

log = logging.getLogger(__name__)

# What any instance would meet at this moment.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Job:
    """One original to de-identify.

    staged     where the result is to be written; the parent renames it into ready
    announced  SOP Class and SOP Instance UID that the sender gave with C-STORE; "" where nobody announced
    accepted   codes of reasons that an operator accepted for these bytes
    domain     identity domain of the Patient ID
    destinations  names; the rules say which of them the result goes to
    """

    id: str
    round: int
    original: Path
    staged: Path
    provenance: Provenance
    announced: tuple[str, str]
    accepted: frozenset[str]
    domain: str
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A de-identified file lies, durable, at ``staged``. UIDs are new; digests are SHA-256 of Data Sets, in hex."""

    staged: Path
    sop_class: str
    sop_instance: str
    study: str
    series: str
    transfer_syntax: str
    size: int
    digest: str
    original_digest: str
    rules_digest: str
    minted: tuple[Minted, ...]
    account: Body  # what was done to it, to be kept
    pixels: Looked | None = None
    patient: str = ""  # pseudonym
    destinations: tuple[str, ...] = ()
    met: Met | None = None  # who, in which study: keyed hashes


@dataclass(frozen=True, slots=True)
class Withheld:
    """Nothing was made; the reason says whether that is quarantine, waiting for an identity, or exclusion by rule.

    study   pseudonymous Study Instance UID; "" if it could not be read
    awaits  (scope, domain, number) of the patient whose id list it waits for: identifying, never to be logged
    """

    reason: Reason
    detail: str
    original_digest: str = ""
    study: str = ""
    rules_digest: str = ""
    awaits: tuple[str, str, str] | None = field(default=None, repr=False)
    met: Met | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """The machine could not, whatever the instance is: a full disk, for one. To be tried again as it is.

    ``errno_name`` says what the operating system answered; ``unreadable`` that it is the original which it does not
    give back: its own trouble, and nobody else's.
    """

    errno_name: str
    unreadable: bool = False


Result = Made | Withheld | Postponed


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to equip itself; it travels to the process by pipe, so the key touches no disk.

    mapping  the store whose id lists, opt-outs and erasures count; None: there is none, the key alone makes pseudonyms
    missing  project -> what becomes of a patient whom no id list names; left out: mint
    pixels   what looking at pixels may cost
    """

    site: str
    key: bytes
    rules: Mapping[str, RulesFile]  # by project, as they were read: a worker that follows another has the same
    own_pseudonyms: frozenset[str]  # projects that cannot be linked with others
    issuers: tuple[str, ...]
    max_header: int  # bytes
    mapping: Path | None = None
    missing: Mapping[str, Missing] = field(default_factory=dict)
    pixels: Pixels = field(default_factory=Pixels)


@dataclass(frozen=True, slots=True)
class Equipment:
    """Rules and pseudonyms by project, and who looks at pixels."""

    rules: Mapping[str, Ruleset]
    pseudonyms: Mapping[str, Pseudonyms]
    max_header: int
    looker: Looker
    index_key: bytes = field(repr=False)


def equip(recipe: Recipe, *, alive: Callable[[], None] | None = None) -> Equipment:
    """Load what the recipe names; raises ConfigError for rules that are not valid.

    alive  hears of each step; where it is given, the process may be ended when a step takes too long
    """
    book = None if recipe.mapping is None else Book(recipe.mapping, recipe.key)
    return Equipment(
        rules={project: file.ruleset() for project, file in recipe.rules.items()},
        pseudonyms={project: _pseudonyms(recipe, project, book) for project in recipe.rules},
        max_header=recipe.max_header,
        index_key=index_key(recipe.key),
        looker=Looker(recipe.pixels, alive),
    )


def equip_process(recipe: Recipe, alive: Callable[[], None], *, level: str = "INFO") -> Equipment:
    """``equip`` for a process of its own, with its bounds; ``alive`` as for ``Pool``.

    Its log lines then are as everybody's: no exception's words, no values.
    """
    start_logging("deidentify", sys.stderr, level=level)
    limit_memory(recipe.pixels.memory_mb)
    return equip(recipe, alive=alive)


def _pseudonyms(recipe: Recipe, project: str, book: Book | None) -> Pseudonyms:
    own = project in recipe.own_pseudonyms
    key = project_key(recipe.key, project) if own else recipe.key
    keyed = KeyedPseudonyms(key, recipe.site, project if own else "", recipe.issuers)
    return keyed if book is None else ListedPseudonyms(keyed, book, recipe.missing.get(project, "mint"))


def work(equipment: Equipment, job: Job, *, opened: Callable[[Path], BinaryIO] = open_regular) -> Result:
    """Do one job. Whatever it raises becomes ``unexpected`` for this instance: its neighbours go on."""
    try:
        with opened(job.original) as file:
            return examine(equipment, job, file)
    except FileNotFoundError:
        return Withheld(Reason.ORIGINAL_MISSING, "")
    except OSError as error:
        return Postponed(errno.errorcode.get(error.errno or 0, "unknown"), _is_unreadable(job.original, error, opened))
    except Exception as error:
        log.exception("unexpected", extra={"spool_id": job.id})
        return Withheld(Reason.UNEXPECTED, f"{type(error).__name__} in the program.")


def _is_unreadable(original: Path, error: OSError, opened: Callable[[Path], BinaryIO]) -> bool:
    """Whether it was the original that could not be read: it is read once more, since the result is written too."""
    if error.errno in _OF_THE_MACHINE:
        return False
    try:
        with opened(original) as file:
            while file.read(CHUNK):
                pass
    except OSError as again:
        return again.errno not in _OF_THE_MACHINE
    return False


def examine(equipment: Equipment, job: Job, file: BinaryIO) -> Result:
    """Return what becomes of the original in ``file``: Made, with the result durable at ``job.staged``, or Withheld."""
    try:
        original = part10.read(file, max_header=equipment.max_header)
    except part10.TooLargeToRead as error:
        return Withheld(Reason.TOO_LARGE_TO_READ, str(error))
    except NotDicom as error:
        return Withheld(Reason.NOT_DICOM, str(error))
    except Malformed as error:
        return Withheld(Reason.MALFORMED, str(error))
    digest = part10.digest(file, original.dataset_offset)
    result = _decided(equipment, job, original, digest)
    study = original.uid(STUDY)
    if not is_uid(study):
        return result
    met = _met(equipment, job, original, study)
    if isinstance(result, Made):
        return replace(result, met=None if met is None else replace(met, left_as=result.study))
    project = job.provenance.project
    rules = equipment.rules[project]
    name = study_name(study, rules, equipment.pseudonyms[project])
    return replace(result, study=name, rules_digest=rules.digest, met=met)


def _met(equipment: Equipment, job: Job, original: part10.Part10, study: str) -> Met | None:
    """Who was met in which study, whatever becomes of the instance; None for who has no number."""
    issuers = equipment.pseudonyms[job.provenance.project].issuers
    try:
        domain, number = patient_of(original.dataset, job.domain, issuers)
    except Malformed:
        return None
    return met_of(equipment.index_key, study, domain, number) if number else None


def _decided(equipment: Equipment, job: Job, original: part10.Part10, digest: str) -> Made | Withheld:
    mismatch = _mismatch(original, job)
    if mismatch and Reason.UID_MISMATCH.value not in job.accepted:
        return Withheld(Reason.UID_MISMATCH, mismatch, digest)
    with equipment.looker.beside(job.staged.parent) as look:
        return _cleaned(equipment, job, original, digest, look)


def _cleaned(equipment: Equipment, job: Job, original: part10.Part10, digest: str, look: Look) -> Made | Withheld:
    rules = equipment.rules[job.provenance.project]
    outcome = deidentify(
        original,
        rules=rules,
        pseudonyms=equipment.pseudonyms[job.provenance.project],
        provenance=job.provenance,
        accepted=job.accepted,
        domain=job.domain,
        pixels=look,
        scratch=look.scratch,
    )
    match outcome:
        case Deidentified():
            destinations = rules.destinations_for(outcome.labels, job.destinations)
            if job.destinations and not destinations:
                return Withheld(Reason.EXCLUDED_BY_RULE, "Destinations", digest)
            account = packed(account_of(original.dataset, outcome, rules))
            return replace(_write(outcome, original, job, digest, rules.digest, account), destinations=destinations)
        case Excluded(rule):
            return Withheld(Reason.EXCLUDED_BY_RULE, rule, digest)
        case Refused(reason, detail):
            return Withheld(reason, detail, digest)
        case Held(reason, detail, patient):
            scope = equipment.pseudonyms[job.provenance.project].scope
            awaits = None if patient is None else (scope, *patient)
            return Withheld(reason, detail, digest, awaits=awaits)


def _mismatch(original: part10.Part10, job: Job) -> str:
    """Name the UIDs that differ from what the sender announced; never their values."""
    names = {0x00080016: job.announced[0], 0x00080018: job.announced[1]}
    words = {0x00080016: "SOP Class UID (0008,0016)", 0x00080018: "SOP Instance UID (0008,0018)"}
    wrong = [words[tag] for tag, uid in names.items() if uid and original.uid(tag) not in ("", uid)]
    return f"Different: {' and '.join(wrong)}." if wrong else ""


def _write(
    outcome: Deidentified, original: part10.Part10, job: Job, original_digest: str, rules_digest: str, account: Body
) -> Made:
    """Write the result durably; the folder's entry is made durable by whoever renames it."""
    job.staged.unlink(missing_ok=True)  # left by a worker that died half way through the same job
    with job.staged.open("xb") as target:
        digest = part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, original.source, target)
        target.flush()
        os.fsync(target.fileno())
        size = target.tell()
    return Made(
        staged=job.staged,
        sop_class=outcome.sop_class,
        sop_instance=outcome.sop_instance,
        study=outcome.study,
        series=outcome.series,
        transfer_syntax=outcome.transfer_syntax,
        size=size,
        digest=digest,
        original_digest=original_digest,
        rules_digest=rules_digest,
        minted=tuple(replace(each, owner=outcome.patient) for each in outcome.minted),
        account=account,
        pixels=outcome.report.pixels,
        patient=outcome.patient,
    )
