"""The only door between the two sides: originals in, de-identified instances out, everything else to a human.

The parent claims RECEIVED instances, workers do them, and the parent commits what came back in batches, in the one
order that a power cut cannot turn against a patient: mapping, file in ready, outbox row, journal row. Each line may
be done twice; none may be skipped. What cannot be committed now, on a full disk for one, stays in hand and is
committed later.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from appliance.config import Config
from appliance.deid.outcome import Minted
from appliance.deid.pseudonyms import out_name
from appliance.errors import IllegalMove
from appliance.mapping.keys import load_key
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import wait_for_list
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.services.duplicates import Duplicates
from appliance.services.follow import Follower
from appliance.services.looker import OVERRAN
from appliance.services.operator import Operator
from appliance.services.passing import log_passed, passed_of, ready_of
from appliance.services.pool import Died, Finished, Overran, Pool
from appliance.services.recipe import destinations_of, recipe_of
from appliance.services.remember import Remember
from appliance.services.reporting import Reporting
from appliance.services.resume import Resume
from appliance.services.rounds import Rounds
from appliance.services.rules_in_force import RulesInForce
from appliance.services.studies import Studies
from appliance.services.worker import Job, Made, Postponed, Result, Withheld, equip_process, work
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.recovery import recover_inside
from appliance.spool.reports import Reports
from appliance.spool.requests import Requests

log = logging.getLogger(__name__)

DEATHS = 3  # workers that one instance may end before it is quarantined
HOPELESS = 10  # beginnings of one instance that never came to an end: it must be what ends us
TAKE_S = 0.05  # how long to wait for results
POSTPONED_S = 10.0  # until an instance is tried again that the machine could not do


class Observer(Protocol):
    """What the service tells its metrics."""

    def deidentified(self, source: str) -> None: ...

    def withheld(self, source: str, reason: Reason) -> None: ...

    def mixed_study(self, source: str) -> None: ...

    def reports_waiting(self, count: int) -> None: ...


class Deidentify:
    """RECEIVED -> PASSED, DISCARDED, HELD or QUARANTINED.

    make_key  development and demo only: a missing key file is made
    """

    name = "deidentify"

    def __init__(
        self, config: Config, observer: Observer, *, make_key: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._observer = observer
        self._make_key = make_key
        self._clock = clock
        self._in_hand: dict[str, Instance] = {}
        self._came: deque[Finished[Job, Result] | Died[Job] | Overran[Job]] = deque()
        self._made: list[tuple[Instance, Made]] = []
        self._postponed: deque[tuple[float, Instance]] = deque()

    def start(self) -> None:
        """Check key and rules, start the workers, open both sides. Raises CannotStart, or ConfigError for the rules."""
        config = self._config
        self._key = load_key(config.mapping, make=self._make_key)
        self._rules = RulesInForce(config)  # rules that are not valid end the start here, and not in a worker
        recipe = recipe_of(config, self._key, self._rules.files)
        self._mapping = MappingStore(config.mapping_store, self._key)
        self._spool = Spool(config.state / "inside", reserve_bytes=config.spool.reserve_bytes)
        self._outbox = Outbox(config.state / "outside")
        self._outbox.exports.keep(is_asked=config.audit.syslog is not None)  # forward's too; it may be begun again here
        self._reporting = Reporting(Reports(self._spool.layout.reports), self._observer, self._clock)
        self._rounds = Rounds(self._spool, self._reporting.last)
        self._repair = recover_inside(self._spool, self._outbox, self._reporting.last)
        self._follower = Follower(self._spool, self._outbox, self._repair.again)
        self._operator = Operator(
            self._spool,
            Requests(config.state / "requests"),
            rebuild=self._repair.rebuild,
            follow=self._before_a_request,
        )
        self._duplicates = Duplicates(self._spool, self._outbox)
        self._studies = Studies(self._mapping, self._spool, self._outbox, self._observer)
        self._remember = Remember(self._spool.settings, self._mapping)
        self._resume = Resume(self._spool, self._mapping, policy=repr(sorted(recipe.missing.items())))
        self._making = self._outbox.making()
        size = config.deidentify.workers or os.cpu_count() or 1
        timeout_s = config.deidentify.timeout_s
        self._pool = Pool[Job, Result](size, partial(equip_process, recipe), work, timeout_s=timeout_s)
        self._pool.start()

    def step(self) -> bool:
        """Carry out requests, commit what came back, hand out more, follow what the outside settled, repair."""
        repaired = self._repair.step()
        if not self._repair.is_sound:
            return False  # the journal is being looked at after an unclean stop: nothing is decided by it yet
        self._remember.step(self._clock())
        self._follow_rules()
        asked = self._operator.step()
        self._came.extend(self._pool.take(TAKE_S if self._in_hand else 0))
        committed = self._commit()
        given = self._hand_out(repairing=repaired)
        followed = self._follower.step(self._clock())
        resumed = self._resume.step(self._clock())
        return bool(asked or committed or given or followed or repaired or resumed or self._pool.in_hand)

    def stop(self) -> None:
        """Give up what is in hand: it is done again after the next start, with the same result."""
        self._pool.stop()
        self._making.close()
        self._reporting.close()
        self._spool.custody.end()
        self._mapping.close()
        self._outbox.close()
        self._spool.close()

    def _before_a_request(self) -> None:
        """What a person asks for is decided by what the outside says now, and carried out by the rules of now."""
        self._follower.catch_up()
        self._rules.look_at_once()

    def _follow_rules(self) -> None:
        """Have the workers begin anew when the rules were changed, once what they have in hand is done."""
        if self._rules.is_newer(self._clock()) and not self._pool.in_hand:
            self._rules.take_newer()
            self._pool.renew(partial(equip_process, recipe_of(self._config, self._key, self._rules.files)))

    # --- handing out ----------------------------------------------------------------------------------------------

    def _hand_out(self, *, repairing: bool) -> int:
        now = self._clock()
        if self._rules.is_newer(now):
            return 0  # first what is in hand comes back, under the rules that it was begun with
        given = 0
        while self._postponed and self._pool.room > 0:
            if now < self._postponed[0][0] <= now + POSTPONED_S:
                break  # later than that it can only be if the clock was set back
            self._give(self._postponed.popleft()[1])
            given += 1
        if any(instance.attempts > DEATHS for instance in self._in_hand.values()):
            return given  # a suspect works alone, so that nobody else is blamed with it
        room = self._pool.room - len(self._postponed)
        claimed = self._spool.claim(room, now, set(self._in_hand)) if room > 0 else []
        for instance in self._rounds.take_up(claimed, now, repairing=repairing):
            self._begin(instance)
        return given + len(claimed)

    def _begin(self, instance: Instance) -> None:
        if destinations_of(self._config, instance.provenance.project) is None:
            self._quarantine(instance, Reason.PROJECT_REMOVED, "")
        elif instance.attempts > HOPELESS:
            self._quarantine(instance, Reason.WORKER_DIED, "")
        else:
            self._in_hand[instance.id] = instance
            self._give(instance)

    def _give(self, instance: Instance) -> None:
        provenance = instance.provenance
        self._pool.give(
            Job(
                id=instance.id,
                round=instance.round,
                original=self._spool.original(instance.id),
                staged=self._making.folder / f"{self._out(instance)}.dcm",
                provenance=provenance,
                announced=(instance.sop_class, instance.sop_instance),
                accepted=instance.accepted,
                domain=self._config.domain_of(provenance.source, provenance.clinic),
                destinations=destinations_of(self._config, provenance.project) or (),
            )
        )

    def _out(self, instance: Instance) -> str:
        return out_name(self._key, instance.id, instance.round)

    # --- committing -----------------------------------------------------------------------------------------------

    def _commit(self) -> bool:
        """Commit all that came back. What raises leaves the rest in hand for the next step."""
        had = bool(self._came or self._made)
        while self._came:
            answer = self._came[0]
            instance = self._in_hand[answer.job.id]
            try:
                self._decide(answer, instance)
            except IllegalMove:
                self._overtaken(instance)
            self._came.popleft()
        if self._made:
            self._pass_on()
        return had

    def _decide(self, answer: Finished[Job, Result] | Died[Job] | Overran[Job], instance: Instance) -> None:
        match answer:
            case Finished(_, Made() as made):
                self._accept(instance, made)
            case Finished(_, Withheld() as withheld):
                self._withhold(instance, withheld)
            case Finished(_, Postponed() as postponed):
                self._postpone(instance, postponed)
            case Died(_, exit_code) if exit_code == OVERRAN:
                self._quarantine(instance, Reason.PIXELS_TOOK_TOO_LONG, "")
            case Died(_, exit_code):
                self._died(instance, exit_code)
            case Overran():
                self._quarantine(instance, Reason.TOOK_TOO_LONG, "")

    def _overtaken(self, instance: Instance) -> None:
        """Its row is no longer as it was claimed (a rebuilt journal): what came of it is dropped, and done again."""
        log.warning("overtaken; it is done again", extra={"spool_id": instance.id})
        self._in_hand.pop(instance.id, None)

    def _postpone(self, instance: Instance, postponed: Postponed) -> None:
        log.warning("postponed", extra={"spool_id": instance.id, "errno": postponed.errno_name})
        if not postponed.unreadable:
            self._postponed.append((self._clock() + POSTPONED_S, instance))
        elif instance.attempts >= DEATHS:
            self._quarantine(instance, Reason.ORIGINAL_UNREADABLE, f"{postponed.errno_name}.")
        else:  # out of our hands meanwhile: files on a bad sector must not fill the room of all the others
            self._spool.defer(instance, self._clock() + POSTPONED_S * 6**instance.attempts)
            self._in_hand.pop(instance.id, None)

    def _accept(self, instance: Instance, made: Made) -> None:
        """Keep a result for the batch, unless its bytes are here already."""
        first = self._duplicates.first_of(instance, made)
        if first is None:
            self._made.append((instance, made))
        else:
            made.staged.unlink(missing_ok=True)
            self._exclude(instance, Reason.DUPLICATE, f"Of {first.id}.", made)

    def _pass_on(self) -> None:
        """Mapping, file, outbox row, journal row: in this order, each durable before the next."""
        collided = set(
            self._mapping.commit(
                [minted for _, made in self._made for minted in made.minted],
                {(made.patient, made.study) for _, made in self._made},
                {made.met for _, made in self._made if made.met is not None},
            )
        )
        for instance, made in [pair for pair in self._made if collided.intersection(pair[1].minted)]:
            made.staged.unlink(missing_ok=True)
            self._collided(instance, made, [each for each in made.minted if each in collided])
            self._made.remove((instance, made))
        self._stop_mixed_studies()
        for instance, made in self._made:
            self._reporting.passes(instance, made)
        self._reporting.flush()
        now = self._clock()
        self._outbox.admit(
            [(ready_of(self._config, instance, made, now), made.staged) for instance, made in self._made]
        )
        try:
            self._spool.passed([passed_of(instance, made) for instance, made in self._made])
        except IllegalMove:  # the others are PASSED; this one is sent once more at worst
            log.warning("overtaken; it is done again", extra={"count": len(self._made)})
        for instance, made in self._made:
            del self._in_hand[instance.id]
            self._observer.deidentified(instance.provenance.source)
            log_passed(instance, made)
        self._made.clear()

    def _stop_mixed_studies(self) -> None:
        """Quarantine what is of a study in which another patient was met, in this batch or ever before."""
        for instance, made in list(self._made):
            objection = self._studies.objection(instance, made.met)
            if objection is not None:
                made.staged.unlink(missing_ok=True)
                try:
                    self._quarantine(instance, Reason.TWO_PATIENT_IDS, objection, made)
                except IllegalMove:
                    self._overtaken(instance)
                self._made.remove((instance, made))

    def _collided(self, instance: Instance, made: Made, minted: Sequence[Minted]) -> None:
        """A list, or a refusal, came while it was made: it is done again. Otherwise two would share a pseudonym."""
        if instance.attempts < DEATHS and all(self._mapping.has_moved_on(each) for each in minted):
            self._spool.defer(instance, self._clock())
            del self._in_hand[instance.id]
        else:
            self._quarantine(instance, Reason.PSEUDONYM_COLLISION, "", made)

    # --- withholding ----------------------------------------------------------------------------------------------

    def _died(self, instance: Instance, exit_code: int) -> None:
        log.warning("worker died", extra={"spool_id": instance.id, "exit_code": exit_code})
        if instance.attempts >= DEATHS:
            self._quarantine(instance, Reason.WORKER_DIED, "")
        else:
            self._spool.defer(instance, self._clock())
            del self._in_hand[instance.id]

    def _withhold(self, instance: Instance, withheld: Withheld) -> None:
        reason, detail = withheld.reason, withheld.detail
        self._studies.note(instance, withheld.met)
        match reason:
            case Reason.EXCLUDED_BY_RULE | Reason.OPTED_OUT | Reason.FORGOTTEN:
                self._exclude(instance, reason, detail, withheld)
                if reason is Reason.FORGOTTEN:
                    self._spool.original_purged([instance.id])
            case Reason.NO_IDENTITY_YET:
                if withheld.awaits is not None:
                    wait_for_list(self._mapping, instance.id, *withheld.awaits)
                self._reporting.withheld(instance, reason, detail, withheld)
                self._spool.hold(instance, reason, detail, withheld.original_digest, withheld.study)
                self._told(instance, reason)
            case _:
                self._quarantine(instance, reason, detail, withheld)

    def _exclude(self, instance: Instance, reason: Reason, detail: str, of: Made | Withheld) -> None:
        self._reporting.withheld(instance, reason, detail, of)
        self._spool.exclude(instance, reason, detail, of.original_digest)
        self._told(instance, reason)

    def _quarantine(self, instance: Instance, reason: Reason, detail: str, of: Made | Withheld | None = None) -> None:
        """Quarantine; ``of``: what came of it, if a worker came so far."""
        self._reporting.withheld(instance, reason, detail, of)
        digest, study = ("", "") if of is None else (of.original_digest, of.study)
        self._spool.quarantine(instance, reason, detail, digest, study)
        self._told(instance, reason)

    def _told(self, instance: Instance, reason: Reason) -> None:
        self._in_hand.pop(instance.id, None)
        self._observer.withheld(instance.provenance.source, reason)
        log.info("withheld", extra={"spool_id": instance.id, "reason": reason.value})
