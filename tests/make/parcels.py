"""Parcels as the outbox hands them out: invented, already de-identified, each a file in a folder."""

import hashlib
import io
import struct
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pydicom

from appliance.dicom import phantom
from appliance.model import Parcel

_WHEN = datetime(2026, 11, 20, 8, 0, 0)  # noqa: DTZ001 - a DICOM study has no time zone


def parcels(folder: Path, *, count: int = 3, patient: str = "edge-AAAA") -> list[Parcel]:
    """Write ``count`` instances of one study of ``patient`` below ``folder`` and return their parcels."""
    made = []
    slices = phantom.study(name="Nobody", patient_id=patient, born="19700101", when=_WHEN, slices=count)
    for number, (sop_instance, file) in enumerate(slices, 1):
        made.append(_parcel(folder, f"{patient}-{number}", number, sop_instance, file))
    return made


def changed(parcel: Parcel, description: str) -> Parcel:
    """Return another version of ``parcel``: the same UIDs, other bytes."""
    data = pydicom.dcmread(parcel.file)
    data.SeriesDescription = description
    path = parcel.file.with_name(f"{_out(parcel.out + description)}.dcm")
    data.save_as(path, enforce_file_format=True)
    return _parcel(path.parent, parcel.out + description, parcel.seq + 1000, parcel.sop_instance, path.read_bytes())


def damaged(parcel: Parcel) -> Parcel:
    """Return ``parcel`` with a Data Set that no destination can read."""
    whole, unreadable = parcel.file.read_bytes(), b"this is no data set"
    parcel.file.write_bytes(whole[: _data_set_at(whole)] + unreadable)
    return replace(parcel, size=parcel.file.stat().st_size, digest=hashlib.sha256(unreadable).hexdigest())


def spoil(file: Path, at: int = -1) -> None:
    """Turn one bit of the byte at ``at`` over, as a dying disk does."""
    body = bytearray(file.read_bytes())
    body[at] ^= 1
    file.write_bytes(body)


def data_set_digest(file: bytes) -> str:
    """Return the SHA-256 of the Data Set of a file that begins with preamble, prefix and a File Meta group length."""
    return hashlib.sha256(file[_data_set_at(file) :]).hexdigest()


def _data_set_at(file: bytes) -> int:
    return int(144 + struct.unpack_from("<I", file, 140)[0])


def _parcel(folder: Path, name: str, seq: int, sop_instance: str, file: bytes) -> Parcel:
    folder.mkdir(parents=True, exist_ok=True)
    out = _out(name)
    path = folder / f"{out}.dcm"
    path.write_bytes(file)
    data = pydicom.dcmread(path, stop_before_pixels=True)
    return Parcel(
        seq=seq,
        out=out,
        sop_class=str(data.SOPClassUID),
        sop_instance=sop_instance,
        study=str(data.StudyInstanceUID),
        series=str(data.SeriesInstanceUID),
        transfer_syntax=str(data.file_meta.TransferSyntaxUID),
        digest=data_set_digest(file),
        size=len(file),
        file=path,
        attempts=1,
    )


def _out(name: str) -> str:
    return "".join(chr(ord("a") + byte % 26) for byte in hashlib.sha256(name.encode()).digest()[:32])


def padded(folder: Path, *, count: int, size: int, patient: str, study_of: int = 100) -> list[Parcel]:
    """Return ``count`` parcels of about ``size`` bytes each, ``study_of`` a study: quickly, from one template."""
    [template] = parcels(folder, count=1, patient=patient)
    data = pydicom.dcmread(template.file)
    side = int((size / 2) ** 0.5)
    data.Rows = data.Columns = side
    data.PixelData = bytes(side * side * 2)
    made = []
    for number in range(count):
        study = number // study_of
        data.StudyInstanceUID = f"2.25.{_number(patient)}.{study}"
        data.SeriesInstanceUID = f"2.25.{_number(patient)}.{study}.1"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"2.25.{_number(patient)}.{study}.1.{number}"
        target = io.BytesIO()
        data.save_as(target, enforce_file_format=True)
        made.append(_parcel(folder, f"{patient} {number}", number, str(data.SOPInstanceUID), target.getvalue()))
    template.file.unlink()
    return made


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
