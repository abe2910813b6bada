"""HELD instances go on by themselves: when the list that names their patient has come, or when nobody waits any more.

The mapping knows who waits for whom, so an arriving list costs as much as it releases. When the mapping was restored,
or the site's policy changed, every held instance is looked at once more, in small steps.
"""

from appliance.errors import IllegalMove, RequestRefused
from appliance.lifecycle import State
from appliance.mapping.lineage import owed
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import resumed, to_resume
from appliance.reasons import Reason
from appliance.spool.inside import Spool

BATCH = 100  # instances a step
EVERY_S = 1.0  # how often the store is asked
_SETTING = "resumed-under"


class Resume:
    """Lets held instances go.

    policy  what becomes of unlisted patients, in words: when it changes, everybody is looked at again
    """

    def __init__(self, spool: Spool, mapping: MappingStore, policy: str) -> None:
        self._spool = spool
        self._mapping = mapping
        self._policy = policy
        self._next = 0.0
        self._after: str | None = None  # while everybody is looked at: the last id

    def step(self, now: float) -> bool:
        """Release at most BATCH instances; return whether there were any."""
        if self._after is not None:
            return self._next_of_all()
        if now < self._next and now > self._next - EVERY_S:
            return False
        ids = to_resume(self._mapping, BATCH)
        for spool_id in ids:
            self._release(spool_id)
        if ids:
            resumed(self._mapping, ids)
            return True
        self._next = now + EVERY_S
        rules, before = self._rules(), self._spool.settings.get(_SETTING)
        if not before:
            self._spool.settings.put(_SETTING, rules)  # a new journal: nobody was held under other rules
        elif before != rules:
            self._after = ""
        return self._after is not None

    def _next_of_all(self) -> bool:
        rules = self._rules()
        page = self._spool.waiting_for(Reason.NO_IDENTITY_YET, after=self._after or "", limit=BATCH)
        for instance in page:
            self._release(instance.id)
        self._after = page[-1].id if page else None
        if not page:
            self._spool.settings.put(_SETTING, rules)
        return bool(page)

    def _rules(self) -> str:
        return f"{self._policy} {self._mapping.number('restored')} {owed(self._mapping).decode()}".strip()

    def _release(self, spool_id: str) -> None:
        found = self._spool.journal.instance(spool_id)
        if found is None or (found.state, found.reason) != (State.HELD, Reason.NO_IDENTITY_YET.value):
            return  # an operator was faster, or it was forgotten
        try:
            self._spool.release(spool_id, by="id list")
        except (IllegalMove, RequestRefused):
            return  # moved in between, or its original is gone: nothing waits any more
