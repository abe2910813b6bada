"""What identifies a patient is planted everywhere; nothing that is shown, and nothing outside, holds any of it."""

import sqlite3
import zipfile
from dataclasses import dataclass, field

import pytest

from tests.make import make, reports, secrets
from tests.peers.appliance_process import Appliance
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.orthanc import Orthanc

FAMILY, GIVEN, PATIENT_ID = "Zwirnlein", "Quasimodo", "00QX4711"
TITLES = ("../../etc", "/titleword/..", "TITLEOFNOBODY")  # AE titles that a caller may legally use
DATES = ("19570312", "1957-03-12", "20260302", "2026-03-02")
SHOWN = (["queue"], ["quarantine", "list"], ["source", "list"], ["doctor"], ["config", "check"])


def image(seed, **more):
    """An image of the patient."""
    facts = {
        "patient": f"{FAMILY}^{GIVEN}", "patient_id": PATIENT_ID, "PatientBirthDate": DATES[0], "StudyDate": DATES[2],
    }  # fmt: skip
    return make.ct(seed=seed, **(facts | more))


@dataclass
class Day:
    """A day of the appliance. ``words``: of patients and their images; ``names``: what the clinic called its files."""

    edge: Appliance
    orthanc: Orthanc
    words: list[str] = field(default_factory=lambda: [FAMILY, GIVEN, PATIENT_ID, *DATES])
    names: list[str] = field(default_factory=list)
    version: str = ""  # SOP Instance UID of two versions

    def word(self, text: str) -> str:
        self.words.append(text)
        return text


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """Something of everything: delivered, refused by the destination, quarantined for many reasons, released, gone."""
    folder = tmp_path_factory.mktemp("day")
    with (
        Orthanc(folder / "orthanc") as orthanc,
        Appliance(
            folder / "edge", [{"name": "cloud", "url": orthanc.dicomweb}], clinics=("clinic-a", "clinic-b")
        ) as edge,
    ):  # fmt: skip
        day = Day(edge, orthanc)
        _by_network(day, folder)
        edge.until_settled(7)
        _by_inbox(day, folder)
        edge.until_settled(12)
        _by_operator(day)
        edge.until_settled(12)
        edge.until(lambda: "delivered" in "".join(edge.receipts()), "told in the receipts")
        yield day


def _by_network(day, folder):
    planted = secrets.everywhere(image("everywhere"))
    del planted.data.EncapsulatedDocument  # with one it would be kept back
    day.words += [word for word in planted.words if len(word) > 5]
    day.words += [planted.data.SOPInstanceUID, planted.data.StudyInstanceUID]
    _store(day, planted.data, TITLES[0])
    # The second version of what the destination keeps is refused there.
    first, second = image("version"), image("version", KVP="140", SeriesDescription=f"Again for {FAMILY}")
    day.version = day.word(first.SOPInstanceUID)
    _store(day, first, TITLES[1])
    day.edge.until_settled(2)
    _store(day, second, TITLES[1])
    # Kept back for what the data set says, each with words of the patient in it.
    _store(day, image("left", ManufacturerModelName=f"{FAMILY} {GIVEN}"), TITLES[2])
    _store(day, image("nobody", PatientID="", OtherPatientIDs=day.word("OTHERID4711")), TITLES[2])
    _store(day, image("mismatch"), TITLES[2], announced=day.word("1.2.3.4.5.6.7.8.99999.1"))
    letter = image("letter", EncapsulatedDocument=b"%PDF", AccessionNumber=day.word("ACC-SECRET-1"))
    _store(day, letter, TITLES[0])


def _store(day, data, calling, announced=""):
    with Caller(day.edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])}, calling=calling.encode(), called=TITLES[1].encode())
        assert caller.store(1, CT, announced or data.SOPInstanceUID, make.data_set(data)) == 0


def _by_inbox(day, folder):
    """An item called like the patient, with files called like the patient, a letter, half a file, a zip."""
    item = folder / f"{FAMILY}, {GIVEN}"
    (item / f"{GIVEN} MRT").mkdir(parents=True)
    make.stored(item / f"{GIVEN} MRT" / f"{FAMILY}1", image("item1"))
    half = make.file(image("item2"))
    (item / f"{FAMILY}2").write_bytes(half[: len(half) // 2])
    (item / f"Letter {FAMILY}.txt").write_text(f"Dear {GIVEN} {FAMILY}, {PATIENT_ID}")
    (item / f"Report {FAMILY}.dcm").write_bytes(bytes(128) + b"DICM" + f"{GIVEN} {FAMILY}".encode())
    day.edge.drop(item)
    with zipfile.ZipFile(folder / f"{FAMILY}.zip", "w") as packed:
        packed.writestr(f"../{FAMILY}.dcm", make.file(image("escape")))
        packed.writestr(f"{FAMILY}/{GIVEN}.dcm", make.file(image("zip")))
    day.edge.drop(folder / f"{FAMILY}.zip")
    day.edge.drop(make.stored(folder / f"{GIVEN}.dcm", make.sr(patient_id="", text=f"{GIVEN} is ill")))
    day.edge.drop(make.stored(folder / "b.dcm", image("b", patient_id="00QX4712")), clinic="clinic-b")
    day.names += [FAMILY, GIVEN]


def _by_operator(day):
    """Release, accept, discard and replay: what is asked lies in the requests folder."""
    waiting = {each["reason"]: each["id"] for each in day.edge.waiting()}
    (forwarded,) = [each for each in day.edge.trace(day.version) if each["state"] == "FORWARDED"]
    for words in (
        ["quarantine", "release", waiting["uid-mismatch"], "--accept", "uid-mismatch"],
        ["quarantine", "release", waiting["no-patient-id"]],
        ["quarantine", "discard", waiting["document"]],
        ["replay", forwarded["id"]],
    ):
        assert day.edge.cli(*words).returncode == 0, words


def test_the_day_had_something_of_everything(day):
    """Else the tests below would look for needles in no hay."""
    reasons = {each["reason"] for each in day.edge.queue()["reasons"]}

    assert day.edge.states() == {"FORWARDED": 6, "QUARANTINED": 4, "REJECTED": 1, "DISCARDED": 1}
    assert reasons == {
        "no-patient-id", "identifier-left", "malformed", "already-there-different", "by-operator",
    }  # fmt: skip
    assert len(list((day.edge.inbox / "clinic-a" / "_failed").rglob("*.dcm"))) == 1


def test_neither_log_nor_pages_nor_commands_hold_a_word(day):
    shown = {path: day.edge.get(path)[1] for path in ("/metrics", "/health/ready", "/health/live", "/")}
    for words in SHOWN:
        for form in ([], ["--json"]) if words[0] != "config" else ([],):
            ran = day.edge.cli(*words, *form)
            shown[" ".join([*words, *form])] = ran.stdout + ran.stderr
    for each in day.edge.waiting():
        shown[f"quarantine show {each['reason']}"] = day.edge.cli("quarantine", "show", each["id"]).stdout
        shown[f"trace {each['reason']}"] = day.edge.cli("trace", each["id"], "--json").stdout
    shown["log"] = day.edge.log

    assert all(shown[name] for name in shown if name != "/"), shown
    wrong = {
        name: found for name, text in shown.items() if (found := _found(text.encode(), day, titles="trace" not in name))
    }
    assert wrong == {}


def test_no_report_kept_or_shown_holds_a_word_of_theirs_or_of_an_operator_s_rules(day, tmp_path):
    kept, ids, studies = reports.everything(day.edge.state)
    shown = {" ".join(words): day.edge.cli("report", *words) for words in (
        *([spool_id] for spool_id in ids[:3]), *(["--study", study] for study in studies[:3]),
        ["--study", studies[0], "-o", str(tmp_path / "summary.html")], ["--study", studies[0], "--json"],
    )}  # fmt: skip

    assert len(ids) == 12 and len(studies) > 3
    assert "already-there-different" not in kept, "that is the outside's word"
    assert {name: ran.returncode for name, ran in shown.items() if ran.returncode} == {}
    texts = {name: ran.stdout + ran.stderr for name, ran in shown.items()}
    texts |= {"kept": kept, "page": (tmp_path / "summary.html").read_text()}
    assert all(len(text) > 10 for text in texts.values())
    assert {name: found for name, text in texts.items() if (found := _found(text.encode(), day))} == {}


def test_nothing_outside_and_nothing_asked_holds_a_word_in_content_or_name(day):
    files = [file for side in ("outside", "requests") for file in (day.edge.state / side).rglob("*") if file.is_file()]

    assert {"outbox.db", "forward.prom"} <= {file.name for file in files}
    assert any("rejected" in file.parts and file.suffix == ".txt" for file in files)
    assert {file.name: found for file in files if (found := _found(file.read_bytes(), day))} == {}


def test_no_value_in_the_outbox_holds_a_word(day):
    """As SQLite gives them: a value that is spread over pages would hide from a look at the file."""
    with sqlite3.connect(f"file:{day.edge.state / 'outside' / 'outbox.db'}?mode=ro", uri=True) as outbox:
        dump = "\n".join(outbox.iterdump())

    assert "already-there-different" in dump
    assert _found(dump.encode(), day) == []


def test_no_note_beside_a_kept_file_holds_a_word(day):
    notes = [*day.edge.state.rglob("quarantine/**/*.txt"), *day.edge.state.rglob("rejected/**/*.txt")]

    assert len(notes) == 5
    assert {note.name: found for note in notes if (found := _found(note.read_bytes(), day))} == {}


def test_no_file_or_folder_of_the_house_is_called_like_anything_from_outside(day):
    names = [str(path.relative_to(day.edge.state)) for path in day.edge.state.rglob("*")]

    assert len(names) > 30
    assert _found("\n".join(names).encode(), day) == []
    assert [name for name in names if "etc" in name] == []


def test_another_clinic_reads_nothing_of_it_and_the_clinic_only_its_own_names(day):
    other, own = "\n".join(day.edge.receipts("clinic-b")), "\n".join(day.edge.receipts("clinic-a"))
    notes = "\n".join(note.read_text() for note in (day.edge.inbox / "clinic-a" / "_failed").rglob("*.txt")
                      if not note.name.startswith("Letter"))  # fmt: skip

    assert "1 taken" in other
    assert "not taken" in own
    assert _found(other.encode(), day) == []
    assert set(_found((own + notes).encode(), day)) <= {*day.names, *map(str.upper, day.names)}


def test_nothing_at_the_destination_holds_a_word(day):
    got = {uid: day.orthanc.file(uid) for uid in day.orthanc.instances()}

    assert len(got) == 6
    assert {uid: found for uid, body in got.items() if (found := _found(body, day))} == {}


def _found(body: bytes, day: Day, *, titles: bool = True) -> list[str]:
    return secrets.found(body, [*day.words, *(TITLES if titles else ())])
