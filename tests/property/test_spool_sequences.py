"""Any sequence of events, power cuts and lost databases: files are where rows say, counts add up, nothing is lost."""

import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.errors import RequestRefused
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool import database, files, inside, outbox, recovery
from appliance.spool.tally import tally
from tests.make.spooled import House, arrival

REASONS = st.sampled_from([Reason.MALFORMED, Reason.RULE, Reason.BURNED_IN_RISK])
DESTINATIONS = ("research", "teaching")


class Power(BaseException):
    """It goes."""


@contextmanager
def goes_after(step: str, count: int):
    """The power goes instead of the step after ``count`` steps of this kind."""
    turns = iter(range(count))
    holders = [database.Database] if step == "commit" else [files, inside, outbox, recovery]
    real = getattr(holders[0], step)

    def cut(*args, **kwargs):
        if next(turns, None) is None:
            raise Power
        return real(*args, **kwargs)

    with ExitStack() as patches:
        for holder in holders:
            if getattr(holder, step, None) is real:
                patches.enter_context(mock.patch.object(holder, step, cut))
        yield


class Sequences(RuleBasedStateMachine):
    """The services' moves in any order, on few instances, some of which are versions of the same."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.house = House(Path(self.folder.name) / "var")
        self.acknowledged: set[str] = set()
        self.purged: set[str] = set()
        self.number = 0
        self.recovered = True
        self.journal_lost = False

    def teardown(self) -> None:
        self.house.close()
        self.folder.cleanup()

    # --- events ---------------------------------------------------------------------------------------------------

    @rule(version=st.booleans(), with_row=st.booleans())
    def receive(self, version: bool, with_row: bool) -> None:
        self.number += 1
        came = arrival(self.number, sop_instance="1.2.3" if version else None, item=1)
        self.house.write(came)
        self.acknowledged.add(came.id)
        if with_row:
            self.house.spool.arrived([came])

    @rule(choice=st.sampled_from(["pass", "exclude", "hold", "quarantine", "defer"]), reason=REASONS)
    def work(self, choice: str, reason: Reason) -> None:
        for instance in self.house.spool.claim(1, self.house.clock(), set()):
            match choice:
                case "pass":
                    self.house.pass_on([instance], destinations=DESTINATIONS)
                case "exclude":
                    self.house.spool.exclude(instance, Reason.EXCLUDED_BY_RULE, "")
                case "hold":
                    self.house.spool.hold(instance, Reason.NO_IDENTITY_YET, "")
                case "quarantine":
                    self.house.spool.quarantine(instance, reason, "Detail.")
                case "defer":
                    self.house.spool.defer(instance, self.house.clock() + 60)

    @rule(destination=st.sampled_from(DESTINATIONS), fate=st.sampled_from(["stored", "refused", "later"]))
    def deliver(self, destination: str, fate: str) -> None:
        parcels = self.house.parcels(destination, limit=2)
        if fate == "stored":
            self.house.outbox.stored(parcels, destination, self.house.clock())
        elif fate == "later":
            self.house.outbox.later(parcels, destination, self.house.clock() + 60, "")
        else:
            for parcel in parcels:
                self.house.outbox.refused(parcel, destination, Reason.DESTINATION_REFUSED, "0xA900")

    @rule(verb=st.sampled_from(["release", "replay", "discard"]), which=st.integers(0, 20))
    def operate(self, verb: str, which: int) -> None:
        if self.acknowledged:
            spool_id = sorted(self.acknowledged)[which % len(self.acknowledged)]
            with suppress(RequestRefused):
                getattr(self.house.spool, verb)(spool_id)

    @rule()
    def follow(self) -> None:
        self.house.follow()
        outs = self.house.spool.withdrawable(10)
        self.house.outbox.withdraw(outs)
        self.house.spool.withdrawn(outs)

    @rule(seconds=st.sampled_from([1, 60, 3600]))
    def wait(self, seconds: int) -> None:
        self.house.clock.now += seconds

    @rule()
    def purge(self) -> None:
        now = self.house.clock()
        ids = self.house.spool.purgeable_originals(now, 10) + self.house.spool.purgeable_discarded(now, 10)
        self.house.spool.original_purged(ids)
        self.purged |= set(ids)

    # --- disasters ------------------------------------------------------------------------------------------------

    @rule(
        step=st.sampled_from(["rename", "unlink", "fsync_folder", "put_durably", "rename_durably", "commit"]),
        count=st.integers(0, 4),
        event=st.sampled_from(["work", "deliver", "follow", "purge", "operate"]),
        data=st.data(),
    )
    def power_cut_within(self, step: str, count: int, event: str, data: st.DataObject) -> None:
        with goes_after(step, count), suppress(Power):
            match event:
                case "work":
                    self.work(data.draw(st.sampled_from(["pass", "quarantine", "exclude"])), Reason.RULE)
                case "deliver":
                    self.deliver("research", data.draw(st.sampled_from(["stored", "refused"])))
                case "operate":
                    self.operate(data.draw(st.sampled_from(["release", "discard", "replay"])), 0)
                case "purge":
                    self.purge()
                case _:
                    self.follow()
        # What was marked as purged may have been about to go.
        for spool_id in self.acknowledged:
            facts = self.house.spool.journal.facts(spool_id)
            if facts is not None and facts[2]:
                self.purged.add(spool_id)
        self.house.crash()
        self.recovered = False

    @rule(side=st.sampled_from(["inside", "outside"]))
    def lose_a_database(self, side: str) -> None:
        self.house.crash()
        self.house.close_without_saying_so()
        for path in (self.house.root / side).glob("*.db*"):
            path.unlink()
        self.house.open()
        self.recovered = False
        if side == "inside":
            self.journal_lost = True
            # What was purged has neither file nor row any more.
            self.acknowledged -= self.purged

    @rule()
    def recover(self) -> None:
        self.house.recover(window=3)
        self.recovered = True

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def no_acknowledged_original_is_lost(self) -> None:
        for spool_id in self.acknowledged - self.purged:
            assert self.house.spool.original(spool_id).is_file()

    @invariant()
    def counts_add_up(self) -> None:
        outside = self.house.outbox.counts()
        found = tally(self.house.spool.counts(), outside)
        with self.house.spool.journal.database.reading() as connection:
            (rows,) = connection.execute("SELECT count(*) FROM instance").fetchone()
            kept = dict(connection.execute("SELECT state, sum(n) FROM tally GROUP BY state HAVING sum(n) > 0"))
            real = dict(connection.execute("SELECT state, count(*) FROM instance GROUP BY state"))
        assert kept == real
        assert found.received == sum(found.states.values())
        # A rebuilt journal begins at round 1 again, while the outside may have a later one.
        assert found.received == rows or self.journal_lost
        with self.house.outbox.rows.database.reading() as connection:
            kept = dict(connection.execute("SELECT state, sum(n) FROM tally GROUP BY state HAVING sum(n) > 0"))
            real = dict(connection.execute("SELECT state, count(*) FROM instance GROUP BY state"))
            assert kept == real
            kept = {(d, s): n for d, s, n in connection.execute("SELECT * FROM delivery_tally WHERE n > 0")}
            real = {
                (d, s): n
                for d, s, n in connection.execute(
                    "SELECT destination, state, count(*) FROM delivery GROUP BY destination, state"
                )
            }
            assert kept == real

    @invariant()
    def of_versions_that_wait_exactly_the_earliest_is_not_blocked(self) -> None:
        with self.house.spool.journal.database.reading() as connection:
            free = connection.execute(
                "SELECT sop_instance, id FROM instance WHERE state = 'RECEIVED' AND blocked = 0 ORDER BY id"
            ).fetchall()
            first = connection.execute(
                "SELECT sop_instance, min(id) FROM instance WHERE state = 'RECEIVED' GROUP BY sop_instance ORDER BY 2"
            ).fetchall()
        assert free == first
        with self.house.outbox.rows.database.reading() as connection:
            free = connection.execute(
                "SELECT destination, sop_instance, seq FROM delivery"
                " WHERE state IN ('GATED', 'WAITING') AND blocked = 0 ORDER BY 1, 2"
            ).fetchall()
            first = connection.execute(
                "SELECT destination, sop_instance, min(seq) FROM delivery"
                " WHERE state IN ('GATED', 'WAITING') GROUP BY 1, 2 ORDER BY 1, 2"
            ).fetchall()
        assert free == first

    @precondition(lambda self: self.recovered)
    @invariant()
    def a_file_is_where_its_row_says(self) -> None:
        house = self.house
        with house.spool.journal.database.reading() as connection:
            rows = connection.execute("SELECT id, state, reason, purged FROM instance").fetchall()
        for spool_id, state, reason, purged in rows:
            kept = house.spool.layout.find(spool_id)
            if purged:
                assert kept is None
            elif state == State.QUARANTINED:
                assert kept == house.spool.layout.quarantined(spool_id, Reason(reason))
                assert kept.with_suffix(".txt").is_file()
            else:
                assert kept == house.spool.layout.original(spool_id)
        with house.outbox.rows.database.reading() as connection:
            rows = connection.execute("SELECT out, state, reason FROM instance").fetchall()
        for out, state, reason in rows:
            assert house.outbox.layout.ready(out).is_file() == (state == State.READY)
            if state == State.REJECTED:
                assert house.outbox.layout.rejected(out, Reason(reason)).is_file()
            if state == State.FORWARDED:
                assert not any(house.outbox.layout.rejected(out, Reason(each)).exists() for each in Reason)


Sequences.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_any_sequence_of_events_keeps_files_rows_and_counts_together = Sequences.TestCase
