"""What a worker asks of the mapping: the list's id, or the key's, or why nothing may leave."""

import pytest

from appliance.deid.outcome import Minted
from appliance.deid.pseudonyms import DayRange, KeyedPseudonyms
from appliance.mapping.lineage import OWED_LISTS, OWED_REFUSALS
from appliance.mapping.listed import Book, ListedPseudonyms
from appliance.mapping.refused import refuse
from appliance.mapping.store import MappingStore
from appliance.reasons import Reason
from tests.unit.mapping.test_id_list import take

KEY = b"k" * 32
KEYED = KeyedPseudonyms(KEY, "st-x", issuers=("CITY",))
SHIFT = DayRange()


@pytest.fixture
def store(tmp_path):
    with MappingStore(tmp_path / "mapping.db", KEY) as opened:
        yield opened


@pytest.fixture
def listed(store, tmp_path):
    book = Book(tmp_path / "mapping.db", KEY)
    yield lambda missing="mint", keyed=KEYED: ListedPseudonyms(keyed, book, missing)
    book.close()


def test_a_listed_patient_has_the_lists_id_and_the_keys_offset(store, listed):
    take(store, ("12", "T-1"))

    found = listed().patient("site", "12", SHIFT)

    assert found.id == "T-1"
    assert found.offset_days == KEYED.patient("site", "12", SHIFT).offset_days
    assert listed().patient("clinic:x", "12", SHIFT) == KEYED.patient("clinic:x", "12", SHIFT)


def test_everything_else_is_the_keys(listed):
    assert listed().uid("1.2.3") == KEYED.uid("1.2.3")
    assert listed().text("x", "y") == KEYED.text("x", "y")
    assert (listed().scope, listed().issuers) == ("", ("CITY",))


def test_projects_with_pseudonyms_of_their_own_have_lists_of_their_own(store, listed):
    take(store, ("12", "T-1"))
    own = KeyedPseudonyms(b"o" * 32, "st-x", "trial-9")

    assert listed(keyed=own).patient("site", "12", SHIFT) == own.patient("site", "12", SHIFT)


@pytest.mark.parametrize(
    ("missing", "objection"),
    [("mint", None), ("hold", Reason.NO_IDENTITY_YET), ("quarantine", Reason.UNLISTED_PATIENT)],
)
def test_the_site_says_what_becomes_of_an_unlisted_patient(store, listed, missing, objection):
    take(store, ("12", "T-1"))
    store.commit([Minted("patient", "site", "14", "st-x-MINTEDBEFORE")])

    assert listed(missing).objection("site", "13") is objection
    assert listed(missing).objection("site", "12") is None
    assert listed(missing).objection("site", "14") is objection


def test_who_is_refused_is_refused_listed_or_not_and_in_every_project(store, listed):
    take(store, ("12", "T-1"))
    with store.writing():
        refuse(store, "site", "12", Reason.OPTED_OUT)
        refuse(store, "site", "13", Reason.FORGOTTEN)
        refuse(store, "site", "13", Reason.OPTED_OUT)

    own = KeyedPseudonyms(b"o" * 32, "st-x", "trial-9")
    assert listed().objection("site", "12") is Reason.OPTED_OUT
    assert listed(keyed=own).objection("site", "12") is Reason.OPTED_OUT
    assert listed().objection("site", "13") is Reason.FORGOTTEN
    assert listed().objection("clinic:x", "12") is None


def test_after_a_restore_that_lost_lists_the_unknown_wait_and_after_lost_refusals_everybody(store, listed):
    take(store, ("12", "T-1"))
    for owed, known, unknown in (
        (OWED_LISTS, None, Reason.NO_IDENTITY_YET),
        (OWED_REFUSALS, Reason.NO_IDENTITY_YET, Reason.NO_IDENTITY_YET),
        (None, None, None),
    ):
        with store.writing():
            store.put("owed", owed)

        assert listed().objection("site", "12") is known
        assert listed().objection("site", "13") is unknown


def test_a_store_that_cannot_be_read_is_an_error_of_the_machine_and_is_opened_again(store, listed, tmp_path):
    pseudonyms = listed()
    away = tmp_path / "away.db"
    (tmp_path / "mapping.db").rename(away)
    with pytest.raises(OSError, match="cannot be read"):
        pseudonyms.objection("site", "12")

    away.rename(tmp_path / "mapping.db")
    assert pseudonyms.objection("site", "12") is None


def test_a_worker_can_look_up_and_never_write(store, listed, tmp_path):
    book = Book(tmp_path / "mapping.db", KEY)
    book.known("", "site", "12")

    with pytest.raises(Exception, match="readonly"):
        book._db.execute("DELETE FROM mapped")
    book.close()


def test_the_commit_notices_what_the_store_learned_while_an_instance_was_made(store):
    mine = Minted("patient", "site", "12", "st-x-KEYED", owner="st-x-KEYED")
    take(store, ("12", "T-1"))
    assert store.commit([mine]) == [mine]
    assert store.has_moved_on(mine)

    out = Minted("patient", "site", "13", "st-x-OTHER", owner="st-x-OTHER")
    assert not store.has_moved_on(out)
    with store.writing():
        refuse(store, "site", "13", Reason.OPTED_OUT)
    assert store.commit([out]) == [out]
    assert store.has_moved_on(out)
    # Another's number in somebody's images does not keep those back.
    assert store.commit([Minted("patient", "site", "13", "st-x-OTHER", owner="T-1")]) == []
