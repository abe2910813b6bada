"""Storage commitment as the provider: what is answered to a request. Source: PS3.4 Annex J.3.2, PS3.7 10.1.4."""

from collections.abc import Callable

from appliance.dicom.commitment import Asked, read_asked
from appliance.errors import Malformed
from appliance.intake.dimse import Command
from appliance.intake.sop_classes import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from appliance.intake.statuses import Status

REQUEST = 1  # Action Type ID: PS3.4 Table J.3-1

Keep = Callable[[Asked], Status]  # keeps a request durably; COMMITMENT_ASKED once it is, else why it is not


def answer(command: Command, data: bytes | None, transfer_syntax: str, keep: Keep) -> Status:
    """Return the status of an N-ACTION, after what it asks for was kept.

    data  the Action Information; None: it was too large to be read
    """
    if (command.sop_class, command.sop_instance) != (STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE):
        return Status.COMMITMENT_NO_INSTANCE
    if command.action != REQUEST:
        return Status.COMMITMENT_NO_ACTION
    if data is None:
        return Status.COMMITMENT_NO_RESOURCES
    try:
        asked = read_asked(data, transfer_syntax)
    except Malformed:
        return Status.COMMITMENT_MALFORMED
    return keep(asked)
