"""``appliance rules``: check, explain, preview and plan."""

import json
import re
import shutil
import stat
import subprocess

import pytest

from appliance.cli.main import main
from appliance.spool.inside import Spool
from tests.make import make
from tests.make.arrive import arrive
from tests.make.seed_rules import COMPLETE
from tests.make.site import configured


@pytest.fixture
def run(capsys):
    """Run a command; return its exit status and what it printed."""

    def call(*arguments):
        status = main(["rules", *(str(each) for each in arguments)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


@pytest.fixture
def rules(tmp_path):
    def write(text, name="rules.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture
def ct(tmp_path):
    return make.stored(tmp_path / "in" / "ct.dcm", make.with_private(make.ct()))


# --- check ------------------------------------------------------------------------------------------------------------


def test_a_good_file_is_told_what_it_is_and_what_is_not_carried_out(rules, run):
    status, told, _ = run("check", rules("Profile: none\n" + COMPLETE))

    assert status == 0
    assert "can be used: no profile, 4 labels, 3 blocks of transformations" in told
    assert "RemoveBurnedInAnnotations" not in told
    assert "without a profile" in told


@pytest.mark.parametrize(
    ("syntax", "note"),
    [("1.2.840.10008.1.2.4.102", "no image can be put into"), ("1.2.840.10008.1.2.4.50", "Transcode loses detail")],
)
def test_a_transcode_that_loses_or_withholds_is_told(syntax, note, rules, run):
    status, told, _ = run("check", rules(f"Transformations: [{{Scope: {{Labels: ALL}}, Transcode: {syntax}}}]"))

    assert status == 0 and f"Note: line 1: {note}" in told


def test_a_good_file_for_programs(rules, run):
    status, told, _ = run("check", rules("Keep: [StudyDescription]"), "--json")

    assert status == 0 and json.loads(told)["ok"] and len(json.loads(told)["digest"]) == 64


def test_a_wrong_file_is_told_with_its_line_and_a_suggestion(rules, run):
    status, _, told = run("check", rules("Profile: Basic\nScopeToFoward: {Labels: ALL}\n"))

    assert status == 1
    assert "rules.yaml line 2: 'ScopeToFoward' is not known here. Did you mean 'ScopeToForward'?" in told


def test_with_a_configuration_destinations_are_checked_too(rules, run, tmp_path):
    site = configured(tmp_path)
    good, wrong = (rules(f"Destinations: [{{Name: {name}, Labels: ALL}}]") for name in ("research", "resarch"))

    assert run("check", wrong, "-c", site.file)[0] == 1
    rules("Destinations: [{Name: research, Labels: ALL}]")
    assert run("check", good, "-c", site.file)[0] == 0


# --- explain ----------------------------------------------------------------------------------------------------------


def test_each_element_is_explained_by_rule_and_line_or_column(ct, rules, run):
    file = rules("Replace:\n- {TagPatterns: InstitutionName, Value: Here}\n")

    status, told, _ = run("explain", ct, "--rules", file, "--json")

    answer = json.loads(told)
    lines = {line["path"]: line for line in answer["elements"]}
    assert status == 0 and answer["outcome"] == "delivered" and answer["rules"]["file"] == str(file)
    assert lines["(0008,0080)"]["cause"] == "Replace, line 2" and lines["(0008,0080)"]["after"] == "Here"
    assert lines["(0010,0010)"]["cause"] == "Basic Profile Z" and lines["(0010,0010)"]["before"] == "Invented^Ines"


def test_the_table_is_for_people(ct, run):
    status, told, _ = run("explain", ct)

    assert status == 0
    assert re.search(r"PatientAddress.*removed.*Basic Profile X.*Lane 7", told)
    assert "delivered under rules/default.yaml" in told


def test_what_is_withheld_says_why_and_shows_what_would_leave(tmp_path, run):
    file = make.stored(tmp_path / "pdf.dcm", make.pdf(EncapsulatedDocument=b"%PDF-1.4 clean. "))

    status, told, _ = run("explain", file)

    assert status == 2
    assert "withheld: document" in told and "if that were accepted" in told and "PatientName" in told


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"hello", "not-dicom"),
        (make.file(make.ct())[:-100], "malformed"),
        (make.file(make.ct(PatientID="")), "no-patient-id"),
    ],
)
def test_what_cannot_be_explained_says_so(body, reason, tmp_path, run):
    (tmp_path / "x.dcm").write_bytes(body)

    status, told, _ = run("explain", tmp_path / "x.dcm")

    assert status == 2 and f"withheld: {reason}" in told and "Tag" not in told.split("withheld")[0]


def test_what_is_excluded_by_rule_is_fine(ct, rules, run):
    status, told, _ = run("explain", ct, "--rules", rules("ScopeToForward: {Labels: []}"))

    assert status == 0 and "excluded: excluded-by-rule" in told


def test_with_a_configuration_its_key_and_provenance_count(tmp_path, rules, run):
    rules("Replace: [{TagPatterns: InstitutionName, Value: '{calling_ae}'}]")
    site = configured(tmp_path, "rules: ./rules.yaml\n")
    spool = Spool(site.state / "inside", reserve_bytes=0)
    original = spool.original(arrive(spool, make.ct()))
    spool.close()

    told = [json.loads(run("explain", original, "-c", site.file, "--json")[1]) for _ in range(2)]

    names = [{line["path"]: line["after"] for line in each["elements"]} for each in told]
    assert names[0]["(0010,0020)"] == names[1]["(0010,0020)"]
    assert names[0]["(0010,0020)"].startswith("st-elsewhere-")
    assert names[0]["(0008,0080)"] == "CT1"


def test_a_missing_file_is_told(tmp_path, run):
    status, _, told = run("explain", tmp_path / "none.dcm")

    assert status == 1 and "cannot be read: No such file" in told


# --- preview ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def preview(tmp_path, ct, run):
    make.stored(tmp_path / "in" / "us.dcm", make.us())
    make.stored(tmp_path / "in" / "jpeg.dcm", make.ct(patient="<script>alert(1)</script>"), make.JPEG_2000)
    (tmp_path / "in" / "notes.txt").write_text("no DICOM")
    status, told, _ = run("preview", tmp_path / "in", "-o", tmp_path / "page.html")
    assert status == 0 and "4 of 4 files shown" in told
    return tmp_path / "page.html"


def test_the_page_shows_before_and_after_and_loads_nothing(preview):
    page = preview.read_text()

    assert page.count("<details") == 4
    # A CT before and after, an ultrasound beside its own with what was hidden outlined; fragments that are no image.
    assert page.count("data:image/png;base64,") == 3
    assert re.search(r"before, \d+ boxes outlined, and after; frame 1 of 1", page)
    assert "Invented^Ines" in page and "must not leave the hospital" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page) and "://" not in page.split("<body>")[0]
    assert "default-src 'none'" in page


def test_no_value_of_an_image_is_taken_for_markup(preview):
    page = preview.read_text()

    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_only_its_owner_may_read_the_page(preview):
    assert stat.S_IMODE(preview.stat().st_mode) == 0o600
    assert list(preview.parent.glob("*.part")) == []


def test_at_most_so_many_instances_are_shown(tmp_path, ct, run):
    make.stored(tmp_path / "in" / "other.dcm", make.ct())

    status, told, _ = run("preview", tmp_path / "in", "-o", tmp_path / "page.html", "--most", "1", "--json")

    assert status == 0 and json.loads(told) == {"page": str(tmp_path / "page.html"), "shown": 1, "files": 2}


def test_a_folder_is_needed(tmp_path, run):
    status, _, told = run("preview", tmp_path / "none", "-o", tmp_path / "page.html")

    assert status == 1 and "is no folder" in told and not (tmp_path / "page.html").exists()


def test_a_link_is_not_followed(tmp_path, run):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.dcm").symlink_to(make.stored(tmp_path / "elsewhere.dcm", make.ct()))

    run("preview", tmp_path / "in", "-o", tmp_path / "page.html")

    assert "Invented" not in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_browser_filters_the_page(preview, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("package chromium is not installed")
    # A profile of its own, and nothing that would ask the network for updates.
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={tmp_path / 'profile'}"]

    def rows(fragment):
        dumped = subprocess.run(
            [browser, *flags, "--dump-dom", f"file://{preview}{fragment}"],
            capture_output=True,
            timeout=300,
            check=True,
        ).stdout.decode()
        return int(re.search(r'<output id="count">(\d+) elements', dumped)[1])

    everything, names = rows(""), rows("#PatientName")

    assert everything > 100 and names == 3


# --- plan -------------------------------------------------------------------------------------------------------------


def test_a_change_of_rules_is_counted_without_a_value(tmp_path, rules, run):
    site = configured(tmp_path)
    spool = Spool(site.state / "inside", reserve_bytes=0)
    for data in (make.ct(), make.ct(number=2), make.mr(InstitutionName=None, StudyDescription="Invented thing")):
        arrive(spool, data)
    spool.close()
    old = rules("Options: []", "old.yaml")
    new = rules(
        "Options: []\nLabels: [{Name: MR, DICOMQueryFilter: Modality StrEquals MR}]\n"
        "Quarantine: [{Labels: MR, Why: new}]\nReplace: [{TagPatterns: InstitutionName, Value: Here}]\n",
        "new.yaml",
    )

    status, told, _ = run("plan", old, new, "-c", site.file, "--json")

    answer = json.loads(told)
    assert status == 0 and answer["instances"] == 3 and answer["same"] == 0
    assert answer["outcomes"] == [{"before": "delivered", "after": "withheld: rule", "instances": 1}]
    assert answer["elements"] == [
        {"path": "(0008,0080)", "name": "InstitutionName", "change": "would be there", "instances": 2}
    ]
    assert "Invented" not in told
    table = run("plan", old, new, "-c", site.file)[1]
    assert re.search(r"delivered.*withheld: rule.*1", table) and "0 of 3 originals would give the same" in table


def test_the_same_rules_change_nothing_and_only_the_newest_are_tried(tmp_path, rules, run):
    site = configured(tmp_path)
    spool = Spool(site.state / "inside", reserve_bytes=0)
    arrive(spool, make.ct())
    newest = arrive(spool, make.mr())
    (spool.original(newest).parent / "stray.dcm").write_bytes(b"not ours")
    spool.close()
    file = rules("Options: []")

    status, told, _ = run("plan", file, file, "-c", site.file, "--last", "1")

    assert status == 0 and "1 of 1 originals would give the same result." in told


def test_every_kind_of_difference_has_its_word(tmp_path, rules, run):
    site = configured(tmp_path)
    data = make.with_private(make.ct(SeriesDescription="", StationName="A"))
    spool = Spool(site.state / "inside", reserve_bytes=0)
    arrive(spool, data)
    spool.close()
    block = "Options: []\nTransformations:\n- Scope: {Labels: ALL}\n"
    old = rules(block + "  Keep: [StationName, StudyID, SeriesDescription, '0029{PHANTOM PRIVATE}03']\n", "old.yaml")
    new = rules(
        block + "  Replace: [{TagPatterns: SeriesDescription, Value: x}, {TagPatterns: StationName, Value: B}]\n"
        "  DeleteTags: [{TagPatterns: StudyID, Action: Empty}, {TagPatterns: ReferencedImageSequence, Action: Empty},"
        " {TagPatterns: '*/CodeMeaning', Action: Remove}]\n",
        "new.yaml",
    )

    told = json.loads(run("plan", old, new, "-c", site.file, "--json")[1])

    changes = {(each["name"], each["change"]) for each in told["elements"]}
    assert {
        ("StationName", "would differ"),
        ("StudyID", "would be empty"),
        ("SeriesDescription", "would be filled"),
        ("ReferencedImageSequence", "would have other items"),
        ("PHANTOM PRIVATE", "would be gone"),
    } <= changes
