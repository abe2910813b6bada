"""The body of a request: known in length, streamed, and read as what was put in."""

import hashlib
import os
import subprocess
import sys
import textwrap
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.outlet.multipart import FileChanged, MultipartBody
from appliance.outlet.retrieve import digest_of
from tests.make.parcels import parcels
from tests.peers.fake_cloud import FakeCloud


def parsed(content_type, body):
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return [part.get_payload(decode=True) for part in message.iter_parts()]


def test_the_length_is_that_of_the_bytes_that_follow(tmp_path):
    batch = parcels(tmp_path, count=3)

    with MultipartBody([parcel.file for parcel in batch], "b0undary") as body:
        sent = b"".join(body)

        assert len(sent) == len(body)


def test_another_mime_reader_finds_the_files_as_they_were(tmp_path):
    files = [tmp_path / name for name in "abc"]
    for number, file in enumerate(files):
        file.write_bytes(bytes(range(10, 13)) * number)

    with MultipartBody(files, "b0undary") as body:
        found = parsed(body.content_type, b"".join(body))

    assert found == [file.read_bytes() for file in files]


def test_a_second_try_sends_the_same_bytes(tmp_path):
    [parcel] = parcels(tmp_path, count=1)

    with MultipartBody([parcel.file], "b0undary") as body:
        assert b"".join(body) == b"".join(body)


def test_a_file_that_shrinks_while_it_is_sent_breaks_the_request_off(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"x" * 1000)

    with MultipartBody([file], "b0undary") as body, pytest.raises(FileChanged):
        file.write_bytes(b"x" * 10)
        b"".join(body)


def test_a_file_that_is_missing_leaves_no_other_open(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    body = MultipartBody([tmp_path / "a", tmp_path / "b"], "b0undary")

    with pytest.raises(FileNotFoundError, match="b"), body:
        pass

    assert body._files == []


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_only_regular_files_are_sent(tmp_path, kind):
    path = tmp_path / "it"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()

    with pytest.raises(OSError, match="not a regular file"), MultipartBody([path], "b0undary"):
        pass


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(1, 50), max_size=30))
def test_the_digest_of_a_fetched_instance_does_not_depend_on_how_it_came_in_pieces(data, cuts):
    meta = b"\x02\x00\x10\x00UI\x02\x001\x00"
    file = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta + data
    answer = b"--eye\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--eye--\r\n"
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(answer[at : at + cut])
        at += cut
    pieces.append(answer[at:])

    found = digest_of('multipart/related; boundary="eye"', [piece for piece in pieces if piece])

    inside = data.partition(b"\r\n--eye")[0]
    assert found == hashlib.sha256(inside).hexdigest()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"--eye\r\n\r\n",
        b"--eye\r\nContent-Type: application/dicom\r\n\r\nshort\r\n--eye--",
        b"--eye\r\n\r\n" + bytes(300) + b"\r\n--eye--",
        b"--other\r\n\r\n" + bytes(128) + b"DICM\r\n--other--",
        b"x" * 3_000_000,
    ],
)
def test_what_is_no_instance_has_no_digest(answer):
    assert digest_of("multipart/related; boundary=eye", [answer]) is None
    assert digest_of("text/html", [answer]) is None


def test_a_500_mb_instance_grows_the_process_by_less_than_64_mb(tmp_path):
    """In a process of its own, because memory once grown is not given back."""
    script = tmp_path / "send.py"
    script.write_text(
        textwrap.dedent("""
            import resource, sys
            from dataclasses import replace
            from pathlib import Path
            from appliance.config import Destination
            from appliance.dicom import part10, sniff
            from appliance.outlet.destination import Later, Stored
            from appliance.outlet.stow import connect
            from tests.make.parcels import parcels
            root, url = Path(sys.argv[1]), sys.argv[2]
            small = parcels(root / "small", count=1)[0]
            big = replace(parcels(root / "big", count=1, patient="big")[0], size=500 * 1024 * 1024)
            with big.file.open("r+b") as file:
                file.truncate(big.size)
                big = replace(big, digest=part10.digest(file, sniff.identify(file).dataset_offset))
            connection = connect(Destination(name="research", url=url, connections=1), {})[0]
            connection.deliver([small])
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            receipt = connection.deliver([big])
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(grown, *(type(verdict).__name__ for verdict in receipt.verdicts.values()))
        """)
    )
    with FakeCloud() as cloud:
        cloud.discards = True
        ran = subprocess.run(
            [sys.executable, str(script), str(tmp_path), cloud.dicomweb],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )

    grown_kb, verdict = ran.stdout.split()
    assert int(grown_kb) < 64 * 1024
    assert verdict == "Later"
    assert cloud.bytes_received > 500 * 1024 * 1024
