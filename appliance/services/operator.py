"""What operators ask of the inside, carried out by the service that owns it. Requests come as files; none is trusted.

    verb      arguments                              what happens
    release   {"ids": […]} or {"reason": CODE},      QUARANTINED, HELD, REJECTED, DISCARDED -> RECEIVED in a new round
              optional "accept": CODE, "by": NAME
              with a reason optional "study": UID    only those of this pseudonymous study
    replay    {"ids": […]}, "by"                     FORWARDED -> RECEIVED in a new round: sent again by today's rules
    discard   {"ids": […]} or {"reason": CODE}, "by" QUARANTINED, HELD, REJECTED -> DISCARDED
    erase     {"ids": […]}, "by"                     the originals are removed for good, whatever they wait for
    rebuild   {}                                     the journal is set aside and made from the files again

The answer is {"done": n, "refused": {id: why}}; a reason names every instance that waits for it.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from appliance.errors import IllegalMove, RequestRefused
from appliance.model import is_spool_id
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from appliance.spool.requests import Request, Requests

log = logging.getLogger(__name__)

OWNER = "deidentify"
PAGE = 500  # instances of one reason that are looked up at a time


class Operator:
    """Carries out the requests that are addressed to the de-identify service.

    follow  called before anything is decided: a person saw what the outside says, and the inside may be behind
    """

    def __init__(
        self,
        spool: Spool,
        requests: Requests,
        *,
        rebuild: Callable[[], None] = lambda: None,
        follow: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._follow = follow
        self._requests = requests
        self._rebuild = rebuild

    def step(self) -> bool:
        """Carry out what has been asked; return whether there was anything."""
        taken = self._requests.take(OWNER)
        if taken:
            self._follow()
        for request in taken:
            try:
                answer = self._carry_out(request)
            except (RequestRefused, ValueError) as error:
                answer = {"done": 0, "error": str(error)}
            self._requests.answer(OWNER, request.id, answer)
            log.info("request", extra={"verb": request.verb, "count": answer["done"]})
        return bool(taken)

    def _carry_out(self, request: Request) -> dict[str, Any]:
        by = str(request.args.get("by", ""))[:64]
        move: Callable[[str], None]
        match request.verb:
            case "release":
                accept = _accepted(request.args.get("accept"))
                move = lambda spool_id: self._spool.release(spool_id, accept=accept, by=by)  # noqa: E731 - one line each
            case "replay":
                move = lambda spool_id: self._spool.replay(spool_id, by=by)  # noqa: E731 - one line each
            case "discard":
                move = lambda spool_id: self._spool.discard(spool_id, by=by)  # noqa: E731 - one line each
            case "rebuild":
                self._rebuild()
                return {"done": 1, "refused": {}}
            case "erase":
                move = lambda spool_id: self._spool.erase(spool_id, by=by)  # noqa: E731 - one line each
            case _:
                raise RequestRefused(f"'{request.verb}' is nothing that {OWNER} can be asked; nothing was changed.")
        return self._each(self._named(request.args), move)

    def _each(self, ids: Iterator[str], move: Callable[[str], None]) -> dict[str, Any]:
        done, refused = 0, {}
        for spool_id in ids:
            try:
                move(spool_id)
                done += 1
            except (RequestRefused, IllegalMove) as error:
                refused[spool_id] = str(error)
        return {"done": done, "refused": refused}

    def _named(self, args: dict[str, Any]) -> Iterator[str]:
        ids = args.get("ids")
        if isinstance(ids, list):
            yield from (each for each in ids if isinstance(each, str) and is_spool_id(each))
            return
        reason, study = Reason(args.get("reason")), args.get("study", "")
        if not isinstance(study, str):
            raise RequestRefused("A study is a UID; nothing was changed.")
        after = ""
        while page := self._spool.waiting_for(reason, study=study, after=after, limit=PAGE):
            yield from (instance.id for instance in page)
            after = page[-1].id


def _accepted(code: object) -> Reason | None:
    """The reason an operator accepts; ValueError or RequestRefused if it cannot be."""
    if code is None:
        return None
    reason = Reason(code)
    if not reason.words.acceptable:
        raise RequestRefused(f"'{reason.value}' can't be accepted: {reason.words.what} Nothing was changed.")
    return reason
