"""What is asked of the outside, carried out by the service that owns it. Requests come as files; none is trusted.

    verb      arguments                                what happens
    open      {"source", "project", "by"}              what waits for an operator's leave may go, now and later;
                                                       "done" is how many deliveries were let go
    close     {"source", "project", "by"}              what comes from now on waits again
    abandon   {"destination", "by"}                    a destination no longer configured: its deliveries are refused
                                                       as destination-removed
    stop      {"outs": […], "reason": CODE}            nothing more of these leaves: opted-out or forgotten
    recall    {"studies": […]} or {"rules_digest"}     what left is to be deleted where it is, and what waits becomes
                                                       REJECTED as recalled; "withdrawn" is how many, "done" how many
                                                       deliveries are to be taken back
    withdraw  {"outs": […]}                            REJECTED ones that an operator discarded: their files go
    retry     {"destination", "by"}                    its breaker tries at once
    pause     {"destination", "by"}                    nothing is sent there until resume; running requests end
    resume    {"destination", "by"}                    it goes on; also for one that is no longer configured
    reconcile {"destination", "by"}                    it is asked at once whether it has what it named as stored;
                                                       "": each that is ever asked
    resend    {"destination", "by"}                    what is missing there is made and sent again
    accept    {"destination", "by"}                    what is missing there need not be there
    rebuild   {}                                       the outbox is set aside and made anew: the inside does again
                                                       what no destination had named

The answer is {"done": n}, with "error" when nothing could be done.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from appliance.errors import RequestRefused
from appliance.model import is_out_name, is_source
from appliance.outlet.breaker import Breaker
from appliance.outlet.folder import is_uid
from appliance.reasons import Reason
from appliance.services.reconciling import Reconciling
from appliance.spool.outbox import Outbox
from appliance.spool.recalls import Wanted
from appliance.spool.recovery import recover_outside
from appliance.spool.requests import Request, Requests

log = logging.getLogger(__name__)

OWNER = "forward"

_DIGEST = re.compile(r"[0-9a-f]{64}")


class OutsideOperator:
    """Carries out the requests that are addressed to the forward service.

    breakers  of the configured destinations, by name
    clock     POSIX seconds
    """

    def __init__(
        self,
        outbox: Outbox,
        requests: Requests,
        breakers: Mapping[str, Breaker],
        reconciling: Reconciling,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._reconciling = reconciling
        self._requests = requests
        self._breakers = breakers
        self._clock = clock
        self.repair = recover_outside(outbox)

    def step(self) -> bool:
        """Carry out what has been asked; return whether there was anything."""
        taken = self._requests.take(OWNER)
        for request in taken:
            try:
                done = self._carry_out(request)
                answer: dict[str, Any] = done if isinstance(done, dict) else {"done": done}
            except RequestRefused as refused:
                answer = {"done": 0, "error": str(refused)}
            self._requests.answer(OWNER, request.id, answer)
            log.info("request", extra={"verb": request.verb, "count": answer["done"]})
        return bool(taken)

    def _carry_out(self, request: Request) -> int | dict[str, int]:
        match request.verb:
            case "open":
                return self._gate(request, self._outbox.open_source)
            case "close":
                return self._gate(request, self._outbox.close_source)
            case "rebuild":
                self.repair.rebuild()
                return 1
            case "abandon":
                return self._abandon(_text(request, "destination"))
            case "stop":
                return self._outbox.stop(_outs(request), _for_good(request))
            case "recall":
                done, withdrawn = self._outbox.recall(_wanted(request), self._breakers.keys())
                return {"done": done, "withdrawn": withdrawn}
            case "withdraw":
                return self._withdraw(_outs(request))
            case "retry":
                return self._retry(self._known(request))
            case "pause":
                self._outbox.pauses.pause(self._known(request), str(request.args.get("by", ""))[:64], self._clock())
                return 1
            case "resume":
                return self._resume(_text(request, "destination"))
            case "reconcile":
                return self._reconcile(self._known(request) if _text(request, "destination") else "")
            case "resend":
                return self._reconciling.send_again(self._known(request))
            case "accept":
                return self._outbox.accept_missing(self._known(request))
            case _:
                raise RequestRefused(f"'{OWNER}' can't be asked to do this; nothing was changed.")

    def _gate(self, request: Request, move: Callable[[str, str], int | None]) -> int:
        source = _text(request, "source")
        if not is_source(source):
            raise RequestRefused("A source is 1 to 16 letters, digits or underscores; nothing was changed.")
        return move(source, _text(request, "project")) or 0

    def _abandon(self, destination: str) -> int:
        if destination in self._breakers:
            raise RequestRefused(
                "This destination is configured, so its deliveries go on; nothing was changed. "
                "Take it out of the configuration, restart, then abandon it."
            )
        return self._outbox.abandon(destination)

    def _withdraw(self, outs: list[str]) -> int:
        self._outbox.withdraw(outs)
        return len(outs)

    def _retry(self, destination: str) -> int:
        self._breakers[destination].reset()
        return 1

    def _resume(self, destination: str) -> int:
        if destination not in self._outbox.pauses.all():
            raise RequestRefused("Nobody paused this destination; nothing was changed.")
        self._outbox.pauses.resume(destination)
        return 1

    def _reconcile(self, destination: str) -> int:
        if not destination:
            return sum(self._reconciling.look_now(each) for each in self._breakers)
        if not self._reconciling.look_now(destination):
            raise RequestRefused(
                f"'{destination}' is not asked: it is a folder, or reconciliation.days is 0. Nothing was changed."
            )
        return 1

    def _known(self, request: Request) -> str:
        destination = _text(request, "destination")
        if destination not in self._breakers:
            raise RequestRefused(f"There is no such destination. Known: {', '.join(sorted(self._breakers))}.")
        return destination


def _wanted(request: Request) -> Wanted:
    """What is to be recalled; one of both and nothing else, or an empty list would be everything."""
    studies, digest = request.args.get("studies"), request.args.get("rules_digest")
    if isinstance(studies, list) and studies and digest is None:
        if all(isinstance(study, str) and is_uid(study) for study in studies):
            return Wanted(studies=tuple(studies))
    elif studies is None and isinstance(digest, str) and _DIGEST.fullmatch(digest):
        return Wanted(rules_digest=digest)
    raise RequestRefused("A recall needs 'studies', a list of UIDs, or 'rules_digest'; nothing was changed.")


def _outs(request: Request) -> list[str]:
    outs = request.args.get("outs")
    return [out for out in outs if isinstance(out, str) and is_out_name(out)] if isinstance(outs, list) else []


def _for_good(request: Request) -> Reason:
    known = {reason.value: reason for reason in (Reason.OPTED_OUT, Reason.FORGOTTEN)}
    reason = known.get(_text(request, "reason"))
    if reason is None:
        raise RequestRefused(f"Deliveries are stopped as {' or '.join(known)}; nothing was changed.")
    return reason


def _text(request: Request, name: str) -> str:
    value = request.args.get(name)
    if not isinstance(value, str) or len(value) > 64:
        raise RequestRefused(f"The request needs '{name}'; nothing was changed.")
    return value
