"""Two Patient IDs in one study: from the second one on nothing more of it leaves, whatever comes in between."""

import logging
import time

import pytest

from appliance.lifecycle import State
from appliance.mapping.met import studies_with
from appliance.mapping.store import MappingStore, index_key, index_of
from appliance.model import Provenance
from appliance.reasons import Reason
from appliance.services.deidentify import Deidentify
from appliance.services.operator import Operator
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.unit.services.test_deidentify import Told, work_off

MIXED = Reason.TWO_PATIENT_IDS
STUDY = "1.2.826.0.1.3680043.9.9999.77"
KEY = bytes.fromhex("5e" * 32)


class House:
    """A site with its de-identify service; what forward would do is done by hand."""

    def __init__(self, folder, more=""):
        self.site = configured(folder, f"deidentify: {{workers: 1}}\n{more}")
        self.spool = Spool(self.site.state / "inside", reserve_bytes=0)
        self.outbox = Outbox(self.site.state / "outside")
        self.told = Told()
        self.numbers = 0
        self.service = None

    def start(self):
        self.service = Deidentify(self.site, self.told)
        self.service.start()

    def stop(self):
        self.service.stop()

    def arrive(self, number, *, study=STUDY, provenance=None, **more):
        self.numbers += 1
        data = make.ct(patient_id=number, StudyInstanceUID=study, SOPInstanceUID=f"1.2.3.{self.numbers}", **more)
        return arrive(self.spool, data, provenance=provenance)

    def work(self):
        work_off(self.service)

    def send(self):
        """Deliver all that may leave now; return how many."""
        parcels = self.outbox.claim("research", 100, 10**9, time.time(), set())
        self.outbox.stored(parcels, "research", time.time())
        self.work()
        return len(parcels)

    def state(self, spool_id):
        self.service._follower.catch_up()
        trace = self.spool.trace(spool_id)[0]
        outside = trace.outside if trace.instance.state is State.PASSED else ""
        return (outside or trace.instance.state, trace.instance.reason)

    def states(self, *ids):
        return [self.state(spool_id) for spool_id in ids]

    def ask(self, verb, **args):
        self.service._follower.catch_up()
        requests = Requests(self.site.state / "requests")
        request = requests.ask("deidentify", verb, args)
        Operator(self.spool, requests).step()
        return requests.wait("deidentify", request, 0)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    house.start()
    yield house
    house.stop()
    house.spool.close()
    house.outbox.close()


PASSED, FORWARDED = (State.PASSED, ""), (State.FORWARDED, "")
KEPT_BACK, STOPPED = (State.QUARANTINED, MIXED.value), (State.REJECTED, MIXED.value)


def test_from_the_second_patient_id_on_nothing_of_the_study_leaves_and_what_has_left_is_named(house, caplog):
    gone = house.arrive("P1")
    house.work()
    assert house.send() == 1
    waits = house.arrive("P1")
    house.work()

    with caplog.at_level(logging.WARNING):
        second = house.arrive("P2")
        house.work()
        later = [house.arrive("P1"), house.arrive("P2")]
        house.work()

    assert house.states(gone, waits, second, *later) == [FORWARDED, STOPPED, KEPT_BACK, KEPT_BACK, KEPT_BACK]
    assert house.send() == 0
    detail = house.spool.trace(second)[0].instance.detail
    assert detail == f"Study {house.spool.trace(gone)[0].study}: 2 Patient IDs; 1 of its instances had left."
    assert STUDY not in detail
    assert house.told.mixed == ["unlisted"]
    (told,) = [record for record in caplog.records if record.getMessage() == "two Patient IDs in one study"]
    assert (told.spool_id, told.count) == (second, 1)


def test_two_that_come_together_are_both_kept_back(house):
    ids = [house.arrive(number) for number in ("P1", "P2", "P1")]
    house.work()
    outside = {state for state, _ in house.states(*ids)}

    assert outside <= {State.QUARANTINED, State.REJECTED}
    assert house.send() == 0


@pytest.mark.parametrize(
    ("number", "name"), [("P1", "MUELLER^ANNE"), (" P1 ", "Invented^Ines")], ids=["name", "padding"]
)
def test_one_number_spelled_two_ways_is_one_patient(house, number, name):
    ids = [house.arrive(number, patient=name), house.arrive("P1")]
    house.work()

    assert house.states(*ids) == [PASSED, PASSED]


@pytest.mark.parametrize("other", ["p1", "0P1", "P01"])
def test_numbers_that_differ_in_case_or_zeros_are_two_as_their_pseudonyms_are(house, other):
    first = house.arrive("P1")
    house.work()
    second = house.arrive(other)
    house.work()

    assert house.states(first, second) == [STOPPED, KEPT_BACK]


def test_one_number_of_two_domains_is_two_patients_unless_the_domains_are_one(tmp_path):
    more = "inbox: {path: ./inbox, clinics: {a: {}, b: {}, c: {}}}\nidentity: {domains: {town: [a, b]}}\n"
    house = House(tmp_path, more)
    house.start()
    came = {name: Provenance(name, clinic=name) for name in "abc"}
    same = [house.arrive("P1", provenance=came[name]) for name in "ab"]
    house.work()
    assert house.states(*same) == [PASSED, PASSED]

    stranger = house.arrive("P1", provenance=came["c"])
    house.work()

    assert house.state(stranger) == KEPT_BACK
    house.stop()


def test_a_second_patient_id_counts_though_its_instance_is_withheld_for_another_reason(house):
    first = house.arrive("P1")
    house.work()
    house.arrive("P2", Manufacturer="Made for Invented")
    house.work()

    assert house.state(first) == STOPPED


def test_other_studies_of_both_patients_go_on(house):
    house.arrive("P1"), house.arrive("P2")
    others = [house.arrive("P1", study="1.2.3.77"), house.arrive("P2", study="1.2.3.78")]
    house.work()

    assert house.states(*others) == [PASSED, PASSED]


def test_what_is_accepted_leaves_and_the_rest_waits_on(house):
    waits = house.arrive("P1")
    house.work()
    second = house.arrive("P2")
    house.work()

    assert house.ask("release", ids=[waits], accept=MIXED.value, by="anne") == {"done": 1, "refused": {}}
    house.work()
    released_only = house.ask("release", ids=[second], by="anne")
    house.work()

    assert released_only["done"] == 1
    assert house.states(waits, second) == [PASSED, KEPT_BACK]
    third = house.arrive("P3")
    house.work()
    assert house.states(waits, third) == [PASSED, KEPT_BACK]
    assert house.send() == 1
    assert house.state(waits) == FORWARDED


def test_a_study_is_resolved_in_bulk_without_touching_another(house):
    mine = [house.arrive("P1"), house.arrive("P2")]
    others = [house.arrive("P1", study="1.2.3.77"), house.arrive("P2", study="1.2.3.77")]
    house.work()
    study = house.spool.trace(mine[1])[0].study

    asked = house.ask("release", reason=MIXED.value, study=study, accept=MIXED.value)
    house.work()

    assert asked == {"done": 2, "refused": {}}
    assert house.states(*mine) == [PASSED, PASSED]
    assert not {PASSED, FORWARDED} & set(house.states(*others))
    assert house.ask("discard", reason=MIXED.value, study=study)["done"] == 0
    assert house.ask("discard", reason=MIXED.value)["done"] == 2


def test_a_replay_of_what_left_before_is_kept_back_and_of_what_was_accepted_leaves(house):
    gone = house.arrive("P1")
    house.work()
    house.send()
    second = house.arrive("P2")
    house.work()
    house.ask("release", ids=[second], accept=MIXED.value)
    house.work()
    house.send()

    house.ask("replay", ids=[gone, second])
    house.work()

    assert house.states(gone, second) == [KEPT_BACK, PASSED]


def test_a_study_held_for_a_while_lets_the_second_come_before_the_first_leaves(tmp_path):
    house = House(tmp_path, "identity: {hold_study_s: 600}\n")
    house.start()
    first = house.arrive("P1")
    house.work()

    assert house.send() == 0
    house.arrive("P2")
    house.work()
    assert house.state(first) == STOPPED
    assert house.outbox.claim("research", 9, 10**9, time.time() + 601, set()) == []
    house.stop()


def test_what_was_held_for_a_while_leaves_when_it_is_over(tmp_path):
    house = House(tmp_path, "identity: {hold_study_s: 600}\n")
    house.start()
    house.arrive("P1")
    house.work()

    assert len(house.outbox.claim("research", 9, 10**9, time.time() + 601, set())) == 1
    house.stop()


def test_what_was_under_way_when_it_was_stopped_is_listed_as_left(house):
    house.arrive("P1")
    house.work()
    under_way = house.outbox.claim("research", 9, 10**9, time.time(), set())
    second = house.arrive("P2")
    house.work()

    house.outbox.stored(under_way, "research", time.time())

    (left,) = house.outbox.left([house.spool.trace(second)[0].study])
    assert left.has_left


def test_a_start_anew_between_the_first_and_the_second_forgets_nothing(house):
    first = house.arrive("P1")
    house.work()
    house.stop()
    house.start()
    second = house.arrive("P2")
    house.work()

    assert house.states(first, second) == [STOPPED, KEPT_BACK]


def test_a_kill_after_the_second_was_noted_and_before_anything_was_stopped_is_made_good(house, monkeypatch):
    first = house.arrive("P1")
    house.work()
    second = house.arrive("P2")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "stop", killed)
        with pytest.raises(KeyboardInterrupt):
            house.work()
    house.stop()
    house.start()
    house.work()

    assert house.states(first, second) == [STOPPED, KEPT_BACK]


def test_a_patient_whom_a_list_renamed_is_the_same_in_a_study(house):
    with MappingStore(house.site.mapping_store, KEY) as store:
        first = house.arrive("P1")
        house.work()
        index = store.index("patient", "", "site", "P1")
        with store.writing() as db:
            db.execute("UPDATE mapped SET pseudonym = 'TRIAL-1' WHERE index_ = ?", (index,))
        second = house.arrive("P1")
        house.work()

    assert house.states(first, second) == [PASSED, PASSED]


def test_the_store_holds_neither_the_number_nor_the_study(house):
    house.arrive("P-4711-SECRET")
    house.work()
    with MappingStore(house.site.mapping_store, KEY) as store:
        person = index_of(index_key(KEY), "person", "site", "P-4711-SECRET")
        assert len(studies_with(store, person)) == 1
        rows = store.db.execute("SELECT * FROM met UNION ALL SELECT * FROM left_as").fetchall()

    text = repr(rows)
    assert "SECRET" not in text and STUDY not in text
