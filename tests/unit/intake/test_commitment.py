"""What is answered to a request for storage commitment, and that a wrong one disturbs nothing else."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.dicom.commitment import Asked, Reference, event_of
from appliance.intake.statuses import Status
from appliance.intake.troubles import of_status
from tests.peers.caller import CT, EXPLICIT, IMPLICIT, JPEG, Caller, fragments, item
from tests.peers.receiver import Receiver, receiver

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
DATA = bytes.fromhex("08001600") + b"UI" + bytes(1000)


class Kept:
    """Keeps requests as it is told to."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status = Status.COMMITMENT_ASKED

    def __call__(self, asked: Asked) -> Status:
        self.asked.append(asked)
        return self.status


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def edge(tmp_path: Path, kept: Kept) -> Iterator[Receiver]:
    with receiver(tmp_path, commit=kept) as running:
        yield running


@pytest.fixture
def caller(edge: Receiver) -> Iterator[Caller]:
    with Caller(edge.port) as connected:
        answer = connected.request(
            {1: (CT, [EXPLICIT]), 3: (PUSH_MODEL, [JPEG, EXPLICIT]), 5: (PUSH_MODEL, [IMPLICIT])}
        )
        assert answer.contexts == {1: (0, EXPLICIT), 3: (0, EXPLICIT), 5: (0, IMPLICIT)}
        yield connected


def wanted(*uids: str) -> Asked:
    return Asked("9.1", tuple(Reference(CT, uid) for uid in uids))


def body(asked: Asked, syntax: str = EXPLICIT) -> bytes:
    return event_of(asked, {}).encoded(syntax)  # a report on success has the elements of a request


def action(
    caller: Caller,
    data: bytes,
    *,
    context: int = 3,
    sop_class: str = PUSH_MODEL,
    sop_instance: str = WELL_KNOWN,
    kind: int | None = 1,
    pdu_bytes: int = 16384,
) -> int:
    """N-ACTION, and return the status."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHI", 0, number, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)

    rest = element(0x0003, sop_class.encode()) + element(0x0100, b"\x30\x01") + element(0x0110, b"\x07\0")
    rest += element(0x0800, struct.pack("<H", 1 if data else 0x0101)) + element(0x1001, sop_instance.encode())
    rest += b"" if kind is None else element(0x1008, struct.pack("<H", kind))
    caller.send(fragments(context, element(0, struct.pack("<I", len(rest))) + rest, is_command=True, pdu_bytes=16384))
    if data:
        caller.send(fragments(context, data, is_command=False, pdu_bytes=pdu_bytes))
    answer = caller.response()
    assert answer[0x0100] == b"\x30\x81"
    assert answer[0x0120] == b"\x07\0"
    return int(struct.unpack("<H", answer[0x0900])[0])


@pytest.mark.parametrize(("context", "syntax"), [(3, EXPLICIT), (5, IMPLICIT)])
@pytest.mark.parametrize("pdu_bytes", [20, 16384])
def test_a_request_is_kept_as_it_was_asked(
    caller: Caller, kept: Kept, context: int, syntax: str, pdu_bytes: int
) -> None:
    asked = wanted("1.2.1", "1.2.22")

    assert action(caller, body(asked, syntax), context=context, pdu_bytes=pdu_bytes) == 0

    assert kept.asked == [asked]


def test_images_and_requests_come_on_one_association(edge: Receiver, caller: Caller, kept: Kept) -> None:
    assert caller.store(1, CT, "1.2.1", DATA) == 0
    assert action(caller, body(wanted("1.2.1"))) == 0
    assert caller.store(1, CT, "1.2.2", DATA) == 0
    caller.release()

    assert (len(edge.shelf.files), len(kept.asked)) == (2, 1)


@pytest.mark.parametrize(
    ("data", "how", "status"),
    [
        (body(wanted("1.2.1")), {"kind": 2}, 0x0123),
        (body(wanted("1.2.1")), {"kind": None}, 0x0123),
        (body(wanted("1.2.1")), {"sop_class": "1.2.840.10008.1.20.2"}, 0x0112),
        (body(wanted("1.2.1")), {"sop_instance": "1.2.3"}, 0x0112),
        (b"", {}, 0x0115),
        (body(wanted()), {}, 0x0115),
        (body(wanted("1.2.1"))[:-3], {}, 0x0115),
        (body(wanted("Zwirnlein")), {}, 0x0115),
        (b"\xff" * 4000, {}, 0x0115),
        (body(wanted("1.2.1"))[:20] + bytes(5 * 1024 * 1024), {"pdu_bytes": 131072}, 0x0213),
    ],
)
def test_a_wrong_request_is_refused_by_its_status_and_the_association_goes_on(
    edge: Receiver, caller: Caller, kept: Kept, data: bytes, how: dict[str, object], status: int
) -> None:
    assert action(caller, data, **how) == status  # type: ignore[arg-type]

    assert kept.asked == []
    assert caller.store(1, CT, "1.2.1", DATA) == 0
    (found,) = edge.callers._callers.values()
    assert [failure.trouble.value.startswith("commitment-") for failure in found.failures] == [True]


@pytest.mark.parametrize("status", [each for each in Status if each.name.startswith("COMMITMENT")])
def test_what_the_keeper_says_is_what_is_answered(caller: Caller, kept: Kept, status: Status) -> None:
    kept.status = status

    assert action(caller, body(wanted("1.2.1"))) == status.code
    assert (of_status(status) is None) == (status is Status.COMMITMENT_ASKED)


def test_nothing_is_stored_through_the_context_of_commitment(edge: Receiver, caller: Caller) -> None:
    assert caller.store(3, PUSH_MODEL, "1.2.1", DATA) == 0x0211
    assert edge.shelf.files == []


def test_a_request_on_the_context_of_images_is_not_served(caller: Caller, kept: Kept) -> None:
    assert action(caller, body(wanted("1.2.1")), context=1) == 0x0211
    assert kept.asked == []


def test_whoever_is_promised_nothing_is_refused_the_context_and_not_the_others(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        answer = caller.request({1: (CT, [EXPLICIT]), 3: (PUSH_MODEL, [EXPLICIT])})

        assert {number: result for number, (result, _) in answer.contexts.items()} == {1: 0, 3: 3}


def test_requests_that_could_not_be_read_are_refused_the_context(edge: Receiver) -> None:
    with Caller(edge.port) as caller:
        assert caller.request({1: (PUSH_MODEL, [JPEG])}).contexts[1][0] == 4


def test_we_are_never_its_user_nor_report_on_the_association_of_the_request(edge: Receiver) -> None:
    name = PUSH_MODEL.encode()
    role = item(0x54, struct.pack(">H", len(name)) + name + b"\1\1")
    with Caller(edge.port) as caller:
        answer = caller.request({1: (PUSH_MODEL, [EXPLICIT])}, user=role)

        assert answer.user[0x54] == [struct.pack(">H", len(name)) + name + b"\1\0"]


def test_a_request_that_breaks_off_keeps_nothing(edge: Receiver, kept: Kept) -> None:
    with Caller(edge.port) as caller:
        caller.request({3: (PUSH_MODEL, [EXPLICIT])})
        whole = fragments(3, body(wanted("1.2.1")), is_command=False, pdu_bytes=16384)
        caller.send(whole[: len(whole) // 2])
    assert kept.asked == []
