"""Originals in the spool, as a receiver leaves them: durable file first, then the row."""

import itertools
from datetime import UTC, datetime, timedelta

from pydicom.dataset import Dataset

from appliance.dicom.meta import provenance_to_meta
from appliance.model import Arrival, Provenance, spool_id
from appliance.spool.inside import Spool
from tests.make.make import EXPLICIT, data_set

_numbers = itertools.count()
_BEGAN = datetime(2026, 11, 20, 18, 15, 22, tzinfo=UTC)


def arrive(
    spool: Spool, data: Dataset, *, provenance: Provenance | None = None, announced: str = "", row: bool = True
) -> str:
    """Keep ``data`` in the spool; return its id. ``announced``: another SOP Instance UID than its own."""
    number = next(_numbers)
    provenance = provenance or Provenance("unlisted", calling_ae="CT1", called_ae="EDGE", peer="127.0.0.1")
    instance = announced or data.SOPInstanceUID
    moment = _BEGAN + timedelta(milliseconds=number)
    name = spool_id(moment, provenance.source, f"n{number:06d}")
    facts = provenance_to_meta(provenance, data.SOPClassUID, instance, EXPLICIT)
    body = facts.encode() + data_set(data)
    spool.layout.original(name).write_bytes(body)
    if row:
        spool.arrived([Arrival(name, moment, provenance, data.SOPClassUID, instance, EXPLICIT, len(body))])
    return name
