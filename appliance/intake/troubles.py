"""What can be wrong between a sender and us, each in plain words for both ends. No patient data is in any of it."""

from dataclasses import dataclass
from enum import Enum

from appliance.intake.associate import Rejection
from appliance.intake.statuses import Status
from appliance.intake.wire import End


@dataclass(frozen=True, slots=True)
class Words:
    """what   what happened, as the sender's vendor can use it
    do     what to change, and where
    """

    what: str
    do: str


class Trouble(Enum):
    """Why an association failed, or something in it. The value is the code, kept in a file and shown to programs."""

    UNKNOWN_CALLER = "unknown-caller"
    UNKNOWN_CALLED = "unknown-called"
    UNKNOWN_APPLICATION = "unknown-application"
    UNKNOWN_PROTOCOL = "unknown-protocol"
    TOO_MANY = "too-many"
    CONGESTION = "congestion"
    NOTHING_ACCEPTED = "nothing-accepted"
    NOT_UNDERSTOOD = "not-understood"
    NOT_DICOM = "not-dicom"
    TLS_ON_PLAIN_PORT = "tls-on-plain-port"
    PLAIN_ON_TLS_PORT = "plain-on-tls-port"
    TLS_TOO_OLD = "tls-too-old"
    TLS_NO_CIPHER = "tls-no-cipher"
    TLS_NO_CERTIFICATE = "tls-no-certificate"
    TLS_CERTIFICATE_REFUSED = "tls-certificate-refused"
    TLS_DOES_NOT_TRUST_US = "tls-does-not-trust-us"
    TLS_STALLED = "tls-stalled"
    TLS_FAILED = "tls-failed"
    SILENT = "silent"
    ABORTED = "aborted"
    BROKE_OFF = "broke-off"
    AGAINST_PROTOCOL = "against-protocol"
    OUR_FAULT = "our-fault"
    NO_SPACE = "out-of-resources"
    DATA_SET_MISMATCH = "data-set-mismatch"
    MISSING_UID = "missing-uid"
    NO_DATA_SET = "no-data-set"
    COMMITMENT_NO_ACTION = "commitment-no-action"
    COMMITMENT_NO_INSTANCE = "commitment-no-instance"
    COMMITMENT_MALFORMED = "commitment-malformed"
    COMMITMENT_IN_USE = "commitment-in-use"
    COMMITMENT_NO_RESOURCES = "commitment-no-resources"
    COMMITMENT_FAILED = "commitment-failed"
    REPORT_NOT_TAKEN = "report-not-taken"

    @property
    def words(self) -> Words:
        """What happened and what to do."""
        return WORDS[self]


WORDS: dict[Trouble, Words] = {
    Trouble.UNKNOWN_CALLER: Words(
        "The association was rejected: calling AE title not recognized (PS3.8, result 1, source 1, reason 3).",
        "Add the sender under scp.peers, with this AE title and address, or correct them at the sender.",
    ),
    Trouble.UNKNOWN_CALLED: Words(
        "The association was rejected: called AE title not recognized (PS3.8, result 1, source 1, reason 7).",
        "At the sender, give the AE title of this receiver (scp.ae_title) as the called one.",
    ),
    Trouble.UNKNOWN_APPLICATION: Words(
        "The association was rejected: its application context name is not DICOM's (1.2.840.10008.3.1.1.1).",
        "The sender's software is wrong here; its vendor must correct it.",
    ),
    Trouble.UNKNOWN_PROTOCOL: Words(
        "The association was rejected: the upper layer protocol version is not 1.",
        "The sender's software is wrong here; its vendor must correct it.",
    ),
    Trouble.TOO_MANY: Words(
        "The association was rejected for now: as many are open as scp.max_associations allows.",
        "The sender tries again by itself. If it is often so, raise scp.max_associations, or look who holds some open.",
    ),
    Trouble.CONGESTION: Words(
        "The association was rejected for now: there is too little disk space, or the receiver was ending.",
        "The sender tries again by itself. See 'appliance doctor' for the disk.",
    ),
    Trouble.NOTHING_ACCEPTED: Words(
        "The association was accepted, but none of its presentation contexts: nothing in it is a storage SOP Class or "
        "Verification with a transfer syntax.",
        "This is a store, not a worklist, query or printer: correct what the sender uses this address for.",
    ),
    Trouble.NOT_UNDERSTOOD: Words(
        "The association request contradicts itself (PS3.8 Section 9.3.2), so it was aborted.",
        "The sender's software is wrong here; its vendor needs our log line 'association request not understood'.",
    ),
    Trouble.NOT_DICOM: Words(
        "Something that is no DICOM association request came to the DICOM port.",
        "A port scan or a web browser does that. If it is a modality, its port is wrong: correct it there.",
    ),
    Trouble.TLS_ON_PLAIN_PORT: Words(
        "The sender began TLS on the port that is not encrypted.",
        "At the sender, give the port of scp.tls, or switch its encryption off.",
    ),
    Trouble.PLAIN_ON_TLS_PORT: Words(
        "The sender spoke without TLS on the encrypted port.",
        "At the sender, switch TLS on, or give the plain port (scp.port).",
    ),
    Trouble.TLS_TOO_OLD: Words(
        "The sender offers only TLS versions older than 1.2.",
        "Have its vendor enable TLS 1.2 or 1.3 (PS3.15 B.12); older ones are not secure and not accepted.",
    ),
    Trouble.TLS_NO_CIPHER: Words(
        "The sender and the receiver have no TLS cipher suite in common.",
        "Have its vendor enable suites with forward secrecy and AES-GCM or ChaCha20 (PS3.15 B.12, BCP 195).",
    ),
    Trouble.TLS_NO_CERTIFICATE: Words(
        "The sender showed no client certificate, and one is asked for.",
        "Install a certificate of the hospital's authority at the sender, or leave scp.tls.client_ca out.",
    ),
    Trouble.TLS_CERTIFICATE_REFUSED: Words(
        "The sender's certificate is not of the authority named by scp.tls.client_ca, or it has ended.",
        "Install a valid certificate of that authority at the sender, or put its authority into scp.tls.client_ca.",
    ),
    Trouble.TLS_DOES_NOT_TRUST_US: Words(
        "The sender does not accept the receiver's certificate.",
        "At the sender, install the authority that signed scp.tls.certificate; look whether that one has ended.",
    ),
    Trouble.TLS_STALLED: Words(
        "The TLS handshake did not end within scp.tls.handshake_s.",
        "A port scan does that. If it is a modality, look at the network between, and at its load.",
    ),
    Trouble.TLS_FAILED: Words(
        "The TLS handshake failed.",
        "Compare the TLS settings of the sender with PS3.15 B.12; the log has the library's code for it.",
    ),
    Trouble.SILENT: Words(
        "The sender said nothing for scp.idle_s, so the association was ended.",
        "Nothing is half stored. If the sender is slow to prepare images, raise scp.idle_s.",
    ),
    Trouble.ABORTED: Words(
        "The sender aborted the association.",
        "What was answered with Success is stored. The sender's own log says why; often it waits too little.",
    ),
    Trouble.BROKE_OFF: Words(
        "The connection broke off without release.",
        "What was answered with Success is stored. Look at cable, switch and firewall (idle limits) between the two.",
    ),
    Trouble.AGAINST_PROTOCOL: Words(
        "What the sender sent is against the DICOM protocol (PS3.7, PS3.8), so the association was aborted.",
        "What was answered with Success is stored. The sender's software is wrong here; its vendor must correct it.",
    ),
    Trouble.OUR_FAULT: Words(
        "The receiver met a fault of its own and ended the association.",
        "What was answered with Success is stored; the sender may send again. Report the log of that moment.",
    ),
    Trouble.NO_SPACE: Words(
        "An image was refused with A700, out of resources: too little disk space.",
        "The sender still has it and sends it again. Free space: see 'appliance doctor'.",
    ),
    Trouble.DATA_SET_MISMATCH: Words(
        "An image was refused with A900: its UIDs differ from those of the C-STORE command.",
        "The sender still has it. Its vendor must correct it; or switch scp.strict_uids off here.",
    ),
    Trouble.MISSING_UID: Words(
        "An image was refused with C000: the C-STORE command lacks a valid SOP Class or SOP Instance UID.",
        "The sender still has it. Its vendor must correct it.",
    ),
    Trouble.NO_DATA_SET: Words(
        "An image was refused with C001: its data set is missing, empty or cut off.",
        "The sender still has it. Have it sent again; if it stays so, its vendor must correct it.",
    ),
    Trouble.COMMITMENT_NO_ACTION: Words(
        "A request for storage commitment was refused with 0123: its Action Type ID is not 1 (PS3.4 Table J.3-1).",
        "The sender keeps its images. Its vendor must correct it.",
    ),
    Trouble.COMMITMENT_NO_INSTANCE: Words(
        "A request for storage commitment was refused with 0112: it is not to 1.2.840.10008.1.20.1.1 (PS3.4 J.3.5).",
        "The sender keeps its images. Its vendor must correct it.",
    ),
    Trouble.COMMITMENT_MALFORMED: Words(
        "A request for storage commitment was refused with 0115: a UID is missing or no UID, or it names no image.",
        "The sender keeps its images. Its vendor must correct it.",
    ),
    Trouble.COMMITMENT_IN_USE: Words(
        "A request for storage commitment was refused with 0115: its Transaction UID was used before for other images.",
        "The sender keeps its images. Its vendor must give each request a Transaction UID of its own.",
    ),
    Trouble.COMMITMENT_NO_RESOURCES: Words(
        "A request for storage commitment was refused with 0213: it is too large, too many wait, or the disk is full.",
        "The sender keeps its images and asks again. See that it takes our reports; 'appliance doctor' for the disk.",
    ),
    Trouble.COMMITMENT_FAILED: Words(
        "A request for storage commitment was refused with 0110: it could not be kept just then.",
        "The sender keeps its images. Ask again there; if it stays so, look at the disk and the receiver's log.",
    ),
    Trouble.REPORT_NOT_TAKEN: Words(
        "A report of storage commitment, on an association from here, was not taken.",
        "It is repeated for commitment.report_hours. Compare the peer's commitment in scp.peers (host, port, "
        "ae_title) with what it listens on, and have it accept this receiver's AE title and the role SCP.",
    ),
}

_ENDS = {
    End.SILENT: Trouble.SILENT,
    End.ABORTED_BY_PEER: Trouble.ABORTED,
    End.CLOSED_BY_PEER: Trouble.BROKE_OFF,
    End.VIOLATION: Trouble.AGAINST_PROTOCOL,
    End.UNEXPECTED: Trouble.OUR_FAULT,
}
# Reasons of OpenSSL, without their protocol's name.
_TLS = {
    "UNSUPPORTED_PROTOCOL": Trouble.TLS_TOO_OLD,
    "NO_SHARED_CIPHER": Trouble.TLS_NO_CIPHER,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": Trouble.TLS_NO_CERTIFICATE,
    "CERTIFICATE_VERIFY_FAILED": Trouble.TLS_CERTIFICATE_REFUSED,
    "WRONG_VERSION_NUMBER": Trouble.PLAIN_ON_TLS_PORT,
    "HTTP_REQUEST": Trouble.PLAIN_ON_TLS_PORT,
    "RECORD_LAYER_FAILURE": Trouble.PLAIN_ON_TLS_PORT,
    "TimeoutError": Trouble.TLS_STALLED,
}
_DISTRUST = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_EXPIRED", "ALERT_CERTIFICATE_UNKNOWN")


def of_rejection(why: Rejection) -> Trouble:
    """Return the trouble that a rejection is."""
    return Trouble(why.label)


def of_end(how: End) -> Trouble | None:
    """Return the trouble that an accepted association's end is; None for an orderly one."""
    return _ENDS.get(how)


def of_status(status: Status) -> Trouble | None:
    """Return the trouble that an answer to C-STORE or N-ACTION is; None for one that is none."""
    return next((each for each in Trouble if each.value == status.label), None)


def of_handshake(reason: str) -> Trouble:
    """Return the trouble behind a failed TLS handshake: OpenSSL's reason, or the class of the exception."""
    if reason.endswith(_DISTRUST):
        return Trouble.TLS_DOES_NOT_TRUST_US
    return _TLS.get(reason, Trouble.TLS_FAILED)
