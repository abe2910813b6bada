"""What is stored, what is answered, and that nothing is answered for what is not stored."""

import errno
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import SpoolFull
from appliance.intake.door import Entry
from appliance.intake.statuses import Status
from tests.peers.caller import (
    ABORT,
    CT,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    VERIFICATION,
    Caller,
    command,
    fragments,
    item,
    pdu,
)
from tests.peers.patience import until
from tests.peers.receiver import Receiver, receiver

DATA = bytes.fromhex("08001600") + b"UI" + bytes(300_000)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path) as running:
        yield running


@pytest.fixture
def caller(edge: Receiver) -> Iterator[Caller]:
    with Caller(edge.port) as connected:
        connected.request({1: (CT, [EXPLICIT]), 3: (VERIFICATION, [IMPLICIT]), 5: (CT, [JPEG])})
        yield connected


def data_set(path: Path) -> bytes:
    """The bytes behind the File Meta, whose group length says where it ends."""
    whole = path.read_bytes()
    assert whole[128:132] == b"DICM"
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


@pytest.mark.parametrize("pdu_bytes", [20, 1000, 16384, 28672, 116794, 131072, 1_000_000])
def test_the_data_set_is_stored_byte_for_byte_in_pdus_of_any_size(
    edge: Receiver, caller: Caller, pdu_bytes: int
) -> None:
    data = DATA[: 40 * pdu_bytes]
    caller.pdu_bytes = pdu_bytes

    status = caller.store(1, CT, "1.2.3", data)

    assert status == 0x0000
    assert data_set(edge.shelf.files[0]) == data


def test_the_file_says_what_it_is_and_how_it_came(edge: Receiver, caller: Caller) -> None:
    caller.store(5, CT, "1.2.3", DATA)

    assert until(lambda: len(edge.shelf.rows) == 1)
    row = edge.shelf.rows[0]
    assert (row.sop_class, row.sop_instance, row.transfer_syntax) == (CT, "1.2.3", JPEG)
    assert (row.provenance.source, row.provenance.calling_ae, row.provenance.peer) == ("unlisted", "SCU", "127.0.0.1")
    assert row.size == edge.shelf.files[0].stat().st_size
    assert edge.shelf.files[0].name == f"{row.id}.dcm"
    assert JPEG.encode() in edge.shelf.files[0].read_bytes()[:400]


def test_success_is_not_answered_before_the_file_is_kept(edge: Receiver, caller: Caller) -> None:
    answered: list[object] = []

    def slow(_id: str) -> None:
        answered.extend(select.select([caller.sock], [], [], 0.3))

    edge.shelf.on_keep = slow

    assert caller.store(1, CT, "1.2.3", DATA) == 0x0000
    assert answered == [[], [], []]


def test_the_response_repeats_class_instance_and_message_id(caller: Caller) -> None:
    caller.send(
        fragments(1, command(1, 4711, CT, "1.2.3"), is_command=True, pdu_bytes=16384)
        + fragments(1, DATA, is_command=False, pdu_bytes=16384)
    )

    response = caller.response()

    assert response[0x0100] == (0x8001).to_bytes(2, "little")
    assert response[0x0120] == (4711).to_bytes(2, "little")
    assert response[0x0002].rstrip(b"\0").decode() == CT
    assert response[0x1000].rstrip(b"\0") == b"1.2.3"
    assert response[0x0000] == sum(8 + len(v) for k, v in response.items() if k).to_bytes(4, "little")


def test_a_command_in_many_fragments_is_understood(edge: Receiver, caller: Caller) -> None:
    caller.send(
        fragments(1, command(1, 1, CT, "1.2.3"), is_command=True, pdu_bytes=13)
        + fragments(1, DATA, is_command=False, pdu_bytes=16384)
    )

    assert caller.status() == 0x0000


def test_echo_is_answered(edge: Receiver, caller: Caller) -> None:
    assert caller.echo(3) == 0x0000
    assert until(lambda: edge.seen.echoed == ["unlisted"])


@pytest.mark.parametrize(
    ("sop_class", "sop_instance"), [("", "1.2.3"), (CT, ""), (CT, "../../etc"), (CT, "1" * 65), ("CT", "1.2")]
)
def test_a_uid_that_is_missing_or_none_is_c000_and_nothing_is_kept(
    edge: Receiver, caller: Caller, sop_class: str, sop_instance: str
) -> None:
    assert caller.store(1, sop_class, sop_instance, DATA) == 0xC000
    assert edge.shelf.files == []
    assert caller.store(1, CT, "1.2.3", DATA) == 0x0000


@pytest.mark.parametrize("data", [b"", b"1234", DATA + b"x"])
def test_an_empty_short_or_odd_data_set_is_refused_and_nothing_is_kept(
    edge: Receiver, caller: Caller, data: bytes
) -> None:
    status = caller.store(1, CT, "1.2.3", data)

    assert status & 0xF000 == 0xC000
    assert edge.shelf.files + edge.shelf.halves == []


def test_a_store_without_a_data_set_is_refused(edge: Receiver, caller: Caller) -> None:
    caller.send(fragments(1, command(1, 1, CT, "1.2.3", data=False), is_command=True, pdu_bytes=16384))

    assert caller.status() & 0xF000 == 0xC000
    assert edge.shelf.files + edge.shelf.halves == []


def test_an_odd_deflated_data_set_is_taken(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        caller.request({1: (CT, ["1.2.840.10008.1.2.1.99"])})

        assert caller.store(1, CT, "1.2.3", DATA + b"x") == 0x0000


@pytest.mark.parametrize("field", [0x0020, 0x0021, 0x0010, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150, 0x0077])
def test_every_other_operation_is_unrecognized_and_its_data_set_passed_over(caller: Caller, field: int) -> None:
    caller.send(
        fragments(1, command(field, 9, CT, "1.2.3"), is_command=True, pdu_bytes=16384)
        + fragments(1, DATA, is_command=False, pdu_bytes=16384)
    )

    response = caller.response()

    assert response[0x0900] == (0x0211).to_bytes(2, "little")
    assert response[0x0100] == (field | 0x8000).to_bytes(2, "little")
    assert caller.store(1, CT, "1.2.3", DATA) == 0x0000


def test_store_on_verification_and_echo_on_storage_are_unrecognized(edge: Receiver, caller: Caller) -> None:
    assert caller.store(3, CT, "1.2.3", DATA) == 0x0211
    assert caller.echo(1) == 0x0211
    assert edge.shelf.files == []


def test_a_cancel_and_a_stray_response_get_no_answer(caller: Caller) -> None:
    cancel = bytes.fromhex("0000 0001 02000000 ff0f 0000 2001 02000000 0100 0000 0008 02000000 0101")
    caller.send(fragments(1, cancel, is_command=True, pdu_bytes=16384))
    caller.send(fragments(1, command(0x8001, 3, CT, "1.2.3", data=False), is_command=True, pdu_bytes=16384))

    assert caller.echo(3) == 0x0000


DISK_TROUBLE: list[Exception] = [
    SpoolFull("under the reserve"),
    *(OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)),
]


@pytest.mark.parametrize("trouble", DISK_TROUBLE, ids=str)
@pytest.mark.parametrize("at", ["first byte", "middle", "keep"])
def test_a_disk_that_fails_is_a700_nothing_stays_and_the_next_instance_works(
    edge: Receiver, caller: Caller, trouble: Exception, at: str
) -> None:
    def fail(size: int | str) -> None:
        if isinstance(size, str) or at == "first byte" or size > 200_000:
            raise trouble

    def works(_fact: object) -> None:
        return

    if at == "keep":
        edge.shelf.on_keep = fail
    else:
        edge.shelf.on_write = fail

    status = caller.store(1, CT, "1.2.3", DATA)

    assert status == 0xA700
    assert edge.shelf.files + edge.shelf.halves == []
    edge.shelf.on_write = edge.shelf.on_keep = works
    assert caller.store(1, CT, "1.2.3", DATA) == 0x0000
    assert data_set(edge.shelf.files[0]) == DATA
    assert edge.seen.refused == [("unlisted", "out-of-resources")]


def test_what_an_aborted_transfer_wrote_is_removed_and_never_kept(edge: Receiver) -> None:
    caller = Caller(edge.port)
    caller.request({1: (CT, [EXPLICIT])})
    caller.send(caller.store_bytes(1, CT, "1.2.3", DATA)[:-10])
    assert until(lambda: bool(edge.shelf.halves))

    caller.close()

    assert until(lambda: edge.shelf.halves == [])
    assert edge.shelf.files == []
    assert until(lambda: edge.seen.ended == [("unlisted", "closed-by-peer")])


def violations() -> dict[str, Callable[[Caller], bytes]]:
    rq = fragments(1, command(1, 1, CT, "1.2.3"), is_command=True, pdu_bytes=16384)
    return {
        "a context that was not accepted": lambda c: fragments(9, command(1, 1, CT), is_command=True, pdu_bytes=999),
        "data without a command": lambda c: fragments(1, DATA, is_command=False, pdu_bytes=16384),
        "a command within a data set": lambda c: rq + rq,
        "data on another context": lambda c: rq + fragments(5, DATA, is_command=False, pdu_bytes=16384),
        "release within a message": lambda c: rq + pdu(5, bytes(4)),
        "a fragment longer than its pdu": lambda c: pdu(4, bytes.fromhex("00000fff 01 03 0000")),
        "a fragment without a header": lambda c: pdu(4, bytes(3)),
        "an endless command": lambda c: fragments(1, bytes(100_000), is_command=True, pdu_bytes=16384),
        "a command that is none": lambda c: fragments(1, b"\xff" * 40, is_command=True, pdu_bytes=16384),
        "an unknown pdu": lambda c: pdu(0x42, b"hello"),
        "a second association request": lambda c: pdu(1, bytes(80)),
    }


@pytest.mark.parametrize("what", violations())
def test_a_breach_of_the_protocol_is_aborted_and_leaves_nothing(edge: Receiver, caller: Caller, what: str) -> None:
    caller.send(violations()[what](caller))

    kind, body = caller.receive()

    assert (kind, body[2]) == (ABORT, 2)
    caller.close()
    assert until(lambda: edge.scp.connections == 0)
    assert edge.shelf.files + edge.shelf.halves == []
    assert edge.seen.ended == [("unlisted", "violation")]


def test_strict_uids_answers_a900_and_keeps_nothing(tmp_path: Path) -> None:
    def names_another(entry: Entry) -> bool:
        return b"1.2.4" in entry.path.read_bytes()

    with receiver(tmp_path, differs=names_another) as edge, Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})

        assert caller.store(1, CT, "1.2.3", DATA + b"1.2.4\0") == 0xA900
        assert edge.shelf.files + edge.shelf.halves == []
        assert caller.store(1, CT, "1.2.3", DATA) == 0x0000


def test_each_status_has_a_consequence_and_a_comment_that_fits_its_element() -> None:
    for status in Status:
        assert status.consequence.endswith(".")
        assert len(status.comment) <= 64
        assert status.code == 0 or status.comment


def test_only_what_is_durable_or_an_echo_is_success() -> None:
    assert {status for status in Status if status.code == 0} == {
        Status.STORED,
        Status.VERIFIED,
        Status.COMMITMENT_ASKED,
    }


def test_roles_and_window_are_answered_when_asked_for(edge: Receiver) -> None:
    wish = item(0x54, len(CT).to_bytes(2, "big") + CT.encode() + b"\1\1") + item(0x53, bytes([0, 0, 0, 8]))
    with Caller(edge.port) as caller:
        answer = caller.request({1: (CT, [EXPLICIT])}, user=wish)

    assert answer.user[0x53] == [bytes([0, 1, 0, 1])]
    assert answer.user[0x54][0][-2:] == b"\1\0"
    assert answer.user[0x51] == [(131072).to_bytes(4, "big")]
