"""The one door: from an original to what becomes of it. A pure function: the same question, the same answer."""

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from appliance.deid.clues import clues_of
from appliance.deid.descriptors import MOST_TEXT, Descriptors, TextTooLong
from appliance.deid.drawn import Drawn
from appliance.deid.dummies import padded
from appliance.deid.engine import Engine
from appliance.deid.given import ByRules, untouched
from appliance.deid.outcome import Deidentified, Excluded, Held, Outcome, Refused, Report
from appliance.deid.pixels.identifying import Judge
from appliance.deid.pixels.looking import Ask, Pixels, look
from appliance.deid.pixels.policy import Task
from appliance.deid.pixels.surplus import without_surplus
from appliance.deid.plain import latin, patient_number
from appliance.deid.private import SafePrivate
from appliance.deid.pseudonyms import Pseudonyms
from appliance.deid.rewrite import CannotFollow, Rewriter
from appliance.deid.ruleset import Ruleset
from appliance.deid.stamp import Marks, stamp
from appliance.deid.standard import is_other_class, is_storage_class
from appliance.deid.transcode import Scratch, can_transcode, transcoded
from appliance.deid.transforms import Orders, Transcode
from appliance.deid.uids import is_uid, is_well_known
from appliance.deid.verify import SecondLook, pieces
from appliance.dicom.element import SPECIFIC_CHARACTER_SET, Bulk, DataSet, Element, tag_text
from appliance.dicom.meta import FileMeta
from appliance.dicom.part10 import Part10
from appliance.dicom.text import is_known_charset
from appliance.errors import CannotDecode, CannotEncode, Malformed
from appliance.model import Provenance
from appliance.reasons import Reason

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
PATIENT_ID, ISSUER = 0x00100020, 0x00100021
# A person looked at the pixels and took them upon themselves: nobody looks again.
_LOOKED_AT = frozenset({Reason.BURNED_IN_RISK.value, Reason.PIXELS_TOO_LARGE.value})


def deidentify(
    original: Part10,
    *,
    rules: Ruleset,
    pseudonyms: Pseudonyms,
    provenance: Provenance,
    accepted: frozenset[str],
    domain: str,
    pixels: Pixels | None = None,
    scratch: Scratch | None = None,
) -> Outcome:
    """Return what becomes of an original under ``rules``. Nothing is written, and ``original`` is not changed.

    accepted  codes of reasons that an operator accepted for these bytes
    domain    identity domain of the sender: within it the same Patient ID is the same patient
    pixels    who looks at pixels that must be looked at; None: nobody can, and such an instance is refused
    scratch   gives an empty file for pixels that a rule puts into another transfer syntax, or that hold more than
              pixels, open until the result is written; None: nobody does, and such an instance is refused

    The values that Bulk stands for stay in ``original.source``; those that are not pixels are searched there.
    """
    data = original.dataset
    uids = {tag: latin(_value(data, tag)) for tag in (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES)}
    refused = _not_this_kind(uids[SOP_CLASS], rules) or _without_uids(uids)
    if refused is not None:
        return refused
    labels = rules.labels_of(data, original.meta)
    if not rules.forward.covers(labels):
        return Excluded("ScopeToForward")
    own = patient_of(data, domain, pseudonyms.issuers)
    if not own[1]:
        return Refused(Reason.NO_PATIENT_ID)
    objection = pseudonyms.objection(*own)
    if objection is not None and objection.value not in accepted:
        return Held(objection, patient=own) if objection is Reason.NO_IDENTITY_YET else Refused(objection)
    for rule in rules.hold if Reason.NO_IDENTITY_YET.value not in accepted else ():
        if rule.scope.covers(labels) and not pseudonyms.is_listed(*own):
            return Held(Reason.NO_IDENTITY_YET, f"By rule, line {rule.line}: {rule.why}.", patient=own)
    for entry in rules.quarantine:
        if entry.reason.value not in accepted and entry.scope.covers(labels):
            return Refused(entry.reason, f"By rule, line {entry.line}: {entry.why}.")
    orders = rules.orders(labels)
    refused = None if orders is None else _cannot_yet(orders, original)
    if refused is not None:
        return refused
    engine = _engine(original, rules, pseudonyms, own)
    engine.keep_document = Reason.DOCUMENT.value in accepted
    syntax = original.transfer_syntax
    try:
        result = _cleaned(original, engine, rules, orders, provenance)
        if "RetainUIDs" not in rules.options:
            _misused_uids(engine, result, uids)
        _character_set(result)
        second = _second_look(original, engine, rules)
        if Reason.IDENTIFIER_LEFT.value not in accepted:
            left = second.first_hit(
                result,
                {id(element) for element in engine.placed},
                lambda bulk: _bulk(original, bulk),
                dated={id(element) for element in engine.dated},
            )
            if left is not None:
                return Refused(Reason.IDENTIFIER_LEFT, f"It stands in {left}.")
        task = None if accepted & _LOOKED_AT else rules.task_for(labels, data, original.meta)
        if task is not None:
            judge = Judge(second, engine.descriptors if "CleanDescriptors" in rules.options else None)
            looked = look(original, result, _ask(task, rules, judge, accepted), pixels, engine.report)
            if isinstance(looked, Refused):
                return looked
            syntax = looked
    except Malformed as error:
        return Refused(Reason.MALFORMED, str(error))
    except CannotFollow as error:
        return Refused(Reason.RULE, str(error))
    except TextTooLong as error:
        return Refused(Reason.TEXT_TOO_LONG, f"With {error} it is more than {MOST_TEXT >> 20} MiB.")
    lost = [tag_text(tag) for tag in uids if not is_uid(latin(_value(result, tag)))]
    if lost:
        return Refused(Reason.RULE, f"The transformations leave no UID in {', '.join(lost)}.")
    done = _result(original, engine, result, rules, uids, labels)
    return _in_syntax(done, syntax, orders, original, scratch, accepted)


def _cannot_yet(orders: Orders, original: Part10) -> Refused | None:
    """Say which transformation nobody here can carry out, before any work is done."""
    transcode = orders.transcode
    if transcode is not None and not can_transcode(original.transfer_syntax, transcode.syntax):
        return _not_transcoded(transcode, original.transfer_syntax, "there is no codec for it.")
    return None


def _not_transcoded(transcode: Transcode, source: str, why: str) -> Refused:
    return Refused(
        Reason.RULE, f"By rule, line {transcode.line}: Transcode from {source} to {transcode.syntax} failed: {why}"
    )


def _ask(task: Task, rules: Ruleset, judge: Judge, accepted: frozenset[str]) -> Ask:
    return Ask(
        task,
        devices=rules.devices,
        judge=judge,
        prove=Reason.TEXT_LEFT.value not in accepted,
    )


def _cleaned(
    original: Part10, engine: Engine, rules: Ruleset, orders: Orders | None, provenance: Provenance
) -> DataSet:
    """Return what may leave: first the transformations on the original's values, then the profile on all the rest."""
    data = original.dataset
    if orders is not None:
        drawn = Drawn(engine.pseudonyms, engine.own, engine.study, original.uid(SERIES), original.uid(SOP_INSTANCE))
        data = Rewriter(orders, engine, drawn, provenance).rewrite(data)
    if rules.profile:
        return engine.clean(data, rules.place(original.uid(SOP_CLASS)))
    return untouched(data, engine.by_rules, engine.placed, engine.dated)


def patient_of(data: DataSet, domain: str, issuers: tuple[str, ...]) -> tuple[str, str]:
    """Return identity domain and number of the patient of an original; "" for the number if there is none."""
    return _domain(domain, data, issuers), patient_number(data.get(PATIENT_ID), data)


def _not_this_kind(sop_class: str, rules: Ruleset) -> Refused | None:
    if not sop_class:
        return None  # _without_uids says it better
    if is_other_class(sop_class):
        return Refused(Reason.NOT_FORWARDABLE)
    known = is_storage_class(sop_class) or sop_class in rules.standard.modules
    if not known and sop_class not in rules.sop_classes:
        return Refused(Reason.UNKNOWN_SOP_CLASS)
    return None


def _without_uids(uids: dict[int, str]) -> Refused | None:
    missing = [tag_text(tag) for tag, uid in uids.items() if not is_uid(uid)]
    return Refused(Reason.MISSING_UID, f"Missing or no UID: {', '.join(missing)}.") if missing else None


def _domain(domain: str, data: DataSet, issuers: tuple[str, ...]) -> str:
    """Return the identity domain of the patient: an issuer counts only if it is listed."""
    issuer = patient_number(data.get(ISSUER), data)
    return f"{domain}|issuer:{issuer}" if issuer and issuer in issuers else domain


def _engine(original: Part10, rules: Ruleset, pseudonyms: Pseudonyms, own: tuple[str, str]) -> Engine:
    private = SafePrivate(rules.standard.safe) if "RetainSafePrivate" in rules.options else None
    patient = pseudonyms.patient(*own, rules.shift)
    engine = Engine(
        pseudonyms=pseudonyms,
        patient=patient,
        own=own,
        shift=rules.shift,
        study=original.uid(STUDY),
        file=original.source,
        private=private,
        keep_uids="RetainUIDs" in rules.options,
        by_rules=ByRules(uid_prefix=rules.uid_prefix),
        report=Report(),
    )
    days = {"RetainLongitudinalModifiedDates": patient.offset_days, "RetainLongitudinalFullDates": 0}
    engine.descriptors = Descriptors(
        words=rules.vocabulary,
        own=clues_of(original.dataset),
        days=next((shift for option, shift in days.items() if option in rules.options), None),
        uid=(lambda uid: uid) if engine.keep_uids else engine.uid,
    )
    return engine


def _misused_uids(engine: Engine, result: DataSet, uids: dict[int, str]) -> None:
    """Give a new UID to a study, series or instance that goes by one registered for something else."""
    for tag in (SOP_INSTANCE, STUDY, SERIES):
        if is_well_known(uids[tag]):
            result.put(Element(tag, "UI", padded(engine.uid(uids[tag]).encode("ascii"), "UI")))


def _character_set(result: DataSet) -> None:
    """Drop a Specific Character Set that names none: whatever it holds, no reader can use it."""
    element = result.get(SPECIFIC_CHARACTER_SET)
    if element is None:
        return
    names = [name.strip() for name in latin(element.value).split("\\")]
    if not all(is_known_charset(name) for name in names):
        result.remove(SPECIFIC_CHARACTER_SET)


def _second_look(original: Part10, engine: Engine, rules: Ruleset) -> SecondLook:
    uids = frozenset(minted.original for minted in engine.minted.values() if minted.kind == "uid")
    clues = clues_of(original.dataset) if engine.descriptors is None else engine.descriptors.own
    moved = frozenset(engine.dates)
    if rules.profile and "RetainLongitudinalFullDates" not in rules.options:
        moved |= clues.days
    return SecondLook(clues.but_for(rules.common_words), uids, moved)


def _bulk(original: Part10, bulk: Bulk) -> Iterator[bytes]:
    return pieces(original.source, bulk)


def _result(
    original: Part10, engine: Engine, result: DataSet, rules: Ruleset, uids: dict[int, str], labels: frozenset[str]
) -> Deidentified:
    marks = replace(_marks(rules, engine.by_rules), pixels=engine.report.pixels is not None)
    engine.report.codes = stamp(result, marks)
    new = {tag: latin(_value(result, tag)) for tag in (SOP_INSTANCE, STUDY, SERIES)}
    return Deidentified(
        meta=FileMeta(uids[SOP_CLASS], new[SOP_INSTANCE], original.transfer_syntax),
        dataset=result,
        transfer_syntax=original.transfer_syntax,
        sop_class=uids[SOP_CLASS],
        sop_instance=new[SOP_INSTANCE],
        study=new[STUDY],
        series=new[SERIES],
        minted=tuple(engine.minted.values()),
        report=engine.report,
        patient=engine.patient.id,
        labels=labels,
    )


def _in_syntax(
    done: Deidentified,
    syntax: str,
    orders: Orders | None,
    original: Part10,
    scratch: Scratch | None,
    accepted: frozenset[str],
) -> Outcome:
    """Return the result, now in ``syntax``, in the one that a rule asks for, its pixel data with nothing beside pixels.

    Or why that cannot be.
    """
    transcode = None if orders is None else orders.transcode
    data = done.dataset
    if transcode is not None and transcode.syntax != syntax:
        room = _no_room if scratch is None else scratch
        try:
            data, syntax = transcoded(data, syntax, transcode.syntax, original.source, room)
        except (CannotDecode, CannotEncode, Malformed) as error:
            return _not_transcoded(transcode, syntax, str(error))
    try:
        unread = Reason.STREAM_NOT_READ.value in accepted
        without_surplus(data, syntax, original.source, scratch or _no_room, done.report, unread=unread)
    except Malformed as error:
        return Refused(Reason.MALFORMED, f"{error} It may hold more than pixels.")
    except CannotDecode as error:
        return Refused(Reason.STREAM_NOT_READ, str(error))
    except CannotEncode as error:
        return Refused(Reason.PIXELS_UNDECODABLE, str(error))
    return replace(done, dataset=data, transfer_syntax=syntax, meta=replace(done.meta, transfer_syntax=syntax))


def _no_room() -> BinaryIO:
    raise CannotEncode("There is no room for new pixels here.")


def _marks(rules: Ruleset, by_rules: ByRules) -> Marks:
    """Return what the result may say of itself: what was carried out, and nothing that a rule undid."""
    if not rules.profile:
        return Marks(rules.digest, profile=False)
    return Marks(
        rules.digest,
        options=rules.options,
        excepted=by_rules.excepted > 0,
        dates_kept=by_rules.dates_kept,
        dates_moved=by_rules.dates_moved,
    )


def _value(data: DataSet, tag: int) -> bytes | None:
    element = data.get(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else None
