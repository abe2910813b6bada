"""What the de-identify service keeps of what it did: a report for each instance, and never at an image's cost."""

import time

import pydicom
import pytest

from appliance.deid.ruleset import load_rules
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services.purge import PurgeInside
from appliance.spool.inside import Spool
from appliance.spool.reports import Reports
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.unit.services.test_deidentify import running, work_off


@pytest.fixture
def site(tmp_path):
    (tmp_path / "rules.yaml").write_text("Profile: Basic\nOptions: [RetainLongitudinalModifiedDates]\n")
    return configured(tmp_path, f"deidentify: {{workers: 1}}\nrules: {tmp_path / 'rules.yaml'}\n")


@pytest.fixture
def spool(site):
    spool = Spool(site.state / "inside", reserve_bytes=0)
    yield spool
    spool.close()


def reported(site, spool_id):
    reports = Reports(site.state / "inside" / "reports.db", read_only=True)
    kept = reports.of(spool_id)
    accounts = reports.accounts(each.body for each in kept)
    reports.close()
    return [(each.entry, accounts.get(each.body)) for each in kept]


def test_what_passes_and_what_does_not_has_a_report_under_its_study(site, spool):
    study = {"StudyInstanceUID": "1.2.3", "seed": "x"}
    passed = arrive(spool, make.ct(SOPInstanceUID="1.2.3.1", **study))
    kept_back = arrive(spool, make.ct(SOPInstanceUID="1.2.3.2", **study), announced="1.2.3.9")
    with running(site) as service:
        work_off(service)

    (entry, account), (withheld, nothing) = *reported(site, passed), *reported(site, kept_back)
    trace = spool.trace(passed)[0]
    assert (entry.out, entry.study, entry.sop_instance) == (trace.instance.out, trace.study, trace.sop_instance)
    assert ["(0010,0010)", "new name", "Basic Profile Z"] in account["elements"]
    assert account["codes"] == ["113100", "113107"]
    assert account["dates"] == "MODIFIED"
    assert "(0008,0060)" in account["stayed"]
    assert spool.trace(kept_back)[0].instance.state is State.QUARANTINED
    assert (withheld.reason, withheld.place, nothing) == (Reason.UID_MISMATCH.value, "(0008,0018)", None)
    assert withheld.study == entry.study
    assert withheld.rules_digest == entry.rules_digest == load_rules(site.rules).digest


def test_the_slices_of_a_series_share_one_account(site, spool):
    ids = [arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.{number}", InstanceNumber=number)) for number in range(1, 6)]
    with running(site) as service:
        work_off(service)

    reports = Reports(site.state / "inside" / "reports.db", read_only=True)
    assert len({reports.of(each)[0].body for each in ids}) == 1
    reports.close()


def test_rules_that_change_are_stamped_on_every_instance_and_kept_in_the_journal_and_the_report(
    site, spool, monkeypatch
):
    monkeypatch.setattr("appliance.services.rules_in_force.LOOK_S", 0.0)
    digests = []
    with running(site) as service:
        for number, rules in enumerate(("Profile: Basic\n", "Profile: Basic\nKeep: ManufacturerModelName\n")):
            site.rules.write_text(rules)
            spool_id = arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.{number}"))
            work_off(service)
            digest = load_rules(site.rules).digest
            out = spool.trace(spool_id)[0].instance.out
            (file,) = (site.state / "outside" / "ready").rglob(f"{out}.dcm")
            assert f"rules {digest[:16]}" in pydicom.dcmread(file).DeidentificationMethod
            assert spool.trace(spool_id)[0].instance.rules_digest == digest
            assert reported(site, spool_id)[0][0].rules_digest == digest
            digests.append(digest)

    assert digests[0] != digests[1]


def test_a_store_of_reports_that_cannot_be_used_or_is_lost_ends_nothing(site, spool):
    path = site.state / "inside" / "reports.db"
    path.mkdir()
    first = arrive(spool, make.ct(SOPInstanceUID="1.2.3.1"))
    with running(site) as service:
        work_off(service)
        assert spool.trace(first)[0].instance.state is State.PASSED
        assert service._observer.reports == [1]

        path.rmdir()
        service._reporting._failed_at -= 60
        second = arrive(spool, make.ct(SOPInstanceUID="1.2.3.2"), announced="1.2.3.9")
        work_off(service)

    assert service._observer.reports == [1, 0]
    assert reported(site, first)[0][0].reason == ""
    assert reported(site, second)[0][0].reason != ""


def test_who_was_erased_leaves_no_report(site, spool):
    spool_id = arrive(spool, make.ct())
    with running(site) as service:
        (instance,) = spool.claim(1, time.time(), set())
        for reason in (Reason.FORGOTTEN, Reason.OPTED_OUT):
            service._reporting.withheld(instance, reason, "", None)

    assert [entry.reason for entry, _ in reported(site, spool_id)] == [Reason.OPTED_OUT.value]


def test_reports_are_purged_by_their_own_retention(tmp_path):
    site = configured(tmp_path, "deidentify: {workers: 1}\nretention: {reports_days: 10}\n")
    spool = Spool(site.state / "inside", reserve_bytes=0)
    spool_id = arrive(spool, make.ct())
    with running(site) as service:
        work_off(service)
    now = reported(site, spool_id)[0][0].at

    for days, left in ((9, 1), (11, 0)):
        purge = PurgeInside(site, clock=lambda days=days: now + days * 86_400)
        purge.start()
        while purge.step():
            pass
        purge.stop()
        assert len(reported(site, spool_id)) == left
    assert spool.trace(spool_id), "the row has a retention of its own"
    spool.close()
