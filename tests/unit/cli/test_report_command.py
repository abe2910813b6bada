"""``appliance report``: one instance for who asks why, a study for who must answer for it; no value of an original."""

import json
import time
from html.parser import HTMLParser

import pytest

from appliance.cli.main import main
from appliance.deid.plan import OPTION_CODES
from appliance.reasons import Reason
from appliance.services.operator import Operator
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.recalls import Wanted
from appliance.spool.requests import Requests
from tests.make import make, secrets
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.unit.services.test_deidentify import running, work_off

NAME = "Zwirnlein^Quasimodo"
WORDS = ["Zwirnlein", "Quasimodo", "P-4711", "1.2.3.77"]


class Day:
    """A study of four images: two delivered, one of them after a person accepted it, two withheld."""

    def __init__(self, folder):
        self.site = configured(folder, "deidentify: {workers: 1}\n")
        spool = Spool(self.site.state / "inside", reserve_bytes=0)
        facts = {"patient": NAME, "patient_id": "P-4711", "StudyInstanceUID": "1.2.3.77", "StudyDate": "20260302"}
        uids = [f"1.2.3.77.{number}" for number in range(4)]
        announced = ["", "1.2.9", "1.2.9", "1.2.9"]
        self.ids = [
            arrive(spool, make.ct(SOPInstanceUID=uid, **facts), announced=other)
            for uid, other in zip(uids, announced, strict=True)
        ]
        with running(self.site) as service:
            work_off(service)
            requests = Requests(self.site.state / "requests")
            args = {"ids": [self.ids[1]], "accept": "uid-mismatch", "by": "anne"}
            requests.ask("deidentify", "release", args)
            Operator(spool, requests).step()
            work_off(service)
            outbox = Outbox(self.site.state / "outside")
            parcels = outbox.claim("research", 9, 10**9, time.time(), set())
            outbox.stored(parcels, "research", time.time())
            work_off(service)
            outbox.close()
        trace = spool.trace(self.ids[0])[0]
        self.study, self.sop_instance, self.out = trace.study, trace.sop_instance, trace.instance.out
        spool.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return Day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def run(day, capsys):
    """Run the command; return its status and what it said."""

    def call(*arguments):
        status = main(["report", *arguments, "-c", str(day.site.file)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


def test_an_instance_is_reported_by_id_outside_name_and_new_uid(day, run):
    told = [json.loads(run(name, "--json")[1]) for name in (day.ids[0], day.out, day.sop_instance)]

    assert told[0] == told[1] == told[2]
    (only,) = told[0]["rounds"]
    assert {
        "path": "(0010,0010)", "keyword": "PatientName", "kind": "replaced", "action": "new name",
        "cause": "Basic Profile Z",
    } in only["elements"]  # fmt: skip
    assert {"code": "113107", "meaning": OPTION_CODES["RetainLongitudinalModifiedDates"][1]} in only["codes"]


def test_every_round_of_an_instance_is_reported(day, run):
    rounds = json.loads(run(day.ids[1], "--json")[1])["rounds"]

    assert [(each["round"], each["outcome"], each["reason"]) for each in rounds] == [
        (1, "withheld", "uid-mismatch"), (2, "deidentified", ""),
    ]  # fmt: skip
    assert rounds[0]["places"] == ["(0008,0018)"]
    assert rounds[1]["accepted"] == ["uid-mismatch"]
    assert Reason.UID_MISMATCH.words.what in run(day.ids[1])[1]


def test_the_summary_of_a_study_counts_what_was_done_withheld_accepted_and_delivered(day, run):
    status, told = run("--study", day.study, "--json")
    found = json.loads(told)

    assert status == 0
    assert found["instances"] == {"reported": 4, "deidentified": 2, "withheld": 2, "without_report": 0}
    (carried_out,) = found["carried_out"]
    assert carried_out["instances"] == 2 and carried_out["profile"] and not carried_out["exceptions"]
    row = next(each for each in found["attributes"] if each["path"] == "(0010,0010)")
    assert (row["kind"], row["instances"], row["elements"]) == ("replaced", 2, 2)
    assert [(each["reason"], each["instances"]) for each in found["withheld"]] == [("uid-mismatch", 2)]
    assert [(each["reason"], each["by"], each["instances"]) for each in found["accepted"]] == [
        ("uid-mismatch", "anne", 1)
    ]
    (delivered,) = found["deliveries"]
    assert (delivered["destination"], delivered["state"], delivered["instances"]) == ("research", "STORED", 2)
    assert delivered["last"]


def test_the_summary_says_what_is_taken_back(day, run):
    outbox = Outbox(day.site.state / "outside")
    outbox.recall(Wanted((day.study,)), ["research"])
    outbox.close()

    found = json.loads(run("--study", day.study, "--json")[1])["recalls"]

    assert [(each["destination"], each["state"], each["instances"]) for each in found] == [("research", "REQUESTED", 2)]


class _Page(HTMLParser):
    """Reads a page: its tags that load something, and its text."""

    def __init__(self):
        super().__init__()
        self.loads, self.text, self.open = [], "", []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_summary_is_written_as_a_page_that_loads_nothing_as_text_and_as_json(day, run, tmp_path):
    written = [tmp_path / f"summary.{form}" for form in ("html", "txt", "json")]
    for file in written:
        assert run("--study", day.study, "-o", str(file))[0] == 0
    page = _Page()
    page.feed(written[0].read_text())

    assert page.loads == [] and page.open == []
    for words in ("2 de-identified, 2 withheld.", "uid-mismatch", "anne", "113100", "PatientName", "STORED"):
        assert words in page.text
        assert words in written[1].read_text()
    assert json.loads(written[2].read_text())["study"] == day.study


def test_nothing_that_is_shown_or_kept_holds_a_word_of_the_patient(day, run, tmp_path):
    shown = [run(*words)[1] for words in (
        [day.ids[0]], [day.ids[1], "--json"], ["--study", day.study], ["--study", day.study, "--json"],
    )]  # fmt: skip
    page = tmp_path / "x.html"
    run("--study", day.study, "-o", str(page))

    assert all(len(text) > 200 for text in shown)
    assert [secrets.found(text.encode(), WORDS) for text in (*shown, page.read_text())] == [[]] * 5
    kept = (day.site.state / "inside" / "reports.db").read_bytes()
    assert secrets.found(kept, WORDS) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name an instance, or a study"),
        (["x", "--study", "2.25.1"], "Name an instance, or a study"),
        (["x", "-o", "x.html"], "Name an instance, or a study"),
        (["--study", "2.25.1"], "No report of this study is kept"),
        (["2.25.1"], "No report of this is kept"),
        (["--study", "2.25.1", "-o", "x.pdf"], "ends in none of .html, .txt, .json"),
    ],
)
def test_what_cannot_be_shown_is_said(run, arguments, says):
    status, told = run(*arguments)

    assert status == 1
    assert says in told


def test_a_site_without_reports_says_so(tmp_path, capsys):
    site = configured(tmp_path)

    assert main(["report", "--study", "2.25.1", "-c", str(site.file)]) == 1
    assert "No report of this study is kept" in capsys.readouterr().err
