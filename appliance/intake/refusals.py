"""Why a file in the inbox is not taken, each with what the clinic can do about it.

A refused file never enters the house, so these are no reasons of the spool: the file goes to the clinic's ``_failed``
folder with these words. The code is a metric label and never changes once released.
"""

from dataclasses import dataclass
from enum import Enum

from appliance.errors import ApplianceError


@dataclass(frozen=True, slots=True)
class Words:
    """what    what is the matter with the file, one sentence
    advice  what the clinic can do
    """

    what: str
    advice: str


class Refusal(Enum):
    """Why a file is not taken. The value is the code."""

    NOT_DICOM = "not-dicom"
    EMPTY = "empty"
    MALFORMED = "malformed"
    NO_UID = "no-uid"
    LINK = "link"
    HARD_LINK = "hard-link"
    SPECIAL = "special-file"
    UNREADABLE = "unreadable"
    CLOSED_FOLDER = "closed-folder"
    TOO_DEEP = "too-deep"
    ESCAPES = "path-escape"
    ARCHIVE_BROKEN = "archive-broken"
    ARCHIVE_ENCRYPTED = "archive-encrypted"
    ARCHIVE_KIND = "archive-kind"
    ARCHIVE_LIMIT = "archive-limit"
    UNEXPECTED = "unexpected"

    @property
    def words(self) -> Words:
        """What is the matter, and what to do."""
        return WORDS[self]


WORDS: dict[Refusal, Words] = {
    Refusal.NOT_DICOM: Words(
        "It is no DICOM file and no archive that could hold one.",
        "If it is not an image (a report, a viewer program), nothing needs to be done. If it should be one, export the "
        "study again as DICOM.",
    ),
    Refusal.EMPTY: Words(
        "It is empty.",
        "Copy it again; if it is empty at its origin too, export the study again.",
    ),
    Refusal.MALFORMED: Words(
        "It begins like a DICOM file, but its bytes contradict its own header or end early.",
        "It is often a broken copy: copy it again. If that does not help, export the study again.",
    ),
    Refusal.NO_UID: Words(
        "It is DICOM, but says neither what it is nor which (SOP Class or SOP Instance UID is missing).",
        "Export the study again; if it stays so, ask the vendor of the exporting system.",
    ),
    Refusal.LINK: Words(
        "It is a link, not a file; links are never followed.",
        "Drop the file itself.",
    ),
    Refusal.HARD_LINK: Words(
        "It has a second name elsewhere (a hard link, as 'cp -l' and some backup programs make them), so it could "
        "change after it was taken.",
        "Drop a real copy: 'cp' without '-l'.",
    ),
    Refusal.SPECIAL: Words(
        "It is no ordinary file (a pipe, a socket or a device).",
        "Drop ordinary files only.",
    ),
    Refusal.UNREADABLE: Words(
        "It cannot be read: its permissions or the disk do not let the appliance.",
        "Give the appliance's group the right to read it, or copy it again.",
    ),
    Refusal.CLOSED_FOLDER: Words(
        "It is a folder that the appliance may not enter, so what is in it was not taken. It stays where it is.",
        "Give the appliance's group the right to read, change and enter it; what is in it is then taken by itself.",
    ),
    Refusal.TOO_DEEP: Words(
        "It lies too many folders deep. It stays where it is.",
        "Drop the inner folder itself.",
    ),
    Refusal.ESCAPES: Words(
        "Its name inside the archive points outside of it.",
        "No honest program writes such names: find out where the archive comes from, or drop the files unpacked.",
    ),
    Refusal.ARCHIVE_BROKEN: Words(
        "The archive is damaged or ends early. What could be read before the damage was taken.",
        "Make the archive again and drop it again; what was taken already is recognised and not doubled.",
    ),
    Refusal.ARCHIVE_ENCRYPTED: Words(
        "It is encrypted with a password.",
        "Drop it without a password: the transfer to the appliance is protected by the share.",
    ),
    Refusal.ARCHIVE_KIND: Words(
        "It is compressed in a way that the appliance does not open.",
        "Use an ordinary zip (deflate), tar or tar.gz, or drop the files unpacked.",
    ),
    Refusal.ARCHIVE_LIMIT: Words(
        "The archive is larger, deeper or fuller than the site allows (inbox.archives in the configuration).",
        "Drop the files unpacked, or in several archives; or have hospital IT raise the limit.",
    ),
    Refusal.UNEXPECTED: Words(
        "The appliance met something in it that it does not know.",
        "Keep the file and tell hospital IT the item number: the log of that time has the place in the program.",
    ),
}


STAYING = frozenset({Refusal.CLOSED_FOLDER, Refusal.TOO_DEEP})  # folders: they are not moved to _failed


class NotTaken(ApplianceError):
    """A file that is not taken: ``why``, and a ``detail`` that names our own facts only (a tag, an offset, a limit)."""

    def __init__(self, why: Refusal, detail: str = "") -> None:
        self.why = why
        self.detail = detail
        super().__init__(f"{why.words.what} {detail}".strip())
