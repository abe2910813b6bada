"""From a clinic's folder through the whole appliance into a real Orthanc: every form in which files come."""

import io
import re
import tarfile
import zipfile
from dataclasses import dataclass

import pytest

from tests.make import make, pictures
from tests.peers import dcmtk
from tests.peers.appliance_process import Appliance
from tests.peers.orthanc import Orthanc

FORMS = ("loose", "folder", "zip", "tar.gz", "medium")
COUNT = 3  # images in each
ITEM = "Zwirnlein Quasimodo"  # a clinic's own name for an item


def images(form):
    """Files of an invented study of its own for each form, by SOP Instance UID."""
    made = [make.ct(patient_id=f"P-{form}", seed=form, number=number, PositionReferenceIndicator=None)
            for number in range(1, COUNT + 1)]  # fmt: skip
    return {data.SOPInstanceUID: make.file(data) for data in made}


@dataclass
class Inbox:
    """What was dropped, and where it is now."""

    edge: Appliance
    orthanc: Orthanc


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inbox")
    with (
        Orthanc(folder / "orthanc") as orthanc,
        Appliance(folder / "edge", [{"name": "cloud", "url": orthanc.dicomweb}], clinics=("clinic-a", "clinic-b"))
        as edge,
    ):  # fmt: skip
        _drop_all(edge, folder)
        edge.until_settled(len(FORMS) * COUNT + 2)  # two are quarantined: a half file and nobody's
        edge.until(lambda: len(_complete(edge)) == len(FORMS) - 1, "complete receipts")
        edge.until(lambda: "malformed" in _receipt(edge, '"study.zip"'), "a receipt that tells of the half file")
        yield Inbox(edge, orthanc)


def _drop_all(edge, folder):
    for number, body in enumerate(images("loose").values()):  # written in place, names as modalities give them
        (edge.inbox / "clinic-a" / f"IM{number}").write_bytes(body)
    edge.until(lambda: edge.receipts(), "a receipt of the loose ones")

    study = folder / ITEM
    (study / "DICOM" / "deep").mkdir(parents=True)
    for number, body in enumerate(images("folder").values()):
        (study / "DICOM" / "deep" / str(number)).write_bytes(body)
    (study / "Letter.txt").write_text("Dear colleague")
    edge.drop(study)

    with zipfile.ZipFile(folder / "study.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number, body in enumerate(images("zip").values()):
            packed.writestr(f"s/{number}.dcm", body)
        another = make.file(make.ct(patient_id="P-zip", seed="half"))
        packed.writestr("s/half.dcm", another[: len(another) // 2])
    edge.drop(folder / "study.zip")

    with tarfile.open(folder / "study.tar.gz", "w:gz") as packed:
        for number, body in enumerate(images("tar.gz").values()):
            member = tarfile.TarInfo(f"s/{number}")
            member.size = len(body)
            packed.addfile(member, io.BytesIO(body))
    edge.drop(folder / "study.tar.gz")

    edge.drop(_medium(folder / "medium"))

    nobody = make.stored(folder / "nobody.dcm", make.ct(seed="nobody", PatientID=""))
    edge.drop(nobody, clinic="clinic-b")


def _medium(folder):
    """A CD as DCMTK makes one, with a DICOMDIR; one listed file is missing, as on a broken copy."""
    (folder / "IMAGES").mkdir(parents=True)
    for number, body in enumerate(images("medium").values()):
        (folder / "IMAGES" / f"IM{number}").write_bytes(body)
    lost = make.file(make.ct(patient_id="P-medium", seed="medium", number=99))
    (folder / "IMAGES" / "LOST").write_bytes(lost)
    ran = dcmtk.run("dcmmkdir", "+D", folder / "DICOMDIR", "+id", folder, "+r", "-Pgp", "IMAGES")
    assert (folder / "DICOMDIR").exists(), ran.stderr
    (folder / "IMAGES" / "LOST").unlink()
    return folder


def _complete(edge):
    return [text for text in edge.receipts() if "this receipt is complete" in text]


def _receipt(edge, name):
    (found,) = [text for text in edge.receipts() if text.splitlines()[0].endswith(name)]
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_image_of_every_form_is_at_the_destination_de_identified(inbox, form):
    there = inbox.orthanc.instances()

    for uid, body in images(form).items():
        (trace,) = inbox.edge.trace(uid)
        assert (trace["state"], trace["source"]) == ("FORWARDED", "clinic_a")
        assert trace["sop_instance"] in there
        got = inbox.orthanc.file(trace["sop_instance"])
        assert pictures.pixel_bits(got) == pictures.pixel_bits(body)
        assert b"Invented" not in got


def test_the_destination_has_these_and_nothing_else(inbox):
    assert inbox.orthanc.count() == len(FORMS) * COUNT
    assert inbox.edge.states() == {"FORWARDED": len(FORMS) * COUNT, "QUARANTINED": 2}


@pytest.mark.parametrize("name", ['"study.tar.gz"', '"medium"', f'"{ITEM}"', "without a folder"])
def test_the_receipt_says_what_was_taken_and_that_it_was_delivered(inbox, name):
    text = _receipt(inbox.edge, name)

    assert f"{COUNT} taken: safely stored in the appliance." in text
    assert re.search(rf"As of 20\d\d-\d\d-\d\d \d\d:\d\d UTC:\n  {COUNT} delivered\.\n", text)


def test_what_is_no_image_is_accounted_for_with_its_reason_and_lies_in_failed(inbox):
    text = _receipt(inbox.edge, f'"{ITEM}"')

    assert "1 not taken.\n\n1 x not-dicom. It is no DICOM file and no archive that could hold one." in text
    assert [path.name for path in (inbox.edge.inbox / "clinic-a" / "_failed").rglob("Letter.txt")] == ["Letter.txt"]


def test_a_half_file_in_a_zip_is_kept_for_a_person_with_its_reason_and_the_others_are_delivered(inbox):
    text = _receipt(inbox.edge, '"study.zip"')

    assert f"{COUNT + 1} taken: safely stored in the appliance." in text
    assert f"  {COUNT} delivered.\n  1 quarantined: malformed. The bytes contradict their transfer syntax" in text
    assert "complete" not in text


def test_what_a_dicomdir_lists_and_the_medium_lacks_is_reported(inbox):
    text = _receipt(inbox.edge, '"medium"')

    assert "1 media directory (DICOMDIR), used as a checklist; it is no image." in text
    assert "1 listed in the DICOMDIR, but not there." in text
    assert "LOST" in text


def test_another_clinic_reads_that_its_image_waits_for_a_person_and_why(inbox):
    inbox.edge.until(lambda: "quarantined" in "".join(inbox.edge.receipts("clinic-b")), "told to clinic-b")

    (text,) = inbox.edge.receipts("clinic-b")

    assert "1 taken" in text
    assert "1 quarantined: no-patient-id. There is no Patient ID" in text
    assert "complete" not in text


def test_the_clinics_own_name_for_an_item_is_in_its_own_folder_only(inbox):
    places = [inbox.edge.state, inbox.edge.inbox / "clinic-b"]
    files = [file for place in places for file in place.rglob("*") if file.is_file() and file.suffix != ".dcm"]

    assert len(files) > 5
    assert [file for file in files if "Zwirnlein" in file.name or b"Zwirnlein" in file.read_bytes()] == []
    assert "Zwirnlein" not in inbox.edge.log
    assert "Zwirnlein" not in inbox.edge.get("/metrics")[1]
