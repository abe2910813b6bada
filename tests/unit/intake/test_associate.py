"""What callers ask for, and what they are answered."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary

from appliance.errors import Malformed
from appliance.intake import associate
from appliance.intake.associate import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    USER_REJECTION,
    Rejection,
    is_uid,
    negotiate,
    read_request,
)
from appliance.intake.sop_classes import is_storage
from tests.peers.caller import CT, EXPLICIT, IMPLICIT, JPEG, MR, VERIFICATION, item, request_body

FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def role(sop_class: str, scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes([scu, scp]))


def test_the_senders_first_transfer_syntax_wins_in_every_context() -> None:
    request = read_request(request_body({1: (CT, [JPEG, EXPLICIT, IMPLICIT]), 3: (CT, [IMPLICIT, JPEG])}))

    answers = negotiate(request)

    assert [(c.context, c.result, c.transfer_syntax) for c in answers] == [(1, ACCEPTED, JPEG), (3, ACCEPTED, IMPLICIT)]


@pytest.mark.parametrize(("wanted", "answered"), [(b"", []), (struct.pack(">HH", 0, 0), [struct.pack(">HH", 1, 1)])])
def test_whoever_proposes_a_window_of_operations_is_told_one_at_a_time(wanted: bytes, answered: list[bytes]) -> None:
    request = read_request(request_body({1: (CT, [EXPLICIT])}, user=item(0x53, wanted) if wanted else b""))

    answer = associate.acceptance(request, negotiate(request), 131072)

    windows = [answer[at + 4 : at + 8] for at in range(len(answer)) if answer[at : at + 4] == b"\x53\x00\x00\x04"]
    assert windows == answered
    assert item(0x51, struct.pack(">I", 131072)) in answer


def test_an_unknown_transfer_syntax_that_comes_first_is_taken_too() -> None:
    request = read_request(request_body({1: (CT, ["1.3.6.1.4.1.99999.1", EXPLICIT])}))

    assert negotiate(request)[0].transfer_syntax == "1.3.6.1.4.1.99999.1"


def test_a_transfer_syntax_that_is_no_uid_is_passed_over() -> None:
    request = read_request(request_body({1: (CT, ["../../etc", EXPLICIT]), 3: (CT, [])}))

    assert [(c.result, c.transfer_syntax) for c in negotiate(request)] == [
        (ACCEPTED, EXPLICIT),
        (TRANSFER_SYNTAXES_NOT_SUPPORTED, IMPLICIT),
    ]


@pytest.mark.parametrize("sop_class", [CT, MR, VERIFICATION, "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.999.7"])
def test_storage_private_unknown_and_verification_are_accepted(sop_class: str) -> None:
    assert negotiate(read_request(request_body({1: (sop_class, [IMPLICIT])})))[0].result == ACCEPTED


@pytest.mark.parametrize("sop_class", [FIND, "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.20.1", "", "PatientRoot"])
def test_other_services_and_nonsense_are_refused_as_abstract_syntax(sop_class: str) -> None:
    answer = negotiate(read_request(request_body({1: (sop_class, [IMPLICIT])})))[0]

    assert answer.result == ABSTRACT_SYNTAX_NOT_SUPPORTED


def test_every_sop_class_of_the_standard_is_told_apart_by_whether_it_is_stored() -> None:
    by_other_means = {"1.2.840.10008.1.3.10", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.2", "1.2.840.10008.4.2"}
    wrong = []
    for uid, (name, kind, *_rest) in UID_dictionary.items():
        if kind not in ("SOP Class", "Meta SOP Class", "Service Class", "Transfer Syntax") or not name:
            continue
        stored = ("Storage" in name or "Instruction" in name) and uid not in by_other_means
        if is_storage(uid) != stored:
            wrong.append((uid, name))
    assert wrong == []


def test_a_caller_that_only_wants_to_be_scp_of_a_class_is_refused_it() -> None:
    request = read_request(
        request_body({1: (CT, [IMPLICIT]), 3: (MR, [IMPLICIT])}, user=role(CT, 0, 1) + role(MR, 1, 1))
    )

    assert [c.result for c in negotiate(request)] == [USER_REJECTION, ACCEPTED]


def test_unknown_items_are_passed_over() -> None:
    body = request_body({1: (CT, [IMPLICIT])}, items=item(0x77, b"future"), user=item(0x5F, b"later"))

    assert negotiate(read_request(body))[0].result == ACCEPTED


def test_ae_titles_outside_ascii_are_text_and_no_reason_to_fail() -> None:
    request = read_request(request_body({}, calling=b"M\xfcnchen", called=b"../../etc"))

    assert (request.calling_ae, request.called_ae) == ("M\xfcnchen", "../../etc")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(40),
        request_body({}) + b"\x20\0",
        request_body({}) + struct.pack(">BxH", 0x20, 500),
        request_body({}) + item(0x20, b""),
        request_body({2: (CT, [IMPLICIT])}),
        request_body({}) + item(0x20, bytes([1, 0, 0, 0])) * 2,
    ],
)
def test_contradictions_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_request(body)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_fail_otherwise(noise: bytes) -> None:
    try:
        negotiate(read_request(request_body({1: (CT, [IMPLICIT])}) + noise))
    except Malformed:
        return


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.840", True),
        ("1", True),
        ("1.02", True),
        ("", False),
        (".", False),
        ("1..2", False),
        ("1" * 65, False),
        ("1.a", False),
        ("1.\u0662", False),
        ("1.2\n", False),
    ],
)
def test_what_a_uid_is(text: str, expected: bool) -> None:
    assert is_uid(text) is expected


def test_passing_conditions_are_rejected_as_transient_and_strangers_for_good() -> None:
    transient = {why for why in Rejection if why.value[0] == 2}

    assert transient == {Rejection.TOO_MANY, Rejection.CONGESTION}
    assert associate.rejection(Rejection.TOO_MANY) == bytes.fromhex("0300 00000004 00 02 03 02")
    assert associate.rejection(Rejection.UNKNOWN_CALLER) == bytes.fromhex("0300 00000004 00 01 01 03")
    assert associate.rejection(Rejection.UNKNOWN_CALLED) == bytes.fromhex("0300 00000004 00 01 01 07")
    assert associate.rejection(Rejection.CONGESTION) == bytes.fromhex("0300 00000004 00 02 03 01")
