"""Reports are kept once for what is the same, found by what people know, purged by age, and nobody's to wait for."""

import json

import pytest

from appliance.spool.reports import Entry, Reports, ReportsNotKept, packed

ACCOUNT = json.dumps({"elements": [["(0010,0010)", "new name", "Basic Profile Z"]] * 50, "kept": 7})


@pytest.fixture
def reports(tmp_path):
    reports = Reports(tmp_path / "inside" / "reports.db")
    yield reports
    reports.close()


def entry(number, *, at=100.0, account=ACCOUNT, **more):
    facts = {"study": "2.25.1", "sop_instance": f"2.25.2.{number}", "out": f"{'a' * 30}{chr(97 + number % 20)}"}
    return Entry(
        f"20261120T18152212{number}Z-CT1-k7f3q9", 1, at, **facts | more, body=packed(account) if account else None
    )


def test_a_report_is_found_by_id_new_uid_and_study_with_its_account(reports):
    entries = [entry(1, accepted=("document",)), entry(2)]
    reports.keep(entries)

    (kept,) = reports.of(entries[0].id)
    assert (kept.entry.accepted, kept.entry.study) == (("document",), "2.25.1")
    assert [each.entry.id for each in reports.of_study("2.25.1")] == [each.id for each in entries]
    assert reports.of_sop_instance("2.25.2.2")[0].entry.id == entries[1].id
    assert reports.accounts([kept.body]) == {kept.body: json.loads(ACCOUNT)}


def test_an_account_that_many_have_is_kept_once_and_compressed(reports):
    reports.keep([entry(number) for number in range(9)])

    assert len({kept.body for kept in reports.of_study("2.25.1")}) == 1
    assert len(packed(ACCOUNT).packed) < len(ACCOUNT) / 5


def test_a_round_that_is_done_again_has_one_report(reports):
    reports.keep([entry(1)])
    reports.keep([entry(1, reason="malformed", account="")])

    (kept,) = reports.of(entry(1).id)
    assert (kept.entry.reason, kept.body) == ("malformed", 0)


def test_purging_forgets_old_reports_and_accounts_that_nobody_has(reports):
    reports.keep([entry(1, at=1.0), entry(2, at=2.0, account=ACCOUNT + " "), entry(3, at=9.0)])
    number = reports.of(entry(2).id)[0].body

    assert reports.purge(5.0, 10) == 2
    assert reports.purge(5.0, 10) == 0
    assert [kept.entry.at for kept in reports.of_study("2.25.1")] == [9.0]
    assert reports.accounts([number]) == {}
    assert len(reports.accounts([reports.of(entry(3).id)[0].body])) == 1


def test_purging_takes_a_page_at_a_time(reports):
    reports.keep([entry(number, at=1.0) for number in range(5)])

    assert [reports.purge(5.0, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_damaged_store_is_set_aside_and_begun_anew(reports, tmp_path):
    for number in range(200):
        reports.keep([entry(1, sop_instance=f"2.25.{number}", account=f"{ACCOUNT}{' ' * number}")])
    reports.close()
    path = tmp_path / "inside" / "reports.db"
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"\xff" * path.stat().st_size)

    reports.keep([entry(2)])

    assert [kept.entry.sop_instance for kept in reports.of_study("2.25.1")] == ["2.25.2.2"]
    assert list(path.parent.glob("reports.db.damaged-*"))


def test_a_store_that_cannot_be_written_is_told_and_one_that_is_not_there_holds_nothing(tmp_path):
    (tmp_path / "reports.db").mkdir()
    blocked = Reports(tmp_path / "reports.db")

    with pytest.raises(ReportsNotKept, match="No image waits for that"):
        blocked.keep([entry(1)])
    assert Reports(tmp_path / "none" / "reports.db", read_only=True).of_study("2.25.1") == []
