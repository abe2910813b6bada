"""Nothing that people and machines are shown, and nothing outside, holds a word of a patient."""

import subprocess
import sys
import urllib.request
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from appliance.cli.main import main
from appliance.dicom import phantom
from appliance.intake.scu import send
from tests.make import reports, secrets
from tests.peers.running import Running

FAMILY, GIVEN, PATIENT_ID = "Zwirnlein", "Quasimodo", "00QX4711"
ITEM = f"{FAMILY}_{GIVEN}_MRT"  # what a clinic calls an item: it may stay in that clinic's folder only


def study(**more):
    """Files of an invented study of the patient, by SOP Instance UID."""
    when = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    facts = {"name": f"{FAMILY}^{GIVEN}", "patient_id": PATIENT_ID, "born": "19570312", "when": when} | more
    return dict(phantom.study(**facts))


def written(data):
    body = BytesIO()
    pydicom.dcmwrite(body, data, enforce_file_format=True)
    return body.getvalue()


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """A day of the appliance: delivered, quarantined and refused things; then everything that it wrote and showed."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "inbox" / "clinic-a").mkdir(parents=True)
    running = Running(folder, more="inbox: {path: ./inbox, quiet_s: 0.5, clinics: {clinic-a: {}}}\n").start()
    try:
        running.wait_until(running.ready)
        words = [*_send(running, folder), *_drop(folder)]
        running.wait_until(lambda: _is_settled(running))
        running.wait_until(lambda: list((folder / "inbox" / "clinic-a" / "_receipts").glob("[!.]*")))
        yield running, words, _shown(running)
    finally:
        running.end()


def _send(running, folder):
    """By C-STORE: a whole study, and an instance without Patient ID, which is quarantined."""
    files = study()
    nobody = pydicom.dcmread(BytesIO(next(iter(study(slices=1, when=datetime(2026, 3, 3, tzinfo=UTC)).values()))))
    nobody.PatientID = ""
    (folder / "sent").mkdir()
    paths = []
    for number, body in enumerate([*files.values(), written(nobody)]):
        paths.append(folder / "sent" / f"{number}.dcm")
        paths[-1].write_bytes(body)
    send("127.0.0.1", running.ports["scp"], paths, calling="CT1", called="EDGE")
    return [FAMILY, GIVEN, PATIENT_ID, *files]


def _drop(folder):
    """By the inbox: secrets everywhere, a broken file, a letter, in an item that is called like the patient."""
    body = next(iter(study(slices=1, patient_id="00QX4712").values()))
    planted = secrets.everywhere(pydicom.dcmread(BytesIO(body)))
    part = folder / "inbox" / "clinic-a" / f"{ITEM}.part"
    part.mkdir()
    (part / f"{GIVEN}1").write_bytes(written(planted.data))
    (part / f"{GIVEN}2").write_bytes(body[: len(body) // 2])
    (part / f"Letter {FAMILY}.txt").write_text(f"Dear {GIVEN} {FAMILY}, {PATIENT_ID}")
    part.rename(part.with_suffix(""))
    return [word for word in planted.words if len(word) > 5]


def _is_settled(running):
    text = _get(running, "/metrics")
    done = 'dicom_imports_total{clinic_id="clinic_a"' in text
    return done and all(f'appliance_instances{{state="{state}"}} 0.0' in text for state in ("RECEIVED", "READY"))


def _get(running, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{running.ports['watch']}{path}", timeout=10) as answer:
        return answer.read().decode()


def _shown(running):
    """What the appliance shows: where -> bytes."""
    shown = {path: _get(running, path).encode() for path in ("/metrics", "/health/ready", "/health/live", "/")}
    for words in (["queue"], ["quarantine", "list"], ["source", "list"], ["doctor"]):
        for form in ([], ["--json"]):
            command = [sys.executable, "-m", "appliance.cli", *words, *form, "-c", str(running.site.file)]
            ran = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).resolve().parents[2])
            shown[" ".join([*words, *form])] = ran.stdout + ran.stderr
    shown["the log"] = running.log.read_bytes()
    return shown


def _below(folder):
    return {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}


def test_the_day_had_something_of_everything(day):
    """Else the tests below would look for needles in no hay."""
    running, _, shown = day
    queue = shown["queue --json"].decode()

    assert '"FORWARDED": 0' not in queue
    assert '"QUARANTINED": 0' not in queue
    assert list((running.site.state / "inside" / "quarantine").glob("no-patient-id/*.txt"))
    assert list((running.site.inbox.path / "clinic-a" / "_failed").rglob("*"))
    assert list((running.site.inbox.path / "clinic-a" / "_receipts").glob("[!.]*"))


def test_neither_log_nor_metrics_nor_health_nor_commands_hold_a_word_of_the_patient(day):
    _, words, shown = day

    assert {where: found for where, body in shown.items() if (found := secrets.found(body, words))} == {}


def test_nothing_outside_holds_a_word_of_the_patient_in_content_or_name(day):
    running, words, _ = day
    outside = _below(running.site.state / "outside") | _below(running.site.destinations[0].folder)

    assert len(outside) > 5
    wrong = {name: found for name, file in outside.items() if (found := secrets.found(file.read_bytes(), words))}
    assert wrong == {}
    assert secrets.found("\n".join(outside).encode(), words) == []


def test_no_note_beside_a_quarantined_file_holds_a_word_of_the_patient(day):
    running, words, _ = day
    notes = list((running.site.state / "inside" / "quarantine").rglob("*.txt"))

    assert notes
    assert {note.name: found for note in notes if (found := secrets.found(note.read_bytes(), words))} == {}


def test_no_published_metric_or_request_holds_a_word_of_the_patient(day):
    running, words, _ = day
    files = [*running.site.state.rglob("*.prom"), *(running.site.state / "requests").rglob("*.json")]

    assert files
    assert {file.name: found for file in files if (found := secrets.found(file.read_bytes(), words))} == {}


def test_a_receipt_holds_what_the_clinic_called_it_and_nothing_of_the_data_set(day):
    running, words, _ = day
    receipts = [file for file in (running.site.inbox.path / "clinic-a" / "_receipts").iterdir() if file.is_file()]

    named = {FAMILY, GIVEN}  # part of the clinic's own file names here
    wrong = {
        file.name: secrets.found(file.read_bytes(), [word for word in words if word not in named]) for file in receipts
    }
    assert {name: found for name, found in wrong.items() if [word for word in found if word != FAMILY.upper()]} == {}


def test_a_trace_shows_the_way_and_not_the_patient(day, capsys):
    running, words, _ = day
    uid = next(iter(study()))

    assert main(["trace", uid, "--json", "-c", str(running.site.file)]) == 0

    told = capsys.readouterr().out
    assert '"state": "FORWARDED"' in told
    assert secrets.found(told.encode(), words) == []


def test_no_report_kept_or_shown_holds_a_word_of_the_patient(day, capsys, tmp_path):
    running, words, _ = day
    kept, ids, studies = reports.everything(running.site.state)
    page = tmp_path / "summary.html"
    asked = [
        *([spool_id] for spool_id in ids),
        *(["--study", study, *form] for study in studies for form in ([], ["--json"])),
    ]
    asked.append(["--study", studies[0], "-o", str(page)])

    assert [main(["report", *words, "-c", str(running.site.file)]) for words in asked] == [0] * len(asked)

    told = capsys.readouterr().out
    assert '"new name"' in kept and "113100" in told and "no-patient-id" in told
    assert [secrets.found(text.encode(), words) for text in (kept, told, page.read_text())] == [[], [], []]
