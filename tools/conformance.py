"""Fill the tables of CONFORMANCE.md from the program, so that the statement says what the program does.

    python tools/conformance.py CONFORMANCE.md              (--print: to standard output, the file stays as it is)

What stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced; the words around it are written by hand.
A test fails when the file and the program differ.
"""

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import get_args

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, __version__
from appliance.commitment import Promise
from appliance.config import Config
from appliance.deid.plan import BASIC_CODE, OPTION_CODES
from appliance.deid.ruleset import load_rules
from appliance.delivery import Destination
from appliance.dicom.registry import TRANSFER_SYNTAX, Registered, all_registered
from appliance.dicom.syntaxes import syntax_of
from appliance.intake import associate, association
from appliance.intake.associate import Rejection
from appliance.intake.refusals import Refusal
from appliance.intake.sop_classes import VERIFICATION, is_storage
from appliance.intake.statuses import Status
from appliance.lifecycle import State
from appliance.model import Parcel
from appliance.outlet import breaker, receipt, stow
from appliance.outlet.destination import Later, RefusedForGood, Stored
from appliance.reasons import Reason
from appliance.services import forward
from appliance.spool.standing import Standing, Verdict, verdict

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

# PS3.8 Table 9-21, in words.
_RESULT = {1: "rejected-permanent", 2: "rejected-transient"}
_SOURCE = {1: "service user", 2: "service provider (ACSE)", 3: "service provider (presentation)"}
_REASON = {
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_WHEN = {
    Rejection.UNKNOWN_CALLER: "`scp.peers` is a list, and no entry has this AE title and address",
    Rejection.UNKNOWN_CALLED: "`scp.any_called_ae` is false, and the called AE title is not ours",
    Rejection.UNKNOWN_APPLICATION: "the application context is not DICOM's",
    Rejection.UNKNOWN_PROTOCOL: "bit 0 of the protocol version is not set",
    Rejection.TOO_MANY: "`scp.max_associations` are open",
    Rejection.CONGESTION: "less than `spool.reserve_gb` is free, or the service is draining",
}
_STATUS_WHEN = {
    Status.STORED: "C-STORE: the Data Set is on disk, file and folder synced",
    Status.OUT_OF_RESOURCES: "C-STORE: under the reserve, disk full or failing, or shutting down",
    Status.DATA_SET_MISMATCH: "C-STORE: SOP Class or Instance UID inside is not the announced one (`scp.strict_uids`)",
    Status.MISSING_UID: "C-STORE: Affected SOP Class or Instance UID missing or no UID",
    Status.NO_DATA_SET: "C-STORE: no Data Set, an empty one, or one of odd length",
    Status.VERIFIED: "C-ECHO",
    Status.COMMITMENT_ASKED: "N-ACTION: the request is kept, over restarts and kill -9",
    Status.COMMITMENT_NO_ACTION: "N-ACTION: the Action Type ID is not 1",
    Status.COMMITMENT_NO_INSTANCE: "N-ACTION: other SOP Class, or not the well-known SOP Instance",
    Status.COMMITMENT_MALFORMED: "N-ACTION: no Transaction UID, no reference, or what should be a UID is none",
    Status.COMMITMENT_IN_USE: "N-ACTION: this peer used the Transaction UID within 30 days for other instances",
    Status.COMMITMENT_NO_RESOURCES: "N-ACTION: more than 4 MiB, 10,000 requests of the peer wait, or the disk is full",
    Status.COMMITMENT_FAILED: "N-ACTION: the database of requests is locked or damaged",
    Status.UNRECOGNIZED_OPERATION: "any other operation",
}
_CONTEXT_RESULTS = (
    (
        associate.ACCEPTED,
        "acceptance",
        "Verification, every storage abstract syntax, private and unknown ones too, storage commitment where promised",
    ),
    (associate.USER_REJECTION, "user-rejection", "the caller wants to be SCP only of this class (as for C-GET)"),
    (
        associate.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        "abstract-syntax-not-supported",
        "a known service that is no storage (query, worklist, print, …), commitment that is not promised, or no UID",
    ),
    (
        associate.TRANSFER_SYNTAXES_NOT_SUPPORTED,
        "transfer-syntaxes-not-supported",
        "no proposed transfer syntax is a UID; for commitment: none is implicit or explicit VR, uncompressed",
    ),
)
# HTTP statuses that servers and proxies give to STOW-RS; the judgement of each is asked of the program.
_STATUSES = (200, 202, 204, 302, 400, 401, 403, 404, 408, 409, 413, 415, 422, 425, 429, 500, 501, 502, 503, 504, 507)
_FAILURES = (0x0110, 0x0111, 0x0117, 0x0122, 0x0124, 0x0213, 0xA700, 0xA900, 0xC000, 0xC122)


def filled(text: str) -> str:
    """Return the text of a conformance statement with every table made anew; KeyError for an unknown table."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def tables_in(text: str) -> list[tuple[str, str]]:
    """Return name and whole text of every table in ``text``."""
    return [(found[2], found[0]) for found in _BLOCK.finditer(text)]


def overview() -> str:
    accepted = sum(1 for _ in _storage_classes())
    return _table(
        ("SOP Classes", "User (SCU)", "Provider (SCP)"),
        [
            ("Verification", "only in `appliance demo`", "yes"),
            (
                f"Storage: {accepted} Standard classes (annex A), private and unknown ones",
                "only in `appliance demo`",
                "yes",
            ),
            ("Storage Commitment Push Model", "no", "yes, to peers that are promised it (off by default)"),
            ("Query/Retrieve, Worklist, MPPS, Print", "no", "no"),
            ("DICOM Web: STOW-RS (store)", "yes (user agent)", "no"),
            ("DICOM Web: WADO-RS instance, to compare with what is there", "yes (user agent)", "no"),
            ("DICOM Web: QIDO-RS, to ask what is there", "yes (user agent)", "no"),
            ("Media: any file of PS3.10, DICOMDIR as a checklist, zip and tar of them", "", "reader (inbox)"),
        ],
    )


def negotiation() -> str:
    scp = Config.__dataclass_fields__["scp"].default_factory()  # type: ignore[misc]
    return _table(
        ("What", "Value", "Setting"),
        [
            ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`", ""),
            ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}` (program {__version__})", ""),
            ("Application context", "1.2.840.10008.3.1.1.1", ""),
            ("Maximum length announced", f"{scp.max_pdu_kb * 1024} bytes", "`scp.max_pdu_kb`"),
            ("Presentation contexts in one association", str(associate._HIGHEST_CONTEXTS), ""),
            ("Associations at once", str(scp.max_associations), "`scp.max_associations`"),
            ("Asynchronous operations window", "1, 1 (answered when proposed)", ""),
            ("Role selection", "SCU accepted as proposed, SCP always 0", ""),
            ("Extended negotiation, user identity", "not answered", ""),
            ("From the connection to the end of the request (ARTIM)", f"{association.REQUEST_S:g} s", ""),
            ("Silence until an association is aborted", f"{scp.idle_s:g} s", "`scp.idle_s`"),
            ("Running associations at a stop", f"{scp.drain_s:g} s", "`scp.drain_s`"),
            ("Calling AE titles", "any, or a list with addresses", "`scp.peers`"),
            ("Called AE titles", "any, or ours only", "`scp.any_called_ae`, `scp.ae_title`"),
        ],
    )


def contexts() -> str:
    return _table(
        ("Result", "Name (PS3.8 Table 9-18)", "When"), [(str(n), name, when) for n, name, when in _CONTEXT_RESULTS]
    )


def rejections() -> str:
    rows = []
    for why in Rejection:
        result, source, reason = why.value
        words = f"{_RESULT[result]}, {_SOURCE[source]}, {_REASON[source, reason]}"
        rows.append((f"{result}, {source}, {reason}", words, _WHEN[why], f"`{why.label}`"))
    return _table(("Result, source, reason", "Name (PS3.8 Table 9-21)", "When", "Label in log and metrics"), rows)


def statuses() -> str:
    return _table(
        ("Code", "When", "Error Comment", "What the modality does next"),
        [
            (f"{status.code:04X}H", _STATUS_WHEN[status], status.comment, status.consequence)
            for status in Status.__members__.values()
        ],
    )


def commitment() -> str:
    """What is said of an instance in each state, asked of the program."""
    states = [(State.RECEIVED, ""), (State.HELD, ""), (State.QUARANTINED, ""), (State.DISCARDED, "")]
    states += [(State.PASSED, ""), (State.PASSED, "FORWARDED"), (State.PASSED, "REJECTED")]
    rows = []
    for state, outside in states:
        row = [Standing("", "1.2", state, outside, "")]
        said = [_said(verdict(promise, "1.2", row, lambda _id: True)) for promise in get_args(Promise)]
        rows.append((f"{outside or ('READY' if state is State.PASSED else state.value)}", *said))
    of_another = verdict("in-custody", "1.3", row, lambda _id: True)
    rows.append(("of another SOP Class", *[_said(of_another)] * 2))
    rows.append(("not here", *[_said(verdict("in-custody", "1.2", [], lambda _id: True))] * 2))
    return _table(("The instance is", *(f"`promise: {each}`" for each in get_args(Promise))), rows)


def _said(said: Verdict) -> str:
    words = {Verdict.COMMITTED: "committed", Verdict.WAITS: "no report yet"}
    return words.get(said, f"failed, {said.value:04X}H")


def syntaxes() -> str:
    rows = []
    for each in all_registered():
        if each.kind == TRANSFER_SYNTAX and each.name:
            known = syntax_of(each.uid)
            form = ("implicit VR" if known.implicit else "explicit VR") + (
                ", little endian" if known.little_endian else ", big endian"
            )
            pixels = "deflated" if known.deflated else "encapsulated" if known.encapsulated else "native"
            rows.append((_named(each), each.uid, form, pixels))
    return _table(("Name", "UID", "Data Set is read as", "Pixel Data"), rows)


def sop_classes() -> str:
    return _table(("Name", "UID"), [(name, uid) for name, uid in _storage_classes()])


def inbox() -> str:
    return _table(
        ("Code", "What is told to the clinic", "What to do"),
        [(f"`{each.value}`", each.words.what, each.words.advice) for each in Refusal],
    )


def user_agent() -> str:
    web = Destination("x", url="https://x")
    return _table(
        ("What", "Value", "Setting"),
        [
            ("Transaction", "STOW-RS, POST {url}/studies", "`destinations[].url`"),
            ("Content-Type", 'multipart/related; type="application/dicom", with Content-Length', ""),
            ("Accept", f"`{stow.ACCEPT}`", ""),
            ("User-Agent", f"`appliance/{__version__}`", ""),
            ("Instances in a request, all of one study", f"at most {web.batch_instances}", "`batch_instances`"),
            ("Bytes in a request", f"about {web.batch_mb} MiB; one instance may be larger", "`batch_mb`"),
            ("Connections at once", str(web.connections), "`connections`"),
            ("Time-out (connecting, and between bytes)", f"{web.timeout_s:g} s", "`timeout_s`"),
            ("Authentication", "none, basic, bearer, OpenID Connect client credentials; client certificate", "`auth`"),
            ("Redirects", "never followed", ""),
            (
                "Pause of a destination in trouble",
                f"{breaker.FIRST_S:g} to {breaker.LONGEST_S:g} s, jittered; "
                f"Retry-After up to {breaker.LONGEST_ASKED_S:g} s",
                "",
            ),
            (
                "Pause of an instance that was not named",
                f"{forward.FIRST_RETRY_S:g} to {forward.LONGEST_RETRY_S:g} s, jittered; for ever",
                "",
            ),
        ],
    )


def http() -> str:
    """What the program makes of each status, asked of it: without a body that names anybody."""
    rows = []
    for status in _STATUSES:
        one, two = (
            receipt.judge(status, None, receipt.Answer(), parcels) for parcels in ([_PARCEL], [_PARCEL, _OTHER])
        )
        rows.append(
            (str(status), _judgement(one), "the same" if _judgement(one) == _judgement(two) else _judgement(two))
        )
    return _table(
        ("HTTP status", "An instance alone, not named in the answer", "Instances of a batch, not named"), rows
    )


def failures() -> str:
    rows = []
    for code in _FAILURES:
        answer = receipt.Answer(failed={_PARCEL.sop_instance: code}, readable=True)
        rows.append((f"{code:04X}H", _verdict(receipt.judge(200, None, answer, [_PARCEL]).verdicts[_PARCEL.out])))
    return _table(("Failure Reason (0008,1197)", "The instance"), rows)


def options() -> str:
    rules = load_rules(None)
    rows = [(BASIC_CODE[0], BASIC_CODE[1], "yes")]
    rows += [
        (code, meaning, "yes" if option in rules.options else "no")
        for option, (code, meaning) in sorted(OPTION_CODES.items(), key=lambda each: each[1])
    ]
    return _table(("Code (DCM)", "Profile or option (PS3.16 CID 7050)", "With the packaged rules"), rows)


def elements() -> str:
    rows = []
    for line in (ROOT / "appliance/deid/data/profile.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            tag, basic, instead, name = line.split("\t")
            shown = f"({tag[:4]},{tag[4:]})" if len(tag) == 8 else tag
            rows.append((shown, name, basic, "" if instead == "-" else instead.replace(",", ", ")))
    return _table(("Tag", "Name", "Basic Profile", "With an option"), rows)


def reasons() -> str:
    return _table(
        ("Code", "What happened", "`release --accept`"),
        [(f"`{each.value}`", each.words.what, "yes" if each.words.acceptable else "no") for each in Reason],
    )


def configuration() -> str:
    return _table(("Setting", "Type", "Default", "Meaning"), list(_settings(Config, "")))


TABLES: dict[str, Callable[[], str]] = {
    "overview": overview,
    "negotiation": negotiation,
    "contexts": contexts,
    "rejections": rejections,
    "statuses": statuses,
    "commitment": commitment,
    "syntaxes": syntaxes,
    "sop-classes": sop_classes,
    "inbox": inbox,
    "user-agent": user_agent,
    "http": http,
    "failures": failures,
    "options": options,
    "elements": elements,
    "reasons": reasons,
    "configuration": configuration,
}


def _parcel(number: int) -> Parcel:
    uid = f"2.25.{number}"
    return Parcel(number, f"out{number}", uid, uid, uid, uid, "1.2.840.10008.1.2.1", "", 1, Path("x"), 1)


_PARCEL, _OTHER = _parcel(1), _parcel(2)


def _judgement(found: receipt.Receipt) -> str:
    verdict = found.verdicts.get(_PARCEL.out)
    words = "waits" if verdict is None else _verdict(verdict)
    if found.unavailable is not None:
        words += "; the destination is paused" if found.unavailable.sure else "; several in a row pause the destination"
    return words


def _verdict(verdict: object) -> str:
    match verdict:
        case Stored():
            return "FORWARDED"
        case RefusedForGood(reason, explained=explained):
            doubt = "" if explained else ", unless the destination refuses everything so"
            return f"REJECTED `{reason.value}`{doubt}"
        case Later(after_s) if after_s == 0:
            return "again at once, each alone"
        case Later():
            return "again, after a pause"
    raise AssertionError(verdict)


def _storage_classes() -> Iterable[tuple[str, str]]:
    for each in sorted(all_registered(), key=lambda each: each.name):
        if each.kind == "SOP Class" and each.name and each.uid != VERIFICATION and is_storage(each.uid):
            yield _named(each), each.uid


def _named(each: Registered) -> str:
    return each.name + (" (retired)" if each.retired and "etired" not in each.name else "")


def _settings(kind: type, above: str) -> Iterable[tuple[str, str, str, str]]:
    """Yield name, type, default and comment of every setting; the comment is the one beside it in the source."""
    comments = dict(
        re.findall(r"^    (\w+): [^\n#]*?(?:  # (?:noqa: \w+ - )?([^\n]*))?$", inspect.getsource(kind), re.MULTILINE)
    )
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if not field.metadata.get("yaml", True):
            continue
        name = above + field.name
        inner, many = _section(hints[field.name])
        if inner is None:
            yield f"`{name}`", _type_words(hints[field.name]), _default(field), comments.get(field.name, "")
        else:
            yield from _settings(inner, name + many + ".")


def _section(hint: object) -> tuple[type | None, str]:
    """Return the dataclass inside of a type, and how many of it there are."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint, ""
    for part in typing.get_args(hint):
        inner, many = _section(part)
        if inner is not None:
            origin = typing.get_origin(hint)
            return inner, {tuple: "[]", dict: ".NAME"}.get(origin, "") + many  # type: ignore[arg-type]
    return None, ""


def _type_words(hint: object) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(_type_words(part) for part in parts if part is not type(None)))
    if origin is tuple:
        return f"list of {_type_words(parts[0])}s"
    if origin is dict:
        return f"{_type_words(parts[0])} -> {_type_words(parts[1])}"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return words.get(hint, "address or network")  # type: ignore[call-overload, no-any-return]


def _default(field: "dataclasses.Field[object]") -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
        return "none" if value in (None, "", ()) else str(value).lower() if isinstance(value, bool) else str(value)
    return "must be given" if field.default_factory is dataclasses.MISSING else "none"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main(name: str, way: str = "") -> None:
    """Write the tables of the file anew, or print the text with them."""
    file = Path(name)
    text = filled(file.read_text(encoding="utf-8"))
    if way == "--print":
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
