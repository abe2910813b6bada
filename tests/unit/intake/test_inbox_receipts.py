"""The receipt of an item, and the log that it is made of."""

import json
from datetime import UTC, datetime

import pytest

from appliance.intake import receipts, tally
from appliance.intake.beneath import Beneath
from appliance.intake.refusals import Refusal
from appliance.intake.tally import LITTER, MEDIUM, MISSING, REFUSED, TAKEN, Fate
from appliance.lifecycle import State
from appliance.reasons import Reason

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def clinic(tmp_path):
    return Beneath(tmp_path)


def begun(clinic, **fates):
    opened = tally.opened(clinic, 17, "CT thorax", "2026-11-20")
    for name, fate in fates.items():
        opened.note(f"CT thorax/{name}", fate)
    return opened


def text_of(clinic):
    (receipt,) = clinic.root.glob("_receipts/*.txt")
    return receipt.read_text(encoding="utf-8")


def test_a_receipt_says_what_was_taken_and_what_not_and_why_and_what_to_do(clinic):
    opened = begun(
        clinic,
        a=Fate(TAKEN),
        b=Fate(TAKEN),
        report=Fate(REFUSED, Refusal.NOT_DICOM.value),
        broken=Fate(REFUSED, Refusal.MALFORMED.value, "At byte 7."),
        junk=Fate(LITTER),
        DICOMDIR=Fate(MEDIUM),
        gone=Fate(MISSING),
    )

    receipts.write(clinic, opened, NOON, gone=False)

    text = text_of(clinic)
    assert 'Receipt for item 17: "CT thorax"' in text
    assert "\n2 taken" in text
    assert "\n2 not taken" in text
    assert Refusal.NOT_DICOM.words.what in text and Refusal.NOT_DICOM.words.advice in text
    assert "CT thorax/broken: At byte 7." in text
    assert "_failed/2026-11-20/000017-CT thorax" in text
    assert "1 listed in the DICOMDIR, but not there" in text and "CT thorax/gone" in text
    assert "1 ignored" in text
    assert "1 media directory" in text


def test_a_receipt_follows_the_images_until_all_have_arrived(clinic):
    opened = begun(clinic, a=Fate(TAKEN), b=Fate(TAKEN), c=Fate(TAKEN))
    receipt = receipts.write(clinic, opened, NOON, gone=False)
    upper = text_of(clinic).partition(receipts.BECAME)[0]

    assert "3 on their way" in text_of(clinic)
    assert list(receipts.followed(clinic)) == [receipt]

    counts = {
        (State.FORWARDED, ""): 1,
        (State.QUARANTINED, Reason.NO_PATIENT_ID.value): 1,
        (State.RECEIVED, ""): 1,
    }
    assert receipts.update(clinic, receipt, counts, NOON)
    text = text_of(clinic)
    assert "1 delivered" in text and "2026-11-20 12:00 UTC" in text
    assert f"1 quarantined: no-patient-id. {Reason.NO_PATIENT_ID.words.what}" in text
    assert list(receipts.followed(clinic)) == [receipt]

    counts = {(State.FORWARDED, ""): 2, (State.DISCARDED, Reason.DUPLICATE.value): 1}
    assert not receipts.update(clinic, receipt, counts, NOON)
    text = text_of(clinic)
    assert "2 delivered" in text and "1 set aside: duplicate." in text
    assert text.partition(receipts.BECAME)[0] == upper
    assert list(receipts.followed(clinic)) == []


def test_a_receipt_is_not_complete_before_every_image_has_its_row(clinic):
    receipt = receipts.write(clinic, begun(clinic, a=Fate(TAKEN), b=Fate(TAKEN)), NOON, gone=False)

    assert receipts.update(clinic, receipt, {(State.FORWARDED, ""): 1}, NOON)
    assert "1 on their way" in text_of(clinic)


def test_a_receipt_without_images_is_complete_at_once(clinic):
    receipts.write(clinic, begun(clinic, a=Fate(REFUSED, "empty")), NOON, gone=False)

    assert "No image was taken." in text_of(clinic)
    assert list(receipts.followed(clinic)) == []


def test_a_receipt_that_the_clinic_removed_is_not_made_again(clinic):
    receipt = receipts.write(clinic, begun(clinic, a=Fate(TAKEN)), NOON, gone=False)
    (clinic.root / "_receipts" / receipt.name).unlink()

    assert not receipts.update(clinic, receipt, {(State.FORWARDED, ""): 1}, NOON)
    assert not list(clinic.root.glob("_receipts/*.txt"))


def test_names_cannot_forge_lines(clinic):
    opened = tally.opened(clinic, 1, "x\nEverything\x1b[2J", "2026-11-20")
    opened.note("evil\n5 taken: all is well\u202e", Fate(REFUSED, "empty"))
    opened.note("bytes \udcff", Fate(REFUSED, "empty"))

    receipts.write(clinic, opened, NOON, gone=False)

    assert "\n5 taken" not in text_of(clinic)
    assert "\x1b" not in text_of(clinic) and "\u202e" not in text_of(clinic)


def test_thousands_of_refused_files_are_counted_not_listed(clinic):
    opened = tally.opened(clinic, 1, "cd", "2026-11-20")
    for number in range(3000):
        opened.note(f"viewer/{number}.dll", Fate(REFUSED, "not-dicom"))

    receipts.write(clinic, opened, NOON, gone=False)

    assert "3000 x not-dicom" in text_of(clinic)
    assert f"and {3000 - receipts.MOST_NAMES} more" in text_of(clinic)


def test_an_item_left_open_by_a_crash_is_known_again_with_all_that_was_noted(clinic):
    begun(clinic, a=Fate(TAKEN), b=Fate(REFUSED, "empty", "so"))
    with (clinic.root / "_receipts" / ".item-000017.log").open("ab") as log:
        log.write(b'["CT thorax/c","tak')  # cut in the middle of a line

    (again,) = tally.left_open(clinic)
    again.note("CT thorax/d", Fate(TAKEN))
    (third,) = tally.left_open(clinic)

    assert (again.number, again.key, again.date) == (17, "CT thorax", "2026-11-20")
    assert third.counts() == {TAKEN: 2, REFUSED: 1}
    assert list(third.refused()) == [("CT thorax/b", Refusal.EMPTY, "so")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe nonsense",
        b"[1,2,3]\n",
        json.dumps({"item": 17, "key": "../..", "date": "2026-11-20"}).encode(),
        json.dumps({"item": 17, "key": "x", "date": "../../.."}).encode(),
        json.dumps({"item": 18, "key": "x", "date": "2026-11-20"}).encode(),
    ],
)
def test_a_log_that_is_not_ours_is_removed_and_not_believed(clinic, body):
    (clinic.root / "_receipts").mkdir()
    (clinic.root / "_receipts" / ".item-000017.log").write_bytes(body)

    assert tally.left_open(clinic) == []
    assert list((clinic.root / "_receipts").iterdir()) == []


def test_the_highest_number_is_found_in_receipts_and_logs(clinic):
    assert receipts.highest_item(clinic) == 0
    receipts.write(clinic, begun(clinic, a=Fate(TAKEN)), NOON, gone=False)
    assert receipts.highest_item(clinic) == 17
    tally.opened(clinic, 23, "y", "2026-11-20")
    assert receipts.highest_item(clinic) == 23


@pytest.mark.parametrize(
    ("fates", "status"),
    [
        ([TAKEN], "success"),
        ([TAKEN, LITTER, MEDIUM], "success"),
        ([TAKEN, REFUSED], "partial"),
        ([TAKEN, MISSING], "partial"),
        ([REFUSED], "failed"),
        ([], "failed"),
    ],
)
def test_a_mixed_item_is_no_success(clinic, fates, status):
    opened = begun(clinic, **{str(number): Fate(what, "empty") for number, what in enumerate(fates)})

    assert opened.status() == status


def test_every_refusal_has_words_and_advice():
    for refusal in Refusal:
        assert refusal.words.what.endswith(".") and refusal.words.advice.endswith(".")
