"""Every reason for which an instance is not simply on its way, each with what hospital IT can do about it.

A reason's code names a quarantine or rejected folder, a metric label and a column value, so it never changes once
released. ``what`` says what happened in the words of the trade; ``advice`` says what to do. Neither may hold a value
from a data set: details that travel with a reason name tags and counts only.
"""

from dataclasses import dataclass
from enum import Enum

_RELEASE = "then 'appliance quarantine release ID'"
_ACCEPT = "'appliance quarantine release ID --accept {}'"
_DISCARD = "Or let it go: 'appliance quarantine discard ID'."


@dataclass(frozen=True, slots=True)
class Advice:
    """The words of a reason.

    what        what happened, one sentence
    advice      what hospital IT can do
    acceptable  whether ``release --accept`` may override it, audited, for those bytes
    """

    what: str
    advice: str
    acceptable: bool = False


class Reason(Enum):
    """Why an instance is held, quarantined, rejected or discarded. The value is the code."""

    # --- quarantined: the bytes -----------------------------------------------------------------------------------
    NOT_DICOM = "not-dicom"
    MALFORMED = "malformed"
    MISSING_UID = "missing-uid"
    UID_MISMATCH = "uid-mismatch"
    TOO_LARGE_TO_READ = "too-large-to-read"
    TEXT_TOO_LONG = "text-too-long"
    UNKNOWN_TRANSFER_SYNTAX = "unknown-transfer-syntax"
    # --- quarantined: who it is, what it is -----------------------------------------------------------------------
    NO_PATIENT_ID = "no-patient-id"
    UNLISTED_PATIENT = "unlisted-patient"
    TWO_PATIENT_IDS = "two-patient-ids"
    UNKNOWN_SOP_CLASS = "unknown-sop-class"
    NOT_FORWARDABLE = "not-forwardable"
    # --- quarantined: what it may show ----------------------------------------------------------------------------
    BURNED_IN_RISK = "burned-in-risk"
    PIXELS_UNDECODABLE = "pixels-undecodable"
    PIXELS_TOO_LARGE = "pixels-too-large"
    PIXELS_TOOK_TOO_LONG = "pixels-took-too-long"
    STREAM_NOT_READ = "stream-not-read"
    TEXT_LEFT = "text-left"
    DOCUMENT = "document"
    IDENTIFIER_LEFT = "identifier-left"
    RULE = "rule"
    PROJECT_REMOVED = "project-removed"
    # --- quarantined: us ------------------------------------------------------------------------------------------
    WORKER_DIED = "worker-died"
    TOOK_TOO_LONG = "took-too-long"
    PSEUDONYM_COLLISION = "pseudonym-collision"
    ORIGINAL_MISSING = "original-missing"
    ORIGINAL_UNREADABLE = "original-unreadable"
    UNEXPECTED = "unexpected"
    # --- held -----------------------------------------------------------------------------------------------------
    NO_IDENTITY_YET = "no-identity-yet"
    # --- discarded ------------------------------------------------------------------------------------------------
    DUPLICATE = "duplicate"
    EXCLUDED_BY_RULE = "excluded-by-rule"
    BY_OPERATOR = "by-operator"
    OPTED_OUT = "opted-out"
    FORGOTTEN = "forgotten"
    # --- rejected: what the destination said ----------------------------------------------------------------------
    DESTINATION_REFUSED = "destination-refused"
    ALREADY_THERE_DIFFERENT = "already-there-different"
    TOO_LARGE_FOR_DESTINATION = "too-large-for-destination"
    DESTINATION_REMOVED = "destination-removed"
    RECALLED = "recalled"

    @property
    def words(self) -> Advice:
        """What happened and what to do."""
        return WORDS[self]


WORDS: dict[Reason, Advice] = {
    Reason.NOT_DICOM: Advice(
        "The file is no DICOM file.",
        f"Nothing was sent. Ask the sender what it is. {_DISCARD}",
    ),
    Reason.MALFORMED: Advice(
        "The bytes contradict their transfer syntax or end early.",
        "Nothing was sent. Ask the sender to send the instance again; it is often a broken transfer or disk. "
        f"{_DISCARD}",
    ),
    Reason.MISSING_UID: Advice(
        "A UID that every instance must have (SOP Class, SOP Instance, Study or Series) is missing or no UID.",
        f"Nothing was sent. Have the sending system corrected and send again. {_DISCARD}",
    ),
    Reason.UID_MISMATCH: Advice(
        "The SOP Class or SOP Instance UID inside differs from what the sender announced.",
        "Nothing was sent. Have the sending system corrected and send again, or "
        f"{_ACCEPT.format('uid-mismatch')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.TOO_LARGE_TO_READ: Advice(
        "The header alone, or a deflated data set, is larger than can be examined in bounded memory.",
        f"Nothing was sent. Send it in an uncompressed transfer syntax. {_DISCARD}",
    ),
    Reason.TEXT_TOO_LONG: Advice(
        "It holds more free text than can be cleaned in bounded time.",
        "Nothing was sent. A document or a log may be stored as a text: add a rule that removes the named element "
        f"(DeleteTags), {_RELEASE}. {_DISCARD}",
    ),
    Reason.UNKNOWN_TRANSFER_SYNTAX: Advice(
        "The transfer syntax is not known, so the bytes cannot be examined.",
        f"Nothing was sent. Have the modality send a standard transfer syntax. {_DISCARD}",
    ),
    Reason.NO_PATIENT_ID: Advice(
        "There is no Patient ID, so the pseudonym would join strangers or split one patient.",
        f"Nothing was sent. Enter the patient at the modality and send again. {_DISCARD}",
    ),
    Reason.UNLISTED_PATIENT: Advice(
        "The patient is on no id list, and this site makes no pseudonyms of its own (mapping.missing: quarantine).",
        f"Nothing was sent. Import the list that names the patient ('appliance mapping import'), {_RELEASE}; to let "
        f"the appliance make a pseudonym: {_ACCEPT.format('unlisted-patient')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.TWO_PATIENT_IDS: Advice(
        "Images of its study name another Patient ID: some are another patient's, or the patient was renumbered.",
        "This image was not sent; what of the study had left before is listed by 'appliance quarantine show ID', and "
        "taken back by 'appliance recall STUDY'. Find out whose images these are, and have wrong ones corrected and "
        "sent again. If both IDs are of one patient who comes from two senders, put these into one domain "
        "(identity.domains in the configuration). If they may go "
        f"as they are: {_ACCEPT.format('two-patient-ids')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.UNKNOWN_SOP_CLASS: Advice(
        "The SOP Class is private or not known, so what its elements mean is not known.",
        f"Nothing was sent. If the class is safe, list it under SopClasses in the rules, {_RELEASE}. {_DISCARD}",
    ),
    Reason.NOT_FORWARDABLE: Advice(
        "It is no composite instance of a patient (a media directory, for one); it is never forwarded.",
        f"Nothing was sent and nothing needs to be. {_DISCARD}",
    ),
    Reason.BURNED_IN_RISK: Advice(
        "Images of this kind often show the patient's name in the pixels, and nobody but a person can tell.",
        "Nothing was sent. Look at the image; if no text identifies the patient: "
        f"{_ACCEPT.format('burned-in-risk')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.PIXELS_UNDECODABLE: Advice(
        "Its pixels must be looked at for text and cannot be decoded: a video, a transfer syntax without a decoder, or "
        "broken pixel data.",
        "Nothing was sent. Have it sent in another transfer syntax; Explicit VR Little Endian always works. "
        f"If such images are known to be clean, except them under Pixels in the rules, {_RELEASE}. {_DISCARD}",
    ),
    Reason.PIXELS_TOO_LARGE: Advice(
        "A frame has more pixels than may be looked at (pixels.max_pixels), or looking at it takes more memory than a "
        "worker may have (pixels.memory_mb).",
        f"Nothing was sent. If the machine has the memory, raise the limit and restart, {_RELEASE}; or look at the "
        f"image, and if no text identifies the patient: {_ACCEPT.format('pixels-too-large')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.PIXELS_TOOK_TOO_LONG: Advice(
        "Looking for text in its pixels took longer for one frame than it may (pixels.timeout_s).",
        "Nothing was sent. If the frame is very large or the machine was overloaded, raise the limit, restart, "
        f"{_RELEASE}. {_DISCARD}",
    ),
    Reason.STREAM_NOT_READ: Advice(
        "Its compressed pixel data are of a kind whose streams are not read (a video, for one): text may stand in them "
        "beside the pixels.",
        "Nothing was sent. Have it sent in another transfer syntax; Explicit VR Little Endian always works. If what "
        "made it writes nothing about patients into its streams, or somebody looked with the tools of that format: "
        f"{_ACCEPT.format('stream-not-read')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.TEXT_LEFT: Advice(
        "Its pixels were cleaned, and text that may identify the patient can still be read in the result.",
        "Nothing was sent. Look at it with 'appliance pixels FILE.dcm -o FILE.png'; add the device and the place to "
        f"Devices in the rules, {_RELEASE}; if it is a false alarm: {_ACCEPT.format('text-left')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.DOCUMENT: Advice(
        "An encapsulated document (PDF, CDA, STL) can name the patient anywhere and is not cleaned.",
        f"Nothing was sent. If it is needed, read it, then {_ACCEPT.format('document')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.IDENTIFIER_LEFT: Advice(
        "An identifier of the patient still appears in the result.",
        "Nothing was sent. Add a rule that removes or replaces the named element, "
        f"{_RELEASE}; if it is a false alarm: {_ACCEPT.format('identifier-left')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.RULE: Advice(
        "A rule of the site says that instances of this kind wait for a person.",
        f"Nothing was sent. Look at it, change the rule if it should pass, {_RELEASE}. {_DISCARD}",
    ),
    Reason.PROJECT_REMOVED: Advice(
        "Its project is no longer in the configuration, so it is not known by which rules it may leave.",
        f"Nothing was sent. Put the project back, {_RELEASE}. {_DISCARD}",
    ),
    Reason.WORKER_DIED: Advice(
        "De-identifying it ended three workers; its neighbours went on.",
        f"Nothing was sent. Keep the file for the developers; after an update: {_RELEASE}. {_DISCARD}",
    ),
    Reason.TOOK_TOO_LONG: Advice(
        "De-identifying it took longer than a worker may take.",
        f"Nothing was sent. If the machine was overloaded, {_RELEASE}. {_DISCARD}",
    ),
    Reason.PSEUDONYM_COLLISION: Advice(
        "Its pseudonym is already another's; sending it would join two patients or two instances.",
        "Nothing was sent. Check that the mapping belongs to this key ('appliance doctor'), " + _RELEASE + ".",
    ),
    Reason.ORIGINAL_MISSING: Advice(
        "The journal knows it, but its file is not in the spool.",
        f"Restore var/inside from the last good disk or send the instance again, {_RELEASE}. {_DISCARD}",
    ),
    Reason.ORIGINAL_UNREADABLE: Advice(
        "Its file is in the spool but cannot be read: the disk fails there, or its owner and mode are wrong.",
        f"Nothing was sent. Look at the disk and at the owner and mode of the file, {_RELEASE}, or send the instance "
        f"again. {_DISCARD}",
    ),
    Reason.UNEXPECTED: Advice(
        "The appliance met something that it does not know; the log of that time has the place in the program.",
        f"Nothing was sent. Keep the file for the developers; after an update: {_RELEASE}. {_DISCARD}",
    ),
    Reason.NO_IDENTITY_YET: Advice(
        "The patient is not on the site's id list yet.",
        "Nothing was sent. Import the list that names the patient ('appliance mapping import'); it goes on by itself. "
        f"To let the appliance make a pseudonym: {_ACCEPT.format('no-identity-yet')}. {_DISCARD}",
        acceptable=True,
    ),
    Reason.DUPLICATE: Advice(
        "The same bytes are in the house already, or were forwarded under the same rules.",
        "Nothing needs to be done. To send it again: 'appliance quarantine release ID'.",
    ),
    Reason.EXCLUDED_BY_RULE: Advice(
        "The rules say that instances of this kind are not forwarded.",
        "Nothing needs to be done. If it should go, change ScopeToForward in the rules and release it.",
    ),
    Reason.BY_OPERATOR: Advice(
        "An operator discarded it.",
        "Nothing needs to be done. Until its original is purged: 'appliance quarantine release ID'.",
    ),
    Reason.OPTED_OUT: Advice(
        "The patient is on the site's opt-out list.",
        "Nothing was sent, and nothing of this patient will be. Nothing needs to be done. If the list was wrong: "
        "'appliance mapping opt-out LIST.csv --withdraw', " + _RELEASE + ".",
    ),
    Reason.FORGOTTEN: Advice(
        "The patient was erased by command and is refused from then on.",
        "Nothing was sent, and nothing of this patient will be. Nothing needs to be done.",
    ),
    Reason.DESTINATION_REFUSED: Advice(
        "The destination refused this instance for good, by name.",
        f"It was not stored there. See the log of the destination for the failure code, {_RELEASE}. {_DISCARD}",
    ),
    Reason.ALREADY_THERE_DIFFERENT: Advice(
        "The destination has an older version of this instance and keeps it (existing: kept).",
        f"The new version was not stored. Delete the old one there, {_RELEASE}. {_DISCARD}",
    ),
    Reason.TOO_LARGE_FOR_DESTINATION: Advice(
        "The destination, or a proxy before it, answered 413 to this instance alone.",
        f"It was not stored there. Have the limit raised (nginx: client_max_body_size), {_RELEASE}. {_DISCARD}",
    ),
    Reason.DESTINATION_REMOVED: Advice(
        "Its destination is no longer in the configuration and was abandoned by command.",
        f"It was not stored there. Put the destination back, {_RELEASE}. {_DISCARD}",
    ),
    Reason.RECALLED: Advice(
        "It was recalled while it waited for a destination.",
        "It was withdrawn before it left; what other destinations have: 'appliance recall --list'. Correct what was "
        f"wrong, {_RELEASE}. {_DISCARD}",
    ),
}


def reason_named(code: str) -> Reason:
    """Return the reason of this code; ValueError if there is none."""
    return Reason(code)


def note(reason: Reason, spool_id: str, detail: str) -> str:
    """Return the text beside a quarantined or rejected file: what, to what, what became of it, what to do."""
    words = reason.words
    about = f" {detail}" if detail else ""
    return f"{reason.value}. {words.what}{about}\nInstance: {spool_id}\n{words.advice.replace(' ID', f' {spool_id}')}\n"
