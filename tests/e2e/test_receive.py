"""Receiving end to end: real senders over loopback, the real spool, a process that can be signalled and killed."""

import errno
import io
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RTPlanStorage,
    generate_uid,
)
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.make.certificates import Authority
from tests.peers import dcmtk
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.patience import PATIENCE_S, until
from tests.peers.receive_process import ReceiveProcess

PRIVATE_CLASS = "1.2.276.0.7230010.3.1.9.77"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[ReceiveProcess]:
    with ReceiveProcess(tmp_path / "edge") as running:
        yield running


def instance(sop_class: str = CTImageStorage, *, size: int = 64, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """A small invented instance."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UID(sop_class)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientName, made.PatientID, made.Modality = "Nobody^Ida", "0001", "OT"
    made.Rows = made.Columns = size
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelData = np.arange(size * size, dtype="<u2").tobytes()
    return made


def folder_of(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        instance().save_as(path / f"{number}.dcm", enforce_file_format=True)
    return path


def uids(edge: ReceiveProcess) -> set[str]:
    return {pydicom.dcmread(path).SOPInstanceUID for path in edge.files}


def data_set_bytes(path: Path) -> bytes:
    whole = path.read_bytes()
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def test_echoscu_is_answered(edge: ReceiveProcess) -> None:
    assert dcmtk.echoscu(edge.port).returncode == 0


@pytest.mark.parametrize("options", [["-x="], ["-xe"], ["-xb"], ["-xi"], ["-xd"]], ids=" ".join)
def test_storescu_delivers_in_every_uncompressed_syntax_it_offers(
    edge: ReceiveProcess, tmp_path: Path, options: list[str]
) -> None:
    folder = folder_of(tmp_path / "in", 3)

    sent = dcmtk.storescu(edge.port, folder, options=options)

    assert sent.returncode == 0, sent.stdout
    assert uids(edge) == {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    assert until(lambda: [state for _id, state in edge.rows] == ["RECEIVED"] * 3)


@pytest.mark.parametrize(
    ("encoder", "encoding", "proposal"),
    [("dcmcjpeg", "+e1", "-xs"), ("dcmcjpls", "+el", "-xt"), ("dcmcrle", "", "-xr")],
)
def test_storescu_delivers_compressed_instances_byte_for_byte(
    edge: ReceiveProcess, tmp_path: Path, encoder: str, encoding: str, proposal: str
) -> None:
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    instance().save_as(plain, enforce_file_format=True)
    encoded = dcmtk.run(encoder, *([encoding] if encoding else []), plain, packed)
    assert encoded.returncode == 0, encoded.stderr

    sent = dcmtk.storescu(edge.port, packed, options=[proposal])

    assert sent.returncode == 0, sent.stdout
    assert data_set_bytes(edge.files[0]) == data_set_bytes(packed)


def test_dcmsend_delivers_what_the_files_hold(edge: ReceiveProcess, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in", 5)
    instance(MRImageStorage, syntax=ImplicitVRLittleEndian).save_as(folder / "mr", enforce_file_format=True)

    sent = dcmtk.dcmsend(edge.port, folder)

    assert sent.returncode == 0, sent.stdout
    assert len(edge.files) == 6


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("sop_class", [CTImageStorage, RTPlanStorage, EncapsulatedPDFStorage, PRIVATE_CLASS])
def test_pynetdicom_delivers_any_class_in_any_syntax(edge: ReceiveProcess, sop_class: str, syntax: str) -> None:
    made = instance(sop_class, syntax=syntax)
    if syntax == ExplicitVRBigEndian:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    sender = AE("SENDER")

    association = sender.associate("127.0.0.1", edge.port, [build_context(sop_class, syntax)], ae_title="EDGE")
    try:
        assert association.is_established
        status = association.send_c_store(made).Status
    finally:
        association.release()

    assert status == 0x0000
    kept = pydicom.dcmread(edge.files[0])
    assert (kept.SOPInstanceUID, kept.file_meta.TransferSyntaxUID) == (made.SOPInstanceUID, syntax)
    assert kept.file_meta.SendingApplicationEntityTitle == "SENDER"


def test_pynetdicom_sees_128_contexts_answered_and_other_services_refused(edge: ReceiveProcess) -> None:
    storage = [build_context(f"1.2.840.10008.5.1.4.1.1.999.{number}", ImplicitVRLittleEndian) for number in range(126)]
    find = build_context("1.2.840.10008.5.1.4.1.2.2.1", ImplicitVRLittleEndian)

    association = AE().associate("127.0.0.1", edge.port, [*storage, find, build_context(Verification)])
    try:
        assert len(association.accepted_contexts) == 127
        assert [context.result for context in association.rejected_contexts] == [3]
        assert association.send_c_echo().Status == 0x0000
    finally:
        association.release()


def test_titles_from_the_network_reach_no_path(edge: ReceiveProcess) -> None:
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])}, calling=b"../../etc/x", called=b"/../../../tmp")
        assert caller.store(1, CT, "1.2.3", bytes(1000)) == 0x0000

    names = [str(path.relative_to(edge.state)) for path in edge.state.rglob("*")]
    assert not [name for name in names if "etc" in name or "tmp" in name]
    assert "-unlisted-" in edge.files[0].name


def test_every_acknowledged_instance_survives_the_kill_of_the_process(edge: ReceiveProcess) -> None:
    acknowledged = []
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        for number in range(50):
            assert caller.store(1, CT, f"1.2.{number}", bytes(2000)) == 0x0000
            acknowledged.append(f"1.2.{number}")
        caller.send(caller.store_bytes(1, CT, "1.2.99", bytes(200_000))[:90_000])
        edge.kill()

    assert {kept.encode() for kept in acknowledged} <= {sop_instance(path) for path in edge.files}
    assert len(edge.files) == 50


def sop_instance(path: Path) -> bytes:
    meta = pydicom.filereader.read_file_meta_info(path)
    return str(meta.MediaStorageSOPInstanceUID).encode()


def test_the_next_start_sweeps_what_a_killed_process_left_half_written(edge: ReceiveProcess) -> None:
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        caller.send(caller.store_bytes(1, CT, "1.2.99", bytes(200_000))[:150_000])
        assert until(lambda: bool(edge.halves))
    edge.kill()

    edge.start()

    assert edge.halves == []


def test_sigterm_lets_running_associations_finish_and_exits_with_0(edge: ReceiveProcess) -> None:
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        exits: list[int] = []
        stopping = threading.Thread(target=lambda: exits.append(edge.stop()))
        stopping.start()

        late = until(lambda: rejected(edge.port) == (2, 3, 1))
        assert caller.store(1, CT, "1.2.3", bytes(100_000)) == 0x0000
        caller.release()
        stopping.join(PATIENCE_S)

    assert late
    assert exits == [0]
    assert [state for _id, state in edge.rows] == ["RECEIVED"]


def rejected(port: int) -> tuple[int, int, int] | None:
    with Caller(port) as late:
        return late.request({1: (CT, [EXPLICIT])}).rejected


def test_sigterm_aborts_what_does_not_finish_in_drain_s_and_exits_with_0(tmp_path: Path) -> None:
    with ReceiveProcess(tmp_path / "edge", scp={"drain_s": 0.5}) as edge, Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        caller.send(caller.store_bytes(1, CT, "1.2.3", bytes(100_000))[:50_000])

        assert edge.stop() == 0

        assert edge.files + edge.halves == []


def test_restarts_on_a_socket_of_systemd_lose_no_caller(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        edge = ReceiveProcess(
            tmp_path / "edge", scp={"drain_s": PATIENCE_S}, passed={"dicom": listening}, ask_s=PATIENCE_S
        )
        edge.start()
        answers: list[int] = []
        senders = [threading.Thread(target=send_ten, args=(port, number, answers)) for number in range(4)]
        try:
            for sender in senders:
                sender.start()
            for _restart in range(3):
                assert edge.stop() == 0
                edge.start()
            for sender in senders:
                sender.join(PATIENCE_S)
        finally:
            edge.kill()

    assert answers == [0x0000] * 40
    assert len(edge.files) == 40


def test_several_processes_serve_one_socket_of_systemd_and_any_of_them_may_hang_or_die(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        with (
            ReceiveProcess(tmp_path / "edge", passed={"dicom": listening}) as first,
            Caller(port) as early,
        ):
            early.request({1: (CT, [EXPLICIT])})
            half = early.store_bytes(1, CT, "1.2.9", bytes(200_000))
            early.send(half[:150_000])
            assert until(lambda: bool(first.halves))
            with ReceiveProcess(tmp_path / "edge", passed={"dicom": listening}) as second:
                assert len(second.halves) == 1, "what another process is writing is not swept"
                early.send(half[150_000:])
                assert early.status() == 0x0000
                for number, hangs in enumerate((first, second)):
                    with stopped(hangs):
                        send(port, f"1.2.{number}")
                first.kill()
                send(port, "1.2.3")

                assert {sop_instance(path) for path in second.files} == {b"1.2.9", b"1.2.0", b"1.2.1", b"1.2.3"}
                first.start()  # what the killed one had no time to write down gets its rows
                assert until(lambda: [state for _id, state in second.rows] == ["RECEIVED"] * 4)


@contextmanager
def stopped(edge: ReceiveProcess) -> Iterator[None]:
    """Let none of its threads run; SIGSTOP reaches them one after the other."""
    assert edge.process is not None
    threads = Path(f"/proc/{edge.process.pid}/task")
    edge.process.send_signal(signal.SIGSTOP)
    assert until(lambda: all(state_of(thread) == "T" for thread in threads.iterdir()))
    yield
    edge.process.send_signal(signal.SIGCONT)


def state_of(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def send(port: int, uid: str, *, tls: ssl.SSLContext | None = None) -> None:
    with Caller(port, tls=tls) as caller:
        assert caller.request({1: (CT, [EXPLICIT])}).rejected is None
        assert caller.store(1, CT, uid, bytes(20_000)) == 0x0000
        caller.release()


def test_an_encrypted_socket_of_systemd_is_known_by_its_name_and_survives_a_restart(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.sign("edge")
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.check_hostname = False  # the caller says localhost, the certificate an address
    with (
        socket.create_server(("127.0.0.1", 0), backlog=256) as encrypted,
        socket.create_server(("127.0.0.1", 0), backlog=256) as plain,
        ReceiveProcess(
            tmp_path / "edge",
            scp={"tls": {"certificate": str(certificate), "key": str(key)}},
            passed={"dicom-tls": encrypted, "dicom": plain},
        ) as edge,
    ):
        secret, clear = encrypted.getsockname()[1], plain.getsockname()[1]
        send(clear, "1.2.1")
        send(secret, "1.2.2", tls=context)
        assert edge.stop() == 0
        waiting = threading.Thread(target=send, args=(secret, "1.2.3"), kwargs={"tls": context})
        waiting.start()  # into the backlog that systemd keeps
        edge.start()
        waiting.join(PATIENCE_S)

        assert {sop_instance(path) for path in edge.files} == {b"1.2.1", b"1.2.2", b"1.2.3"}


def send_ten(port: int, sender: int, answers: list[int]) -> None:
    for number in range(10):
        with Caller(port) as caller:
            assert caller.request({1: (CT, [EXPLICIT])}).rejected is None
            answers.append(caller.store(1, CT, f"1.2.{sender}.{number}", bytes(20_000)))
            caller.release()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_fills_in_mid_transfer_is_a700_and_works_again_once_there_is_space(small_disk: Path) -> None:
    with ReceiveProcess(small_disk / "edge") as edge, Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        ballast = small_disk / "ballast"
        fill(ballast, leave=4_000_000)

        status = caller.store(1, CT, "1.2.3", bytes(9_000_000))

        assert status == 0xA700
        assert edge.files + edge.halves == []
        ballast.unlink()
        assert caller.store(1, CT, "1.2.4", bytes(9_000_000)) == 0x0000
        assert edge.files[0].stat().st_size > 9_000_000


def test_under_the_reserve_associations_are_rejected_transiently_and_running_ones_told_a700(small_disk: Path) -> None:
    with ReceiveProcess(small_disk / "edge", reserve_gb=0.008) as edge, Caller(edge.port) as running:
        running.request({1: (CT, [EXPLICIT])})
        assert running.store(1, CT, "1.2.3", bytes(1000)) == 0x0000
        fill(small_disk / "ballast", leave=6_000_000)

        assert running.store(1, CT, "1.2.4", bytes(1000)) == 0xA700
        assert rejected(edge.port) == (2, 3, 1)

        (small_disk / "ballast").unlink()
        assert running.store(1, CT, "1.2.5", bytes(1000)) == 0x0000
        assert rejected(edge.port) is None


def fill(path: Path, *, leave: int) -> None:
    found = os.statvfs(path.parent)
    with path.open("wb") as file:
        for _chunk in range(max(0, found.f_bavail * found.f_frsize - leave) // 65536):
            try:
                file.write(bytes(65536))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return


def test_a_large_instance_is_never_in_memory(edge: ReceiveProcess) -> None:
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        assert caller.store(1, CT, "1.2.1", bytes(1000)) == 0x0000
        before = edge.memory_bytes

        assert caller.store(1, CT, "1.2.2", bytes(160_000_000)) == 0x0000

        assert edge.memory_bytes - before < 16_000_000


def test_a_large_request_of_a_stranger_is_never_in_memory(edge: ReceiveProcess) -> None:
    before = edge.memory_bytes
    with Caller(edge.port) as caller:
        caller.send(b"\x01\x00\x20\x00\x00\x00")  # 512 MB are announced
        assert caller.receive()[0] == 7

    assert edge.memory_bytes - before < 16_000_000


def test_strict_uids_compares_the_data_set_with_the_command(tmp_path: Path) -> None:
    made = instance()
    held = io.BytesIO()
    made.save_as(held, enforce_file_format=True)
    path = tmp_path / "made.dcm"
    path.write_bytes(held.getvalue())
    data = data_set_bytes(path)
    with ReceiveProcess(tmp_path / "edge", scp={"strict_uids": True}) as edge, Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])})

        assert caller.store(1, CT, "1.2.3", data) == 0xA900
        assert caller.store(1, "1.2.840.10008.5.1.4.1.1.4", made.SOPInstanceUID, data) == 0xA900
        assert caller.store(1, CT, "1.2.3", bytes(1000)) == 0xA900
        assert edge.files + edge.halves == []
        assert caller.store(1, CT, made.SOPInstanceUID, data) == 0x0000
