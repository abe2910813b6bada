"""Every DIMSE status that we answer, by name, each with what the modality will do now.

One rule stands above the table: STORED is answered only for what is durable, and so is COMMITMENT_ASKED.
Source: PS3.4 Table B.2-1, PS3.7 Section 10.1.4.1.10 and Annex C.
"""

from enum import Enum


class Status(Enum):
    """A status of a response: its code (0000,0900), an Error Comment (0000,0902), and its consequence.

    comment      at most 64 characters (VR LO); goes to the modality's console, so it names no value
    consequence  what the sender does on it
    """

    code: int
    comment: str
    consequence: str

    def __init__(self, code: int, comment: str, consequence: str) -> None:
        self.code = code
        self.comment = comment
        self.consequence = consequence

    STORED = (
        0x0000,
        "",
        "The modality takes the instance off its queue and may delete it: file and folder are on disk.",
    )
    OUT_OF_RESOURCES = (
        0xA700,
        "No space for it now; not stored. Send again later.",
        "The modality keeps the instance and sends it again later; most do so by themselves.",
    )
    DATA_SET_MISMATCH = (
        0xA900,
        "UIDs in the data set differ from the command; not stored.",
        "The modality reports a permanent failure; its vendor must correct it. Only with strict_uids.",
    )
    MISSING_UID = (
        0xC000,
        "A UID in the command is missing or no UID; not stored.",
        "The modality reports a permanent failure; its vendor must correct it.",
    )
    NO_DATA_SET = (
        0xC000 | 0x01,
        "The data set is missing, empty or cut off; not stored.",
        "The modality reports a permanent failure for this instance; sending again may cure a broken transfer.",
    )
    VERIFIED = (
        0x0000,
        "",
        "The modality shows that the connection works.",
    )
    COMMITMENT_ASKED = (
        0x0000,
        "",
        "The modality waits for the report, which comes on an association of ours; until then it keeps its instances.",
    )
    COMMITMENT_NO_ACTION = (
        0x0123,
        "The action is not Request Storage Commitment (1).",
        "The modality reports a failure and keeps its instances; its vendor must correct it.",
    )
    COMMITMENT_NO_INSTANCE = (
        0x0112,
        "Not the well-known instance of storage commitment.",
        "The modality reports a failure and keeps its instances; its vendor must correct it.",
    )
    COMMITMENT_MALFORMED = (
        0x0115,
        "A UID is missing or no UID, or the request has no instances.",
        "The modality reports a failure and keeps its instances; its vendor must correct it.",
    )
    COMMITMENT_IN_USE = (
        0x0115,
        "The transaction was used before, for other instances.",
        "The modality keeps its instances and asks again, under a new Transaction UID.",
    )
    COMMITMENT_NO_RESOURCES = (
        0x0213,
        "Too large, too many wait, or no space; nothing was kept.",
        "The modality keeps its instances and asks again later, in smaller requests if this one was too large.",
    )
    COMMITMENT_FAILED = (
        0x0110,
        "The request could not be kept; ask again.",
        "The modality keeps its instances and asks again later.",
    )
    UNRECOGNIZED_OPERATION = (
        0x0211,
        "This operation is not served here.",
        "The sender reports that this service is not offered; nothing was stored or changed.",
    )

    @property
    def label(self) -> str:
        """The name in metrics and logs: a closed set."""
        return self.name.lower().replace("_", "-")
