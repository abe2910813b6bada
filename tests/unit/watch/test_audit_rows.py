"""What was received and what left is told a study at a time, with counts, and once; no patient, no original UID."""

from collections import Counter

import pytest

from appliance.delivery import Destination
from appliance.reasons import Reason
from appliance.spool.overview import Overview
from appliance.watch.syslog import rows as rows_module
from appliance.watch.syslog.message import Origin
from appliance.watch.syslog.rows import UNDECIDED_S, Rows
from tests.make.audit_schema import valid
from tests.make.spooled import CT, House

ORIGIN = Origin("st-elsewhere", "edge-1", "EDGE", "edge.hospital.example")
MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    found.outbox.exports.keep(is_asked=True)
    yield found
    found.close()


@pytest.fixture
def rows(house, tmp_path):
    overview = Overview(house.root)
    yield Rows(
        overview,
        ORIGIN,
        [Destination("research", url="https://pacs.example.org/dicom-web"), Destination("disk", folder=tmp_path / "o")],
        gather_s=60.0,
    )
    overview.close()


def told(messages):
    """Return (event, action, study, counts by SOP Class, anonymized) of each."""
    found = []
    for each in messages:
        root = valid(each.body)
        study, patient = root.findall("ParticipantObjectIdentification")
        counts = {c.get("UID", ""): int(c.get("NumberOfInstances")) for c in study.iter("SOPClass")}
        assert patient.get("ParticipantObjectID") == "withheld"
        event = root.find(".//EventID").get("csd-code")
        action = root.find("EventIdentification").get("EventActionCode")
        found.append((event, action, study.get("ParticipantObjectID"), counts, study.find(".//Anonymized").text))
    return found


def who(message):
    """Return role -> (user, AE title, network access point, its kind)."""
    return {
        each.find("RoleIDCode").get("originalText"): (
            each.get("UserID"),
            each.get("AlternativeUserID"),
            each.get("NetworkAccessPointID"),
            each.get("NetworkAccessPointTypeCode"),
        )
        for each in valid(message.body).iter("ActiveParticipant")
    }


def later(house, seconds=3600.0):
    return house.clock() + seconds


def test_instances_received_are_told_a_study_with_counts_by_sop_class_and_who_sent_them(house, rows):
    first, second, third = house.receive(1, 2, 3)
    house.pass_on([first, second])
    house.pass_on([third], study="2.25.9")

    messages, mark, _ = rows.received((0, ""), later(house))

    assert told(messages) == [
        ("110104", "C", "2.25.1", {CT: 2}, "false"),
        ("110104", "C", "2.25.9", {CT: 1}, "false"),
    ]
    assert who(messages[0]) == {
        "Source Role ID": ("CT1", "AETITLE=CT SCANNER 1", "10.0.0.7", "2"),
        "Destination Role ID": ("appliance-receive", "AETITLE=EDGE", "edge.hospital.example", "1"),
    }
    assert rows.received(mark, later(house)).messages == []
    assert "1.2.3." not in "".join(each.body.decode() for each in messages)


def test_what_a_clinic_dropped_is_told_by_the_name_of_its_source_and_not_of_its_folder(house, rows):
    house.pass_on(house.receive(1, source="clinic_a", item=7))

    [message] = rows.received((0, ""), later(house)).messages

    assert who(message)["Source Role ID"] == ("clinic_a", None, None, None)
    assert who(message)["Destination Role ID"][0] == "appliance-inbox"


def test_what_has_no_new_study_yet_waits_an_hour_and_is_told_then_without(house, rows):
    house.receive(1)
    came = house.instance(house.receive(2)[0].id).received.timestamp()

    early = rows.received((0, ""), came + UNDECIDED_S - 5)
    late = rows.received((0, ""), came + UNDECIDED_S + 5)

    assert early.messages == []
    assert early.place == (0, "")
    assert told(late.messages) == [("110104", "C", "withheld", {CT: 2}, "false")]


def test_what_was_quarantined_or_repeated_was_received_too(house, rows):
    first, second = house.receive(1, 2)
    house.spool.quarantine(first, Reason.NO_PATIENT_ID, "")
    house.spool.exclude(second, Reason.DUPLICATE, "")

    messages = rows.received((0, ""), later(house)).messages

    assert told(messages) == [
        ("110104", "C", "withheld", {CT: 1}, "false"),
        ("110104", "R", "withheld", {CT: 1}, "false"),
    ]


def test_what_came_a_moment_ago_waits_for_the_rest_of_its_study_unless_the_clock_was_set(house, rows, monkeypatch):
    instances = house.receive(1, 2)
    house.pass_on(instances)
    came = instances[1].received.timestamp()

    assert rows.received((0, ""), came + 59.5).place[0] == 1
    monkeypatch.setattr(rows_module, "ROWS", 2)
    assert not rows.received((0, ""), came + 59.5).is_full, "what waits is not looked at again at once"
    assert rows.received((0, ""), came + 61).place[0] == 2
    assert rows.received((0, ""), came - 86_400).place[0] == 2


def test_an_export_is_told_a_study_and_destination_with_where_it_went(house, rows):
    house.pass_on(house.receive(1, 2), destinations=("research", "disk", "gone"))
    house.pass_on(house.receive(3), sop_class=MR, destinations=("research",))
    for destination in ("research", "disk", "gone"):
        house.deliver(destination)

    messages, followed, _ = rows.exported(("", 0))

    assert told(messages) == [
        ("110106", "R", "2.25.1", {CT: 2, MR: 1}, "true"),
        ("110106", "R", "2.25.1", {CT: 2}, "true"),
        ("110106", "R", "2.25.1", {CT: 2}, "true"),
    ]
    targets = [who(each)["Destination Role ID"] for each in messages]
    assert targets[0] == ("https://pacs.example.org/dicom-web", None, "pacs.example.org", "1")
    assert targets[1][0].startswith("file:///")
    assert targets[2][0] == "gone"
    assert who(messages[0])["Source Role ID"][0] == "appliance-forward"
    assert rows.exported(followed).messages == []


def test_every_instance_is_told_once_whatever_a_page_holds(house, rows, monkeypatch):
    monkeypatch.setattr(rows_module, "ROWS", 5)
    monkeypatch.setattr(rows_module, "MOST", 3)
    instances = house.receive(*range(1, 30))
    for number, instance in enumerate(instances):
        house.pass_on([instance], study=f"2.25.{1 + number % 4}")
    house.deliver()

    counted = Counter()
    mark, followed, pages = (0, ""), ("", 0), 0
    while True:
        received, exported = rows.received(mark, later(house)), rows.exported(followed)
        for event, _, study, counts, _ in told([*received.messages, *exported.messages]):
            counted[event, study] += sum(counts.values())
        if not (received.is_full or exported.is_full):
            break
        mark, followed, pages = received.place, exported.place, pages + 1

    expected = Counter(f"2.25.{1 + number % 4}" for number in range(29))
    assert {study: n for (event, study), n in counted.items() if event == "110104"} == expected
    assert {study: n for (event, study), n in counted.items() if event == "110106"} == expected
    assert pages >= 9


def test_rows_that_were_begun_again_are_noticed(house, rows, tmp_path):
    house.pass_on(house.receive(1, 2))
    house.deliver()
    mark, followed = rows.newest()
    other = House(tmp_path / "other")
    other.outbox.exports.keep(is_asked=True)
    other.pass_on(other.receive(11, 12, 13))
    other.deliver()
    overview = Overview(other.root)
    elsewhere = Rows(overview, ORIGIN, [], gather_s=60.0)

    assert rows.received(mark, later(house)).messages == []
    assert elsewhere.received(mark, later(house)) is None
    assert elsewhere.received((7, "gone"), later(house)) is None
    assert elsewhere.exported(followed) is None
    assert elsewhere.exported((other.outbox.generation, 7)) is None
    overview.close()
    other.close()


def test_rows_that_were_purged_meanwhile_are_no_gap(house, rows):
    house.pass_on(house.receive(1, 2))
    with house.spool.journal.database.writing(durably=True) as connection:
        connection.execute("DELETE FROM instance WHERE seq = 1")

    found = rows.received((1, "purged"), later(house))

    assert told(found.messages) == [("110104", "C", "2.25.1", {CT: 1}, "false")]


def test_before_there_are_databases_there_is_nothing_to_tell_and_their_making_is_no_gap(tmp_path):
    overview = Overview(tmp_path)
    rows = Rows(overview, ORIGIN, [], gather_s=60.0)
    mark, followed = rows.newest()
    nothing = rows.received(mark, 0.0), rows.exported(followed)

    house = House(tmp_path)
    house.outbox.exports.keep(is_asked=True)
    house.pass_on(house.receive(1))
    house.deliver()

    assert [page.messages for page in nothing] == [[], []]
    assert len(rows.received(mark, later(house)).messages) == 1
    assert len(rows.exported(nothing[1].place).messages) == 1
    overview.close()
    house.close()
