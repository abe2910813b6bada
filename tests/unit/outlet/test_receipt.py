"""What an answer means for each instance, whatever the status says."""

import json
from pathlib import Path

import pytest

from appliance.model import Parcel
from appliance.outlet.destination import Later, RefusedForGood, Stored
from appliance.outlet.receipt import judge, read_answer
from appliance.reasons import Reason


def parcel(name: str) -> Parcel:
    return Parcel(
        seq=1,
        out=f"out-{name}",
        sop_class="1.2",
        sop_instance=f"2.25.{name}",
        study="2.25.9",
        series="2.25.8",
        transfer_syntax="1.2.840.10008.1.2.1",
        digest="d",
        size=1000,
        file=Path("nowhere"),
        attempts=1,
    )


ONE, TWO, THREE = parcel("1"), parcel("2"), parcel("3")


def answer(*, stored: dict[str, int] | None = None, failed: dict[str, int] | None = None) -> bytes:
    def items(named: dict[str, int] | None, code: str) -> dict[str, object]:
        values = [
            {"00081155": {"vr": "UI", "Value": [uid]}, code: {"vr": "US", "Value": [value]}}
            for uid, value in (named or {}).items()
        ]
        return {"vr": "SQ", "Value": values}

    return json.dumps({"00081199": items(stored, "00081196"), "00081198": items(failed, "00081197")}).encode()


def judged(status: int, body: bytes, *parcels: Parcel, after_s: float | None = None):
    return judge(status, after_s, read_answer(body), parcels)


def test_what_is_named_in_the_referenced_sequence_is_stored():
    receipt = judged(200, answer(stored={"2.25.1": 0}), ONE)

    assert receipt.verdicts == {"out-1": Stored()}
    assert receipt.unavailable is None


@pytest.mark.parametrize("status", [200, 202, 400, 409, 500, 503])
def test_what_is_named_as_stored_is_stored_whatever_the_status(status):
    receipt = judged(status, answer(stored={"2.25.1": 0}), ONE, TWO)

    assert receipt.verdicts["out-1"] == Stored()
    assert not isinstance(receipt.verdicts.get("out-2"), Stored)


def test_a_200_that_does_not_name_an_instance_is_no_acknowledgement_of_it():
    receipt = judged(200, answer(stored={"2.25.1": 0}), ONE, TWO)

    assert isinstance(receipt.verdicts["out-2"], Later)
    assert receipt.unavailable is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>welcome to our wifi</html>", b"{}", b"[]", b"null", b"not even json", b"{\xff"]
)
def test_a_200_that_names_nobody_stores_nothing_and_is_a_trouble_of_the_destination(body):
    receipt = judged(200, body, ONE, TWO)

    assert all(isinstance(verdict, Later) for verdict in receipt.verdicts.values())
    assert receipt.unavailable is not None
    assert not receipt.unavailable.sure


def test_an_instance_both_stored_and_failed_counts_as_failed():
    receipt = judged(200, answer(stored={"2.25.1": 0}, failed={"2.25.1": 0xC000}), ONE)

    assert isinstance(receipt.verdicts["out-1"], RefusedForGood)


@pytest.mark.parametrize("code", [0xA900, 0xA9FF, 0xC000, 0xC122, 0x0122, 0x0124, 0x0117, 0x0106])
def test_a_failure_that_says_what_the_instance_is_refuses_it_for_good(code):
    receipt = judged(202, answer(failed={"2.25.1": code}), ONE, TWO)

    verdict = receipt.verdicts["out-1"]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.DESTINATION_REFUSED
    assert f"{code:04X}" in verdict.detail


@pytest.mark.parametrize("code", [0x0110, 0x0213, 0xA700, 0xA702, 0xA7FF, 0])
def test_a_failure_for_want_of_resources_or_luck_is_tried_again(code):
    receipt = judged(409, answer(failed={"2.25.1": code}), ONE)

    assert isinstance(receipt.verdicts["out-1"], Later)


def test_a_duplicate_named_as_failed_is_not_called_stored():
    receipt = judged(409, answer(failed={"2.25.1": 0x0111}), ONE)

    verdict = receipt.verdicts["out-1"]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT


@pytest.mark.parametrize("status", [400, 409, 415, 422])
def test_a_batch_refused_without_names_is_tried_again_at_once(status):
    receipt = judged(status, b"", ONE, TWO)

    assert receipt.verdicts["out-1"] == receipt.verdicts["out-2"]
    assert isinstance(receipt.verdicts["out-1"], Later)
    assert receipt.verdicts["out-1"].after_s == 0
    assert receipt.unavailable is None


@pytest.mark.parametrize("status", [400, 409, 415, 422])
def test_an_instance_refused_alone_is_refused_for_good(status):
    receipt = judged(status, b"", ONE)

    assert receipt.verdicts["out-1"] == RefusedForGood(
        Reason.DESTINATION_REFUSED, f"HTTP {status} to this instance alone.", explained=False
    )


def test_413_halves_a_batch_and_rejects_an_instance_that_is_alone_too_large():
    batch, alone = judged(413, b"", ONE, TWO), judged(413, b"", ONE)

    assert batch.too_large
    assert all(isinstance(verdict, Later) for verdict in batch.verdicts.values())
    assert isinstance(alone.verdicts["out-1"], RefusedForGood)
    assert alone.verdicts["out-1"].reason is Reason.TOO_LARGE_FOR_DESTINATION


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 406, 411, 425, 429, 501, 503, 507])
def test_a_status_about_the_destination_touches_no_instance(status):
    receipt = judged(status, b"", ONE, TWO, after_s=7)

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert receipt.unavailable.sure
    assert receipt.unavailable.after_s == 7
    assert str(status) in receipt.unavailable.detail


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_status_that_one_instance_may_cause_lets_its_neighbours_go_on(status):
    receipt = judged(status, b"", ONE, TWO)

    assert all(isinstance(verdict, Later) and verdict.after_s is None for verdict in receipt.verdicts.values())
    assert receipt.unavailable is not None
    assert not receipt.unavailable.sure
    assert receipt.too_much


def test_native_xml_is_read_like_json():
    body = b"""<?xml version="1.0" encoding="utf-8"?>
        <NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
          <DicomAttribute tag="00081190" vr="UR"><Value number="1">http://x/studies/1</Value></DicomAttribute>
          <DicomAttribute tag="00081198" vr="SQ"><Item number="1">
            <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.2</Value></DicomAttribute>
            <DicomAttribute tag="00081197" vr="US"><Value number="1">49152</Value></DicomAttribute>
          </Item></DicomAttribute>
          <DicomAttribute tag="00081199" vr="SQ"><Item number="1">
            <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.1</Value></DicomAttribute>
          </Item></DicomAttribute>
        </NativeDicomModel>"""

    found = read_answer(body)

    assert found.readable
    assert found.stored == {"2.25.1": 0}
    assert found.failed == {"2.25.2": 0xC000}


def test_a_uid_named_in_a_nested_sequence_is_not_stored():
    body = b"""<NativeDicomModel><DicomAttribute tag="00081199" vr="SQ"><Item number="1">
        <DicomAttribute tag="0008114A" vr="SQ"><Item number="1">
          <DicomAttribute tag="00081155" vr="UI"><Value number="1">2.25.1</Value></DicomAttribute>
        </Item></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"""

    assert read_answer(body).stored == {}


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel/>',
        b"<a>" * 10_000,
        b"[" * 100_000,
        b'{"00081199": {"Value": [1, null, {"00081155": 5}, {"00081155": {"Value": [["x"]]}}]}}',
        b'{"00081199": []}',
    ],
)
def test_a_hostile_answer_names_nobody_and_raises_nothing(body):
    found = read_answer(body)

    assert found.stored == {}
    assert found.failed == {}


def test_a_failure_reason_sent_as_text_is_understood():
    body = b'{"00081198":{"Value":[{"00081155":{"Value":["2.25.1"]},"00081197":{"Value":["42752"]}}]}}'

    assert read_answer(body).failed == {"2.25.1": 0xA700}


def test_the_warning_that_came_with_a_stored_instance_is_kept():
    receipt = judged(202, answer(stored={"2.25.1": 0xB000}), ONE)

    assert receipt.verdicts["out-1"] == Stored(0xB000)
