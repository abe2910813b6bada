"""DICOM audit messages as XML. No identifier of a patient is in them.

Source: PS3.15 A.5.1 (the schema), A.5.2 (the fields), A.5.3 (each message), PS3.16 CID 400 to 405 (the codes). Order
and names of elements and attributes are the schema's; a test holds the schema against every message.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from xml.etree import ElementTree as Xml

LONGEST = 500  # characters of one value: a message stays well below the 8 KB that receivers take (RFC 5425 4.3.1)
WITHHELD: Final = "withheld"  # where the Standard demands the patient, or a study that has no new UID

# What neither XML 1.0 nor a line of a log may hold.
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Code(NamedTuple):
    """A coded value, as PS3.16 gives it."""

    value: str
    scheme: str
    meaning: str


def dcm(value: str, meaning: str) -> Code:
    """A code of the DICOM Controlled Terminology."""
    return Code(value, "DCM", meaning)


APPLICATION_ACTIVITY: Final = dcm("110100", "Application Activity")
INSTANCES_TRANSFERRED: Final = dcm("110104", "DICOM Instances Transferred")
EXPORT: Final = dcm("110106", "Export")
SECURITY_ALERT: Final = dcm("110113", "Security Alert")
USER_AUTHENTICATION: Final = dcm("110114", "User Authentication")

APPLICATION_START: Final = dcm("110120", "Application Start")
APPLICATION_STOP: Final = dcm("110121", "Application Stop")
LOGIN: Final = dcm("110122", "Login")
LOGOUT: Final = dcm("110123", "Logout")

# CID 403
NODE_AUTHENTICATION: Final = dcm("110126", "Node Authentication")
SECURITY_CONFIGURATION: Final = dcm("110129", "Security Configuration")
SOFTWARE_CONFIGURATION: Final = dcm("110131", "Software Configuration")
RESTRICTED_FUNCTION: Final = dcm("110132", "Use of Restricted Function")
RECORDING_STARTED: Final = dcm("110134", "Audit Recording Started")
USER_ATTRIBUTES: Final = dcm("110137", "User Security Attributes Changed")

# CID 402
APPLICATION: Final = dcm("110150", "Application")
DESTINATION: Final = dcm("110152", "Destination Role ID")
SOURCE: Final = dcm("110153", "Source Role ID")
DESTINATION_MEDIA: Final = dcm("110154", "Destination Media")

URI_MEDIA: Final = dcm("110037", "URI")  # CID 405
STUDY_UID: Final = dcm("110180", "Study Instance UID")
NODE: Final = dcm("110182", "Node ID")
PATIENT_NUMBER: Final = Code("2", "RFC-3881", "Patient Number")

# EventOutcomeIndicator
SUCCESS: Final = "0"  # of a Security Alert: informative
MINOR: Final = "4"
SERIOUS: Final = "8"

_SERVER: Final = "4"  # AuditSourceTypeCode: application server process


@dataclass(frozen=True, slots=True)
class Origin:
    """Who reports.

    site       AuditEnterpriseSiteID
    source_id  AuditSourceID
    ae_title   of the receiver
    node       name of this machine
    """

    site: str
    source_id: str
    ae_title: str
    node: str


@dataclass(frozen=True, slots=True)
class Message:
    """One audit message. ``at``: when it happened, POSIX seconds. ``body``: XML, UTF-8."""

    at: float
    outcome: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Participant:
    """An ActiveParticipant.

    user     a login, a service as the system's log names it, a configured name, a URI
    node     address or name in the network; "" if there is none
    """

    user: str
    is_requestor: bool
    roles: Sequence[Code] = ()
    ae_title: str = ""
    name: str = ""
    node: str = ""
    media: Code | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """Instances of one study.

    uid      the new Study Instance UID; "" while there is none
    classes  SOP Class UID -> how many instances
    """

    uid: str
    classes: Mapping[str, int]
    is_anonymized: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A node that was not let in.

    at        when it was last, POSIX seconds
    address   where it called from; ae_title: what it called itself, "" before it did
    why       in plain words
    times     how often, as far as it is remembered
    """

    at: float
    address: str
    ae_title: str
    why: str
    times: int


def activity(origin: Origin, at: float, event_type: Code, process: str) -> Message:
    """Application Activity (PS3.15 A.5.3.1): ``process`` started or stopped."""
    who = [Participant(process, is_requestor=False, roles=[APPLICATION], ae_title=origin.ae_title, node=origin.node)]
    return _done(at, SUCCESS, _begun(origin, at, APPLICATION_ACTIVITY, "E", SUCCESS, who, event_type))


def authentication(origin: Origin, at: float, event_type: Code, who: str, address: str, *, outcome: str) -> Message:
    """User Authentication (PS3.15 A.5.3.12): a person logged in or out, or was not let in (MINOR).

    address  where the person is in the network; "" if nobody wrote it down: then it is this machine, for passwords are
             taken from nowhere else
    """
    person = Participant(who, is_requestor=True, node=address or origin.node)
    service = Participant("appliance-watch", is_requestor=False, node=origin.node)
    return _done(at, outcome, _begun(origin, at, USER_AUTHENTICATION, "E", outcome, [person, service], event_type))


def alert(
    origin: Origin,
    at: float,
    event_type: Code,
    description: str,
    *,
    who: str = "",
    address: str = "",
    node: str = "",
    outcome: str = SUCCESS,
    details: Mapping[str, str] | None = None,
) -> Message:
    """Security Alert (PS3.15 A.5.3.11).

    who      the person or process that did it; "": nobody is known
    address  where that person asked from, if over the network
    node     what it is about, if not this machine
    details  further values by name
    """
    people = [Participant("appliance-watch", is_requestor=False, node=origin.node)]
    if who:
        people.append(Participant(who, is_requestor=False, node=address))
    found = _begun(origin, at, SECURITY_ALERT, "E", outcome, people, event_type)
    subject = _object(found, node or origin.node, NODE, "Alert Subject", kind="2", role="13")
    for name, value in {"Alert Description": description, **(details or {})}.items():
        coded = base64.b64encode(plain(value).encode()).decode()
        Xml.SubElement(subject, "ParticipantObjectDetail", {"type": name, "value": coded})
    return _done(at, outcome, found)


def stranger(origin: Origin, refused: Refused) -> Message:
    """Security Alert of a node that failed to show who it is. It was kept out: a minor failure (PS3.15 A.5.3.11)."""
    words = f"{refused.why} ({refused.times} times)" if refused.times > 1 else refused.why
    details = {"AE Title": refused.ae_title} if refused.ae_title else {}
    return alert(origin, refused.at, NODE_AUTHENTICATION, words, node=refused.address, outcome=MINOR, details=details)


def transferred(
    origin: Origin, at: float, sender: Participant, receiver: Participant, study: Study, *, is_new: bool
) -> Message:
    """DICOM Instances Transferred (PS3.15 A.5.3.7): instances came; ``at``: when the last of them did.

    is_new  False: the receiver had them already
    """
    action = "C" if is_new else "R"
    return _of_instances(origin, at, INSTANCES_TRANSFERRED, action, [sender, receiver], study)


def exported(origin: Origin, at: float, sender: Participant, target: Participant, study: Study) -> Message:
    """Data Export (PS3.15 A.5.3.4): instances left the hospital's security domain."""
    return _of_instances(origin, at, EXPORT, "R", [sender, target], study)


def plain(text: str) -> str:
    """Return ``text`` as it may stand in a message: printable, on one line, and not longer than LONGEST."""
    return _UNPRINTABLE.sub(" ", text)[:LONGEST]


def moment(at: float) -> str:
    """Return POSIX seconds as xsd:dateTime, which is RFC 3339's form too: UTC, milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_instances(
    origin: Origin, at: float, event: Code, action: str, who: Sequence[Participant], study: Study
) -> Message:
    found = _begun(origin, at, event, action, SUCCESS, who)
    named = _object(found, study.uid or WITHHELD, STUDY_UID, "Study", kind="2", role="3")
    description = Xml.SubElement(named, "ParticipantObjectDescription")
    for uid, count in sorted(study.classes.items()):
        known = {"UID": plain(uid)} if uid else {}
        Xml.SubElement(description, "SOPClass", {**known, "NumberOfInstances": str(count)})
    Xml.SubElement(description, "Anonymized").text = "true" if study.is_anonymized else "false"
    _object(found, WITHHELD, PATIENT_NUMBER, "Patient", kind="1", role="1")
    return _done(at, SUCCESS, found)


def _begun(
    origin: Origin,
    at: float,
    event: Code,
    action: str,
    outcome: str,
    participants: Sequence[Participant],
    event_type: Code | None = None,
) -> Xml.Element:
    """Return a message with everything but its objects."""
    found = Xml.Element("AuditMessage")
    named = {"EventActionCode": action, "EventDateTime": moment(at), "EventOutcomeIndicator": outcome}
    identification = Xml.SubElement(found, "EventIdentification", named)
    _coded(identification, "EventID", event)
    if event_type is not None:
        _coded(identification, "EventTypeCode", event_type)
    for each in participants:
        _participant(found, each)
    source = {"AuditEnterpriseSiteID": plain(origin.site), "AuditSourceID": plain(origin.source_id)}
    identified = Xml.SubElement(found, "AuditSourceIdentification", source)
    Xml.SubElement(identified, "AuditSourceTypeCode", {"csd-code": _SERVER})
    return found


def _done(at: float, outcome: str, found: Xml.Element) -> Message:
    return Message(at, outcome, Xml.tostring(found, encoding="UTF-8", xml_declaration=True).replace(b"\n", b""))


def _participant(found: Xml.Element, who: Participant) -> None:
    named = {"UserID": plain(who.user), "UserIsRequestor": "true" if who.is_requestor else "false"}
    if who.ae_title:
        named["AlternativeUserID"] = f"AETITLE={plain(who.ae_title)}"  # A.5.2.2
    if who.name:
        named["UserName"] = plain(who.name)
    if who.node:
        named |= {"NetworkAccessPointID": plain(who.node), "NetworkAccessPointTypeCode": _kind_of_node(who.node)}
    participant = Xml.SubElement(found, "ActiveParticipant", named)
    for role in who.roles:
        _coded(participant, "RoleIDCode", role)
    if who.media is not None:
        _coded(Xml.SubElement(participant, "MediaIdentifier"), "MediaType", who.media)


def _object(found: Xml.Element, uid: str, id_type: Code, name: str, *, kind: str, role: str) -> Xml.Element:
    named = {
        "ParticipantObjectID": plain(uid),
        "ParticipantObjectTypeCode": kind,
        "ParticipantObjectTypeCodeRole": role,
    }
    identified = Xml.SubElement(found, "ParticipantObjectIdentification", named)
    _coded(identified, "ParticipantObjectIDTypeCode", id_type)
    Xml.SubElement(identified, "ParticipantObjectName").text = name
    return identified


def _coded(parent: Xml.Element, name: str, code: Code) -> None:
    value = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    Xml.SubElement(parent, name, value)


def _kind_of_node(node: str) -> str:
    """NetworkAccessPointTypeCode: 2 of an address, 1 of a name."""
    try:
        ipaddress.ip_address(node)
    except ValueError:
        return "1"
    return "2"
