"""Two Patient IDs in one study: from the second one on, nothing more of it leaves until a person decided.

Who is met is noted durably in the mapping before anything of the instance is decided. What waits outside is stopped
before the instance that brought the second Patient ID gets its reason, so that a kill in between is made good when
that instance is done again. What has left is named by the reason, and told once: it is somebody else's to repair.
"""

import logging
from typing import Protocol

from appliance.mapping.met import names_of, note, others
from appliance.mapping.store import MappingStore, Met
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox

log = logging.getLogger(__name__)

ACCEPTED = Reason.TWO_PATIENT_IDS.value


class Observer(Protocol):
    """What is told to the metrics."""

    def mixed_study(self, source: str) -> None: ...


class Studies:
    """What becomes of a study in which another patient is met."""

    def __init__(self, mapping: MappingStore, spool: Spool, outbox: Outbox, observer: Observer) -> None:
        self._mapping = mapping
        self._spool = spool
        self._outbox = outbox
        self._observer = observer
        self._stopped: dict[bytes, int] = {}  # study -> how many of its instances had left

    def note(self, instance: Instance, met: Met | None) -> None:
        """Note who was met in an instance that does not pass on, and stop its study if that is a second one."""
        if met is not None:
            note(self._mapping, met)
            self.objection(instance, met)

    def objection(self, instance: Instance, met: Met | None) -> str | None:
        """Return why this instance must not pass, in words without a value; None if it may. ``met`` was noted."""
        number = 0 if met is None else others(self._mapping, met)
        if met is None or not number:
            return None
        names = names_of(self._mapping, met.study)
        if met.study not in self._stopped:  # what passed since then was accepted, each by itself
            self._stopped[met.study] = self._stop(instance, names)
        if ACCEPTED in instance.accepted:
            return None
        study = met.left_as or next(iter(names), "")
        of = f" {study}" if study else ""
        return f"Study{of}: {number + 1} Patient IDs; {self._stopped[met.study]} of its instances had left."

    def _stop(self, instance: Instance, names: list[str]) -> int:
        """Let nothing of the study that waits outside leave, but for what was accepted; return how many had left."""
        waiting = {each.out for each in self._outbox.left(names) if each.delivery in ("WAITING", "GATED")}
        outs = sorted(waiting - self._spool.accepted(waiting, Reason.TWO_PATIENT_IDS))
        if outs:
            self._outbox.stop(outs, Reason.TWO_PATIENT_IDS)
        gone = len({each.out for each in self._outbox.left(names) if each.has_left})
        self._observer.mixed_study(instance.provenance.source)
        log.warning("two Patient IDs in one study", extra={"spool_id": instance.id, "count": gone})
        return gone
