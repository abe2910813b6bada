"""Whether the bytes of an instance are in the house already, so that the second of them is needless."""

from appliance.lifecycle import State
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.services.worker import Made
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox

_WITHOUT_BYTES = (Reason.ORIGINAL_MISSING.value, Reason.ORIGINAL_UNREADABLE.value)


class Duplicates:
    """Looks for the first instance of the same bytes; none in doubt, since sending again is how people repair."""

    def __init__(self, spool: Spool, outbox: Outbox) -> None:
        self._spool = spool
        self._outbox = outbox

    def first_of(self, instance: Instance, made: Made) -> Instance | None:
        """Return the instance of the same bytes that makes this one needless, if there is one."""
        if instance.round > 1:
            return None  # an operator asked for this round
        known = self._spool.known_digest(made.original_digest)
        return next((each for each in known if each.id != instance.id and self._still_serves(each, made)), None)

    def _still_serves(self, first: Instance, made: Made) -> bool:
        if first.state in (State.RECEIVED, State.HELD, State.QUARANTINED):
            return self._has_bytes(first)
        if first.state is not State.PASSED:
            return False
        outside = self._outbox.state(first.out)
        if outside is State.FORWARDED:
            # Under other rules the result would be another.
            return first.rules_digest == made.rules_digest and self._reaches(first, made, {"STORED"})
        if outside in (State.READY, State.REJECTED):
            return self._has_bytes(first) and self._reaches(first, made, {"STORED", "GATED", "WAITING", "REFUSED"})
        return False

    def _has_bytes(self, first: Instance) -> bool:
        """Whether the first can still be passed on: a row whose file is gone stands for nothing."""
        return first.reason not in _WITHOUT_BYTES and self._spool.original(first.id).is_file()

    def _reaches(self, first: Instance, made: Made, states: set[str]) -> bool:
        """Whether the first went, or goes, wherever this one would: a destination may have been added
        since, or the first is being taken back there."""
        reached = {each.destination for each in self._outbox.deliveries(first.out) if each.state in states}
        return (reached - self._outbox.recalls.open_at(first.out)).issuperset(made.destinations)
