"""``appliance doctor --send``: an invented image is stored at a destination, and looked for there.

Twice under the same UID with other bytes: which of them the destination has then is what ``existing`` has to say.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pydicom

from appliance.cli.checks import Finding, Severity
from appliance.config import Destination
from appliance.dicom import phantom
from appliance.lifecycle import RecallState
from appliance.model import Parcel, Recall
from appliance.outlet.destination import Destination as Connection
from appliance.outlet.destination import Receipt, Stored, There
from appliance.outlet.taken_back import Gone
from appliance.services.forward import connections
from appliance.services.recalling import way_back

PATIENT = "APPLIANCE-DOCTOR"
LOOKS, LOOK_S = 10, 0.5  # whether it is gone again


def send_through(destination: Destination) -> Iterator[Finding]:
    """Yield what came of storing invented images at a destination with a url."""
    name = f"sent to {destination.name}"
    with tempfile.TemporaryDirectory(prefix="appliance-doctor-") as folder:
        first, second = _versions(Path(folder))
        try:
            connection, *others = connections(destination)
            for each in others:
                each.close()
            stored = connection.deliver([first])
            if isinstance(stored.verdicts.get(first.out), Stored):
                yield _proved(name, destination, connection, first, second)
                yield _taken_back(name, destination, first)
            else:
                what = f"{destination.url} did not store an invented image: {_why(stored, first)}"
                yield Finding(name, Severity.ERROR, what, "What waits for it stays in the spool; none is lost.")
            connection.close()
        except OSError as error:
            what = f"A certificate or key file cannot be read: {error.strerror or error}. Nothing was sent."
            yield Finding(name, Severity.ERROR, what, "Check its path, owner and mode, or run this with sudo.")


def _proved(name: str, destination: Destination, connection: Connection, first: Parcel, second: Parcel) -> Finding:
    """Store another version of what is there; say which one is then, and whether the configuration knows it."""
    if connection.look(first) is not There.SAME:
        what = "It stored an invented image, and does not show it as sent (WADO-RS): existing is unproved."
        return Finding(name, Severity.WARNING, what, "Give our login the right to read, or compare by hand.")
    connection.deliver([second])
    found = {There.SAME: "replaced", There.DIFFERENT: "kept"}.get(connection.look(second))
    if found is None:
        what = "It stored an invented image, and could not be looked at a second time."
        return Finding(name, Severity.WARNING, what, "Run this again.")
    if found != destination.existing:
        what = f"It has {found} what it had under this UID; the configuration says existing: {destination.existing}."
        return Finding(name, Severity.ERROR, what, f"Say existing: {found} under this destination, then reload.")
    what = f"It stored an invented image, shows it as it was sent, and {found} it when another came under its UID."
    return Finding(name, Severity.OK, what)


def _taken_back(name: str, destination: Destination, parcel: Parcel) -> Finding:
    """Have the invented image deleted again, where that is configured."""
    here = f"Patient ID {PATIENT}, Study Instance UID {parcel.study}"
    if destination.recall.kind == "none":
        what = f"An invented image is left there: {here}."
        return Finding(name, Severity.OK, what, "Have it deleted there if it is in the way.")
    way = way_back(destination)
    state = RecallState.REQUESTED
    try:
        for _ in range(LOOKS):
            recall = Recall(parcel.sop_instance, destination.name, parcel.out, parcel.study, parcel.series, state)
            if isinstance(way.take_back(recall), Gone):
                return Finding(name, Severity.OK, "The invented image was deleted there again.")
            state = RecallState.DELETED
            time.sleep(LOOK_S)
    finally:
        way.close()
    what = f"The invented image could not be deleted there: {here}."
    return Finding(name, Severity.WARNING, what, "Check recall of this destination, and the rights of our login.")


def _versions(folder: Path) -> tuple[Parcel, Parcel]:
    """Return two parcels of one SOP Instance UID: anew for each run, so that nothing of an earlier one is there."""
    when = datetime.now()  # noqa: DTZ005 - a DICOM study has no time zone
    made = []
    for seq, institution in enumerate(("The first", "The second"), 1):
        [(uid, body)] = phantom.study(
            name="Doctor^Appliance", patient_id=PATIENT, born="19700101", when=when, slices=1, institution=institution
        )
        file = folder / f"{seq}.dcm"
        file.write_bytes(body)
        data = pydicom.dcmread(file, stop_before_pixels=True)
        digest = hashlib.sha256(body[144 + int.from_bytes(body[140:144], "little") :]).hexdigest()  # PS3.10 7.1
        made.append(
            Parcel(
                seq=seq,
                out=f"doctor{seq}",
                sop_class=str(data.SOPClassUID),
                sop_instance=uid,
                study=str(data.StudyInstanceUID),
                series=str(data.SeriesInstanceUID),
                transfer_syntax=str(data.file_meta.TransferSyntaxUID),
                digest=digest,
                size=len(body),
                file=file,
                attempts=1,
            )
        )
    first, second = made
    return first, second


def _why(receipt: Receipt, parcel: Parcel) -> str:
    if receipt.unavailable is not None:
        return receipt.unavailable.detail
    verdict = receipt.verdicts.get(parcel.out)
    return str(getattr(verdict, "detail", "")) or "it did not name it as stored."
