"""Who was met in which study: noted once, counted without the reader, and gone with the patient."""

import pytest

from appliance.deid.outcome import Minted
from appliance.mapping.forget import Person, erase
from appliance.mapping.listed import Book
from appliance.mapping.met import met_of, names_of, note, others, studies_with
from appliance.mapping.store import MappingStore, Met, index_key

KEY = b"k" * 32
INDEX = index_key(KEY)
ANNA, BERT = (met_of(INDEX, "1.2.3", "site", number) for number in ("1", "2"))


@pytest.fixture
def store(tmp_path):
    with MappingStore(tmp_path / "mapping" / "mapping.db", KEY) as opened:
        yield opened


def test_noting_somebody_again_costs_no_commit(store):
    note(store, ANNA)
    before = store.standing().changes

    note(store, ANNA)

    assert store.standing().changes == before


def test_others_are_counted_by_the_store_and_by_whoever_only_looks(store):
    store.commit([], [], [ANNA, BERT, met_of(INDEX, "1.2.4", "site", "3")])
    book = Book(store.path, KEY)

    assert (others(store, ANNA), book.others(BERT)) == (1, 1)
    assert book.others(met_of(INDEX, "1.2.4", "site", "3")) == 0
    book.close()


def test_every_name_that_a_study_left_under_is_known(store):
    store.commit([], [], [Met(ANNA.study, ANNA.person, "2.25.8"), Met(ANNA.study, ANNA.person, "2.25.7")])

    assert names_of(store, ANNA.study) == ["2.25.7", "2.25.8"]


def test_erasing_a_patient_forgets_where_he_was_met_and_nobody_else(store):
    store.commit([Minted("patient", "site", "1", "st-A")], [], [Met(ANNA.study, ANNA.person, "2.25.7"), BERT])
    alone = met_of(INDEX, "1.2.4", "site", "1")
    store.commit([], [], [Met(alone.study, alone.person, "2.25.9")])

    erase(store, Person("site", "1", ("st-A",)), [""])

    assert studies_with(store, ANNA.person) == []
    assert studies_with(store, BERT.person) == [BERT.study]
    assert names_of(store, BERT.study) == ["2.25.7"]
    assert names_of(store, alone.study) == []


def test_a_store_of_the_version_before_gets_the_tables(tmp_path):
    path = tmp_path / "mapping.db"
    with MappingStore(path, KEY) as store:
        store.db.execute("DROP TABLE met")
        store.db.execute("DROP TABLE left_as")
        store.put("version", b"2")

    with MappingStore(path, KEY) as store:
        note(store, ANNA)
        assert others(store, BERT) == 1
