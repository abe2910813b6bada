"""``appliance deidentify``: files and folders in, de-identified files and a report out."""

import json
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from appliance.cli.main import main
from appliance.dicom import phantom
from tests.make import make

NAME, PATIENT_ID = "Mustermann^Erika", "MRN-004711"


@pytest.fixture
def sources(tmp_path):
    """A folder with one invented study at some depth."""
    folder = tmp_path / "in"
    (folder / "deep" / "er").mkdir(parents=True)
    study = phantom.study(
        name=NAME, patient_id=PATIENT_ID, born="19570312", when=datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    )
    for number, (_, body) in enumerate(study):
        (folder / "deep" / "er" / f"IM{number}").write_bytes(body)
    return folder


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "key"
    file.write_text("5e" * 32)
    return file


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command; return its exit status, the report and what it printed."""

    def call(*arguments, target="out"):
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        texts = [str(each) for each in arguments]
        status = main(["deidentify", *texts, "-o", str(tmp_path / target), "--report", str(report), "--jobs", "1"])
        told = capsys.readouterr()
        return status, json.loads(report.read_text()) if report.exists() else None, told.out + told.err

    return call


def test_every_file_is_delivered_without_the_patient_and_the_sources_stay(sources, key, run, tmp_path):
    before = {file: file.read_bytes() for file in sources.rglob("IM*")}

    status, report, _ = run(sources, "--key-file", key)

    assert status == 0
    assert {each["outcome"] for each in report["files"]} == {"delivered"}
    outputs = [each["output"] for each in report["files"]]
    assert len(set(outputs)) == len(before) == report["total"]
    for output in outputs:
        content = Path(output).read_bytes()
        assert NAME.encode() not in content
        assert PATIENT_ID.encode() not in content
        found = pydicom.dcmread(output)
        assert f"{found.StudyInstanceUID}/{found.SeriesInstanceUID}/{found.SOPInstanceUID}.dcm" in output
    assert {file: file.read_bytes() for file in sources.rglob("IM*")} == before
    assert not list((tmp_path / "out").glob(".making*"))


def test_the_same_key_gives_the_same_files_and_another_key_others(sources, key, run, tmp_path):
    run(sources, "--key-file", key, target="one")
    run(sources, "--key-file", key, target="two")
    key.write_text("a1" * 32)
    run(sources, "--key-file", key, target="three")

    names = [
        sorted(str(file.relative_to(tmp_path / folder)) for file in (tmp_path / folder).rglob("*.dcm"))
        for folder in ("one", "two", "three")
    ]
    assert names[0] == names[1]
    assert not set(names[0]) & set(names[2])
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names[0])


def test_without_a_key_one_is_made_for_this_run_and_that_is_said(sources, run):
    status, _, told = run(sources)

    assert status == 0
    assert "one was made for this run alone" in told


def test_running_again_into_the_same_folder_changes_nothing(sources, key, run, tmp_path):
    run(sources, "--key-file", key)
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.dcm")}

    status, _, _ = run(sources, "--key-file", key)

    assert status == 0
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.dcm")} == before


def test_something_withheld_ends_with_2_and_the_report_says_which_and_why(sources, key, run):
    (sources / "letter.txt").write_text("Dear colleague")
    broken = next(sources.rglob("IM0"))
    broken.write_bytes(broken.read_bytes()[:700])

    status, report, told = run(sources, "--key-file", key)

    why = {
        each["source"]: (each["outcome"], each["reason"]) for each in report["files"] if each["outcome"] != "delivered"
    }
    assert status == 2
    assert why == {str(sources / "letter.txt"): ("withheld", "not-dicom"), str(broken): ("withheld", "malformed")}
    assert "1 withheld: not-dicom. The file is no DICOM file." in told


def test_the_same_bytes_twice_are_delivered_once(sources, key, run):
    shutil.copy(next(sources.rglob("IM0")), sources / "copy")

    status, report, _ = run(sources, "--key-file", key)

    again = [each for each in report["files"] if each["reason"] == "duplicate"]
    assert status == 0
    assert [each["outcome"] for each in again] == ["excluded"]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_study_with_two_patient_ids_is_withheld_whole_in_whatever_order_its_files_come(order, key, run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for place, number in enumerate(order):
        data = make.ct(
            patient_id=f"P{number // 2}", study="x", SOPInstanceUID=f"1.2.3.{number}", StudyInstanceUID="1.2.7"
        )
        make.stored(folder / f"{place}", data)
    make.stored(folder / "other", make.ct(patient_id="P0", StudyInstanceUID="1.2.8"))

    status, report, told = run(folder, "--key-file", key)

    fates = {each["source"].rpartition("/")[2]: (each["outcome"], each["reason"]) for each in report["files"]}
    assert status == 2
    assert fates.pop("other") == ("delivered", "")
    assert set(fates.values()) == {("withheld", "two-patient-ids")}
    assert "3 withheld: two-patient-ids." in told
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1
    assert len(list((tmp_path / "out").iterdir())) == 1, "no empty folder is left of what was taken back"


def test_links_and_special_files_are_not_followed_but_told_and_other_names_of_a_file_are_read(
    sources, key, run, tmp_path
):
    shutil.move(next(sources.rglob("IM0")), tmp_path / "elsewhere")
    (sources / "link").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "elsewhere", sources / "second-name")
    os.mkfifo(sources / "fifo")

    status, report, _ = run(sources, "--key-file", key)

    fate = {each["source"].rpartition("/")[2]: each for each in report["files"]}
    assert status == 2
    assert fate["link"]["reason"] == fate["fifo"]["reason"] == "unreadable"
    assert fate["second-name"]["outcome"] == "delivered"


def test_results_inside_a_source_folder_are_not_taken_for_sources(sources, key, run, tmp_path):
    run(sources, "--key-file", key, target="in/out")

    status, report, _ = run(sources, "--key-file", key, target="in/out")

    assert status == 0
    assert all("/in/out/" not in each["source"] for each in report["files"])


def test_the_report_may_be_read_by_its_owner_only_for_file_names_can_be_patients(sources, key, run, tmp_path):
    run(sources, "--key-file", key)

    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere does not exist. Nothing was read or written."),
        (["in", "--key-file", "nokey"], "does not exist. Nothing was de-identified"),
        (["in", "--rules", "norules.yaml"], "norules.yaml: the rules cannot be read"),
        (["in", "-c", "noconfig.yaml"], "noconfig.yaml: cannot be read"),
    ],
)
def test_what_cannot_run_ends_with_1_and_writes_nothing(sources, run, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)

    status, report, told = run(*arguments)

    assert status == 1
    assert says in told
    assert report is None
    assert not (tmp_path / "out").exists()


def test_with_a_configuration_site_key_and_domain_are_the_appliance_s(sources, key, run, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(
        "site: st-elsewhere\nstate: ./var\nmapping: {key_file: ./key}\ndestinations: [{name: a, folder: ./o}]\n"
    )

    status, report, _ = run(sources, "-c", file)

    assert status == 0
    assert pydicom.dcmread(report["files"][0]["output"]).PatientID.startswith("st-elsewhere-")
    assert not (tmp_path / "var").exists()


def test_a_target_that_takes_no_more_ends_with_1_and_says_what_became_of_the_rest(sources, key, run, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")

    status, _, told = run(sources, "--key-file", key)

    assert status == 1
    assert "is no folder. Nothing was read or written." in told


@pytest.mark.parametrize("report", ["nowhere/report.json", "in"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(sources, key, tmp_path, capsys, report):
    out = tmp_path / "out"
    arguments = [str(sources), "-o", str(out), "--key-file", str(key), "--report", str(tmp_path / report)]

    assert main(["deidentify", *arguments]) == 1

    told = capsys.readouterr().err
    assert "cannot be written" in told and "Nothing was read or written." in told and "--report" in told
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "key"]


def test_a_source_without_a_file_is_told_and_the_report_is_empty(key, run, tmp_path):
    (tmp_path / "empty").mkdir()

    status, report, told = run(tmp_path / "empty", "--key-file", key)

    assert (status, report["total"]) == (0, 0)
    assert f"There is no file in {tmp_path / 'empty'}; nothing is de-identified." in told


def test_a_configuration_that_merely_lies_there_is_not_used(sources, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "appliance.yaml").write_text("this is no configuration")

    status, report, told = run(sources)
    main(["deidentify", "--help"])

    assert (status, report["site"]) == (0, "offline")
    assert "one was made for this run alone" in told
    assert "Left out: none is looked for." in " ".join(capsys.readouterr().out.split())
