"""Takes up what a lost journal forgot: the round that each instance had come to, told by its reports."""

from collections.abc import Sequence
from dataclasses import replace

from appliance.model import Instance
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from appliance.spool.rounds import ComeTo, Last, come_to

AGAIN_S = 10.0  # until a second of two equal arrivals is looked at again


class Rounds:
    """Instances that were claimed, in the round that their last report tells.

    last  id -> report of its last round, of those that have one
    """

    def __init__(self, spool: Spool, last: Last) -> None:
        self._spool = spool
        self._last = last

    def take_up(self, claimed: Sequence[Instance], now: float, *, repairing: bool) -> list[Instance]:
        """Return what may be begun, in the round that it had come to.

        While the repair goes on, what was the second of two equal arrivals waits: its first may have no row yet, and
        the second would pass for it.
        """
        told = self._last([each.id for each in claimed if each.round == 1])
        begun: list[Instance] = []
        changed: list[ComeTo] = []
        for each in claimed:
            entry = told.get(each.id)
            if entry is None:
                begun.append(each)
            elif repairing and entry.reason == Reason.DUPLICATE.value:
                changed.append(ComeTo(each.id, each.round, each.accepted, now + AGAIN_S))
            elif entry.round > each.round:
                found = come_to(entry)
                changed.append(found)
                begun.append(replace(each, round=found.round, accepted=found.accepted, attempts=1))
            else:
                begun.append(each)
        if changed:
            self._spool.take_up(changed)
        return begun
