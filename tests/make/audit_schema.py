"""The schema of DICOM audit messages, and whether a message keeps it: PS3.15 A.5.1, its RELAX NG written down."""

import base64
import re
from datetime import datetime
from xml.etree import ElementTree

TOKEN = r"\S(.*\S)?"
OID = r"[0-2]((\.0)|(\.[1-9][0-9]*))*"
CODED = {"csd-code!": TOKEN, "codeSystemName!": TOKEN, "displayName": TOKEN, "originalText!": TOKEN}

# Element -> (attributes, children in order). "!" an attribute must be there; children end in "?", "*", "+" or "".
SCHEMA = {
    "AuditMessage": (
        {},
        ["EventIdentification", "ActiveParticipant+", "AuditSourceIdentification", "ParticipantObjectIdentification*"],
    ),
    "EventIdentification": (
        {"EventActionCode": "[CRUDE]", "EventDateTime!": "dateTime", "EventOutcomeIndicator!": "0|4|8|12"},
        ["EventID", "EventTypeCode*", "EventOutcomeDescription?"],
    ),
    "EventID": (CODED, []),
    "EventTypeCode": (CODED, []),
    "ActiveParticipant": (
        {
            "UserID!": ".*",
            "AlternativeUserID": ".*",
            "UserName": ".*",
            "UserIsRequestor!": "true|false",
            "NetworkAccessPointID": TOKEN,
            "NetworkAccessPointTypeCode": "[1-5]",
        },
        ["RoleIDCode*", "MediaIdentifier?"],
    ),
    "RoleIDCode": (CODED, []),
    "MediaIdentifier": ({}, ["MediaType"]),
    "MediaType": (CODED, []),
    "AuditSourceIdentification": (
        {"AuditEnterpriseSiteID": TOKEN, "AuditSourceID!": TOKEN},
        ["AuditSourceTypeCode*"],
    ),
    "AuditSourceTypeCode": ({"csd-code!": "[1-9]"}, []),
    "ParticipantObjectIdentification": (
        {
            "ParticipantObjectID!": TOKEN,
            "ParticipantObjectTypeCode": "[1-4]",
            "ParticipantObjectTypeCodeRole": "[1-9]|1[0-9]|2[0-6]",
            "ParticipantObjectDataLifeCycle": "[1-9]|1[0-5]",
            "ParticipantObjectSensitivity": TOKEN,
        },
        [
            "ParticipantObjectIDTypeCode",
            "ParticipantObjectName",
            "ParticipantObjectDetail*",
            "ParticipantObjectDescription*",
        ],
    ),
    "ParticipantObjectIDTypeCode": (CODED, []),
    "ParticipantObjectName": ({}, []),
    "ParticipantObjectDetail": ({"type!": TOKEN, "value!": "base64"}, []),
    "ParticipantObjectDescription": ({}, ["SOPClass*", "Encrypted?", "Anonymized?"]),
    "SOPClass": ({"UID": OID, "NumberOfInstances!": r"\d+"}, []),
    "Anonymized": ({}, []),
    "Encrypted": ({}, []),
}


def valid(body: bytes | str) -> ElementTree.Element:
    """Return the message; AssertionError says where it breaks the schema."""
    found = ElementTree.fromstring(body)  # noqa: S314 - our own
    assert found.tag == "AuditMessage"
    _check(found)
    return found


def _check(element: ElementTree.Element) -> None:
    attributes, children = SCHEMA[element.tag]
    forms = {name.rstrip("!"): form for name, form in attributes.items()}
    needed = {name.rstrip("!") for name in attributes if name.endswith("!")}
    assert needed <= set(element.attrib) <= set(forms), f"{element.tag}: {sorted(element.attrib)}"
    for name, value in element.attrib.items():
        assert _has_form(value, forms[name]), f"{element.tag}.{name} is {value!r}"
    pattern = "".join(_repeated(child) for child in children)
    order = "".join(f"<{child.tag}>" for child in element)
    assert re.fullmatch(pattern, order), f"{element.tag} holds {order}"
    for child in element:
        _check(child)


def _repeated(child: str) -> str:
    name, times = (child[:-1], child[-1]) if child[-1] in "?*+" else (child, "")
    return f"(<{name}>){times}"


def _has_form(value: str, form: str) -> bool:
    if form == "dateTime":
        return datetime.fromisoformat(value).tzinfo is not None
    if form == "base64":
        return base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
    return re.fullmatch(form, value) is not None
