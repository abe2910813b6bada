"""An id list is taken whole or not at all, and changes nothing that left unless somebody says so."""

import pytest

from appliance.deid.outcome import Minted
from appliance.errors import RequestRefused
from appliance.mapping.csv_list import MOST_BYTES, Line, read_list
from appliance.mapping.id_list import import_list
from appliance.mapping.place import Conflicts, Place
from appliance.mapping.refused import refuse
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import resumed, to_resume, wait_for_list
from appliance.reasons import Reason

KEY = b"k" * 32
PLACE = Place("site", "", {"site", "clinic:north"}, ("", "trial-9"), {"CITY"}, "st-x")
MADE = "st-x-ABCDEFGHIJKLMNOP"


def made(_scope, _domain, _number):
    return MADE


@pytest.fixture
def store(tmp_path):
    with MappingStore(tmp_path / "mapping.db", KEY) as opened:
        yield opened


@pytest.fixture
def lines(tmp_path):
    """What stands in a CSV file of this text."""

    def read(text, *, with_ids=True):
        file = tmp_path / "list.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_list(file, with_ids=with_ids)

    return read


def take(store, *patients, change=False, preview=False, place=PLACE):
    """Import (number, id) or whole lines."""
    read = [
        each if isinstance(each, Line) else Line(number, each[0], id=each[1]) for number, each in enumerate(patients, 2)
    ]
    return import_list(store, read, place, made, change=change, preview=preview)


def of(store, number, domain="site", scope=""):
    return store.pseudonym_of("patient", domain, number, scope)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "MRN,trial id\n0012,T-1\n",
        "\ufeffPatient_ID;Pseudonym\r\n 0012 ;T-1\r\n\r\n",
        'trial-ID\tmrn\n"T-1"\t0012\n',
        "subject id,PID\nT-1,0012\n",
    ],
)
def test_columns_are_known_by_several_names_and_separators(lines, text):
    found, problems = lines(text)

    assert [(line.number, line.id) for line in found] == [("0012", "T-1")]
    assert problems == []


def test_all_columns_are_read_and_lines_are_counted_as_an_editor_does(lines):
    found, _ = lines('MRN,issuer,trial id,domain,project\n\n"12","CI\nTY",A,clinic:north,trial-9\n13,,B,,\n')

    assert found == [Line(3, "12", "CI\nTY", "clinic:north", "trial-9", "A"), Line(5, "13", id="B")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MRN,trial id,birth date\n1,2,3\n", "line 1: column 3 is not known"),
        ("4711,T-1\n", "line 1: column 1 is not known"),
        ("MRN,MRN\n", "column 2 is there twice"),
        ("MRN,issuer\n1,2\n", "no column trial id"),
        ("trial id\n1\n", "no column MRN"),
        ("MRN,trial id\n", "names no patient"),
        ("", "no column MRN or trial id"),
        ('MRN,trial id\n1,A\n2,"B\n', "line 3 is no CSV"),
        ("MRN,trial id\n1,A\nMüller,B\n".encode("latin-1"), "line 3 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_its_line_and_without_a_value(lines, text, told):
    with pytest.raises(RequestRefused, match=told) as refused:
        lines(text)

    assert "4711" not in str(refused.value)
    assert "ller" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1", "as many cells"),
        ("1,A,3", "as many cells"),
        (",A", "no MRN"),
        ("1,", "no trial id"),
        ("1," + "A" * 65, "64"),
        ("1,Ä", "plain ASCII"),
        ("1,A\\B", "backslash"),
        ("Ab123,x-aB123-y", "holds the MRN"),
        ("12,12", "holds the MRN"),
    ],
)
def test_a_line_that_cannot_be_taken_is_told_by_its_number(lines, line, told):
    found, (problem,) = lines(f"MRN,trial id\n9,Z\n{line}\n")

    assert [each.number for each in found] == ["9"]
    assert problem.line == 3
    assert told in problem.what


def test_a_list_that_is_too_large_is_refused(lines, monkeypatch):
    monkeypatch.setattr("appliance.mapping.csv_list.MOST_LINES", 2)
    with pytest.raises(RequestRefused, match="more than 2 lines"):
        lines("MRN,trial id\n1,A\n2,B\n3,C\n")

    monkeypatch.setattr("appliance.mapping.csv_list.MOST_BYTES", 4)
    with pytest.raises(RequestRefused, match="larger than"):
        lines("MRN,trial id\n1,A\n")
    assert MOST_BYTES > 10**7


def test_an_opt_out_list_needs_no_ids_and_takes_none(lines):
    assert lines("MRN\n12\n", with_ids=False)[0] == [Line(2, "12")]
    with pytest.raises(RequestRefused, match="column 2 is not known"):
        lines("MRN,trial id\n12,A\n", with_ids=False)


def test_a_line_does_not_show_its_patient_when_printed():
    assert "4711" not in repr(Line(3, "4711"))


# --- importing --------------------------------------------------------------------------------------------------------


def test_a_listed_patient_has_the_id_of_the_list(store):
    done = take(store, ("12", "T-1"), ("13", "T-2"))

    assert (done.new, done.same, done.number) == (2, 0, 1)
    assert of(store, "12") == "T-1"
    assert store.original_of("T-2") == Minted("patient", "site", "13", "T-2")


def test_the_same_list_twice_changes_nothing_but_its_number(store):
    take(store, ("12", "T-1"))

    done = take(store, ("12", "T-1"))

    assert (done.new, done.same) == (0, 1)
    assert store.standing().lists == 2


def test_a_preview_says_the_same_and_keeps_nothing(store):
    done = take(store, ("12", "T-1"), preview=True)

    assert done.new == 1
    assert of(store, "12") is None
    assert store.standing().changes == store.standing().lists == 0


def test_issuer_domain_and_project_of_a_line_count_as_for_images(store):
    done = take(
        store,
        Line(2, "12", issuer="CITY", id="A"),
        Line(3, "12", issuer="ELSEWHERE", id="B"),
        Line(4, "12", domain="clinic:north", id="C"),
        Line(5, "12", project="trial-9", id="D"),
    )

    assert of(store, "12", "site|issuer:CITY") == "A"
    assert of(store, "12") == "B"
    assert of(store, "12", "clinic:north") == "C"
    assert of(store, "12", scope="trial-9") == "D"
    assert done.no_issuer == 1


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (("12", "T-9"), "another trial id in line 2"),
        (("13", "T-1"), "another patient's in line 2"),
        (Line(3, "13", id="T-3", domain="clinic:south"), "no such identity domain"),
        (Line(3, "13", id="T-3", project="trial-8"), "no pseudonyms of its own"),
        (("13", "st-x-BCDEFGHIJKLMNOPQ"), "looks like a pseudonym that the key makes"),
    ],
)
def test_a_list_that_contradicts_itself_is_told_by_line_and_nothing_of_it_is_taken(store, second, told):
    with pytest.raises(Conflicts) as conflicts:
        take(store, ("12", "T-1"), second)

    (problem,) = conflicts.value.problems
    assert problem.line == 3
    assert told in problem.what
    assert of(store, "12") is None
    assert store.standing().changes == 0


def test_an_id_that_is_another_patients_pseudonym_is_a_conflict_also_when_it_is_a_former_one(store):
    store.commit([Minted("patient", "site", "99", "T-OLD")])
    take(store, ("99", "T-NEW"), change=True)

    for taken in ("T-OLD", "T-NEW"):
        with pytest.raises(Conflicts) as conflicts:
            take(store, ("12", "T-1"), ("13", taken))
        assert [problem.line for problem in conflicts.value.problems] == [3]
    assert of(store, "12") is None


def test_a_patient_who_has_a_pseudonym_keeps_it_and_the_line_is_told(store):
    store.commit([Minted("patient", "site", "12", MADE)])

    done = take(store, ("12", "T-1"), ("13", "T-2"))

    assert done.kept == [(2, MADE)]
    assert (of(store, "12"), of(store, "13")) == (MADE, "T-2")


def test_when_told_the_list_counts_and_the_former_pseudonym_still_leads_back(store):
    store.commit([Minted("patient", "site", "12", MADE)])

    done = take(store, ("12", "T-1"), change=True)

    assert done.changed == [(2, MADE)]
    assert of(store, "12") == "T-1"
    assert store.original_of(MADE) == Minted("patient", "site", "12", MADE)
    assert store.commit([Minted("patient", "site", "77", MADE)]) != []
    assert store.commit([Minted("patient", "site", "12", "T-1")]) == []


def test_a_change_can_be_taken_back(store):
    store.commit([Minted("patient", "site", "12", MADE)])
    take(store, ("12", "T-1"), change=True)
    store.commit([Minted("patient", "site", "12", "T-1")])

    take(store, ("12", MADE), change=True)

    assert of(store, "12") == MADE
    assert store.original_of("T-1").original == "12"


def test_an_id_under_which_nothing_was_made_is_free_again_after_a_change(store):
    take(store, ("12", "T-1"))
    take(store, ("12", "T-2"), change=True)

    assert store.original_of("T-1") is None
    assert take(store, ("13", "T-1")).new == 1


def test_an_erased_patient_is_not_taken_again(store):
    with store.writing():
        refuse(store, "site", "12", Reason.FORGOTTEN)

    done = take(store, ("12", "T-1"), ("13", "T-2"))

    assert done.forgotten == [2]
    assert of(store, "12") is None


def test_what_waits_for_the_list_goes_on_and_nothing_else(store):
    for spool_id, number in (("one", "12"), ("two", "12"), ("three", "13")):
        wait_for_list(store, spool_id, "", "site", number)
        wait_for_list(store, spool_id, "", "site", number)

    assert take(store, ("12", "T-1"), preview=True).resumed == 2
    assert to_resume(store, 10) == []
    assert take(store, ("12", "T-1")).resumed == 2
    assert sorted(to_resume(store, 10)) == ["one", "two"]
    assert len(to_resume(store, 1)) == 1

    resumed(store, ["one", "two"])
    assert to_resume(store, 10) == []
    assert take(store, ("13", "T-2")).resumed == 1


def test_who_begins_to_wait_after_the_list_came_is_resumed_at_once(store):
    take(store, ("12", "T-1"))
    with store.writing():
        refuse(store, "site", "13", Reason.OPTED_OUT)

    for number in ("12", "13", "14"):
        wait_for_list(store, f"of {number}", "", "site", number)

    assert sorted(to_resume(store, 10)) == ["of 12", "of 13"]


def test_an_export_of_what_the_key_made_can_be_imported(store):
    assert take(store, ("12", MADE)).new == 1
