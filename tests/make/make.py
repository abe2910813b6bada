"""Invented instances of every kind, made with pydicom in memory. Nobody is in them.

    from tests.make import make
    data = make.ct(patient="Müller^Änne", frames=3)          a pydicom Dataset
    body = make.file(data, make.JPEG_BASELINE)               the bytes of a DICOM file
    path = make.stored(tmp_path / "x.dcm", data, preamble=False)

UIDs follow from ``seed``: the same call makes the same instance. Any attribute can be given by keyword:
``make.ct(SeriesDescription="…", AccessionNumber=None)``; None leaves it out.
"""

import struct
import zlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
UNKNOWN = "1.2.826.0.1.3680043.9.9999.1"  # private, encapsulated

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
PRIVATE_CLASS = "1.2.826.0.1.3680043.9.9999.5"


def uid(*seed: object) -> str:
    """A UID that follows from the seed."""
    return str(generate_uid(entropy_srcs=[str(part) for part in seed]))


def instance(
    sop_class: str,
    modality: str,
    *,
    patient: str = "Invented^Ines",
    patient_id: str = "P000123",
    seed: object = 0,
    study: object = None,
    series: object = None,
    number: int = 1,
    charset: str | list[str] | None = "ISO_IR 192",
    **more: Any,
) -> Dataset:
    """A composite instance without pixels: patient, study, series, equipment, SOP common."""
    data = Dataset()
    if charset is not None:
        data.SpecificCharacterSet = charset
    data.SOPClassUID, data.SOPInstanceUID = sop_class, uid("instance", seed, number, sop_class, patient_id)
    data.StudyInstanceUID = uid("study", patient_id, seed if study is None else study)
    data.SeriesInstanceUID = uid("series", patient_id, seed if series is None else series, modality)
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = patient, patient_id, "19500317", "F"
    data.PatientAge, data.PatientAddress, data.OtherPatientIDs = "074Y", "Lane 7", "OLD-77"
    data.StudyDate = data.SeriesDate = data.ContentDate = "20240229"
    data.StudyTime = data.SeriesTime = data.ContentTime = "101112"
    data.AccessionNumber, data.StudyID, data.ReferringPhysicianName = "ACC4711", "S1", "Referrer^Rita"
    data.StudyDescription, data.SeriesDescription = "Study of something", "Series of something"
    data.InstitutionName, data.StationName = "St. Elsewhere", "STATION1"
    data.Manufacturer, data.ManufacturerModelName, data.DeviceSerialNumber = "Phantom Works", "Model P", "SN-99"
    data.Modality, data.SeriesNumber, data.InstanceNumber = modality, 1, number
    _set(data, more)
    return data


def ct(*, frames: int = 1, size: int = 16, **more: Any) -> Dataset:
    """A CT image, 16 bit; with ``frames`` above 1 an Enhanced CT in name."""
    data = instance(CT if frames == 1 else ENHANCED_CT, "CT")
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.KVP, data.SliceThickness, data.PatientPosition = "120", "2", "HFS"
    data.ImagePositionPatient, data.ImageOrientationPatient = [-8, -8, 2], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.RescaleIntercept, data.RescaleSlope = [1, 1], -1024, 1
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = uid("frame", 0), ""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, uid("instance", 0, 2, CT, "P000123")
    data.ReferencedImageSequence = Sequence([reference])
    pixels(data, frames=frames, size=size)
    return _remade(data, more)


def mr(*, frames: int = 1, size: int = 16, **more: Any) -> Dataset:
    """An MR image, 16 bit."""
    data = instance(MR, "MR")
    data.ImageType, data.ScanningSequence, data.SequenceVariant = ["ORIGINAL", "PRIMARY", "M"], "SE", "NONE"
    data.ScanOptions, data.MRAcquisitionType, data.EchoTime, data.EchoTrainLength = "", "2D", "12", "1"
    data.ImagePositionPatient, data.ImageOrientationPatient = [-8, -8, 2], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.FrameOfReferenceUID, data.SliceThickness = [1, 1], uid("frame", 0), "2"
    pixels(data, frames=frames, size=size)
    return _remade(data, more)


def us(*, frames: int = 1, size: int = 16, **more: Any) -> Dataset:
    """An ultrasound image, RGB 8 bit, with a region."""
    data = instance(US if frames == 1 else US_MULTIFRAME, "US")
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 2
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = size - 1, size - 1
    data.SequenceOfUltrasoundRegions = Sequence([region])
    pixels(data, frames=frames, size=size, samples=3)
    return _remade(data, more)


def secondary_capture(*, size: int = 16, **more: Any) -> Dataset:
    """A secondary capture with burned-in annotation."""
    data = instance(SECONDARY_CAPTURE, "OT")
    data.ConversionType, data.BurnedInAnnotation = "WSD", "YES"
    pixels(data, size=size, samples=3)
    return _remade(data, more)


def sr(*, text: str = "Findings: none.", observer: str = "Reader^Rob", **more: Any) -> Dataset:
    """A structured report: container with an observer, a text, a date and a UID reference, two levels deep."""
    data = instance(SR, "SR")
    data.CompletionFlag, data.VerificationFlag, data.ValueType, data.ContinuityOfContent = (
        "COMPLETE",
        "UNVERIFIED",
        "CONTAINER",
        "SEPARATE",
    )
    data.ConceptNameCodeSequence = Sequence([code("18748-4", "LN", "Diagnostic imaging report")])
    person, words, day, referred, part = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    person.RelationshipType, person.ValueType, person.PersonName = "HAS OBS CONTEXT", "PNAME", observer
    person.ConceptNameCodeSequence = Sequence([code("121008", "DCM", "Person Observer Name")])
    words.RelationshipType, words.ValueType, words.TextValue = "CONTAINS", "TEXT", text
    words.ConceptNameCodeSequence = Sequence([code("121071", "DCM", "Finding")])
    day.RelationshipType, day.ValueType, day.Date = "CONTAINS", "DATE", "20240228"
    day.ConceptNameCodeSequence = Sequence([code("111060", "DCM", "Study Date")])
    referred.RelationshipType, referred.ValueType, referred.UID = "CONTAINS", "UIDREF", data.StudyInstanceUID
    referred.ConceptNameCodeSequence = Sequence([code("110180", "DCM", "Study Instance UID")])
    part.RelationshipType, part.ValueType, part.ContinuityOfContent = "CONTAINS", "CONTAINER", "SEPARATE"
    part.ConceptNameCodeSequence = Sequence([code("121070", "DCM", "Findings")])
    part.ContentSequence = Sequence([words, day, referred])
    data.ContentSequence = Sequence([person, part])
    return _remade(data, more)


def presentation_state(**more: Any) -> Dataset:
    """A greyscale softcopy presentation state with a text annotation."""
    data = instance(PRESENTATION, "PR")
    data.ContentLabel, data.ContentDescription, data.ContentCreatorName = "LABEL", "Marked by hand", "Reader^Rob"
    words, layer, graphic = Dataset(), Dataset(), Dataset()
    words.UnformattedTextValue, words.AnchorPointVisibility = "Ines 1950", "Y"
    words.AnchorPoint, words.AnchorPointAnnotationUnits = [1.0, 1.0], "PIXEL"
    graphic.GraphicLayer, graphic.TextObjectSequence = "L1", Sequence([words])
    layer.GraphicLayer, layer.GraphicLayerOrder, layer.GraphicLayerDescription = "L1", 1, "Layer of Rob"
    data.GraphicAnnotationSequence, data.GraphicLayerSequence = Sequence([graphic]), Sequence([layer])
    return _remade(data, more)


def pdf(**more: Any) -> Dataset:
    """An encapsulated PDF in name."""
    data = instance(PDF, "DOC")
    data.DocumentTitle, data.MIMETypeOfEncapsulatedDocument = "Letter about Ines", "application/pdf"
    data.EncapsulatedDocument = b"%PDF-1.4 Invented Ines %%EOF "
    return _remade(data, more)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def with_private(data: Dataset, creator: str = "PHANTOM PRIVATE", group: int = 0x0029) -> Dataset:
    """Add a private block: a text naming the patient, a sequence with a public name inside, bytes."""
    block = data.private_block(group, creator, create=True)
    block.add_new(0x01, "LO", str(data.get("PatientName", "")))
    inner = Dataset()
    inner.PatientName = data.get("PatientName", "")
    block.add_new(0x02, "SQ", Sequence([inner]))
    block.add_new(0x03, "OB", bytes(range(10)))
    return data


def pixels(data: Dataset, *, frames: int = 1, size: int = 16, samples: int = 1) -> None:
    """Add an image: 16 bit grey, or 8 bit RGB for three samples. Each frame differs."""
    depth = np.uint16 if samples == 1 else np.uint8
    shape = (frames, size, size) if samples == 1 else (frames, size, size, samples)
    values = (np.arange(int(np.prod(shape)), dtype=np.uint32) % 251).astype(depth).reshape(shape)
    data.SamplesPerPixel, data.PhotometricInterpretation = samples, "MONOCHROME2" if samples == 1 else "RGB"
    data.Rows = data.Columns = size
    bits = 16 if samples == 1 else 8
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, 0
    if samples > 1:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = values.tobytes()
    data["PixelData"].VR = "OW" if bits == 16 else "OB"


def fragmented(data: Dataset, *, extended: bool = False, table: bool = True, syntax: str = JPEG_BASELINE) -> Dataset:
    """Replace the pixels by streams that show nothing: a fragment for each frame, with a basic or extended table."""
    frames = [_stream(n, data, syntax) for n in range(int(data.get("NumberOfFrames", 1)))]
    if extended:
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        data.PixelData = encapsulate(frames, has_bot=table)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


def _stream(number: int, data: Dataset, syntax: str) -> bytes:
    """As it begins and ends in the syntax, and between them the frame's number: a walk through it finds its way."""
    body = bytes([number]) * (6 * number + 6)
    if syntax == RLE:
        lengths = (min(128, left) for left in range(data.Rows * data.Columns, 0, -128))
        runs = b"".join(bytes([257 - length if length > 1 else 0, number]) for length in lengths)
        return struct.pack("<16L", 1, 64, *[0] * 14) + runs
    if syntax.startswith(("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")):
        head = b"\xff\x4f\xff\x51\0\4\0\0\xff\x90\0\x0a\0\0" + bytes(6)
        return head + b"\xff\x93" + body + b"\xff\xd9"
    return b"\xff\xd8\xff\xda\0\3" + body + b"\xff\xd9"


def file(
    data: Dataset,
    syntax: str = EXPLICIT,
    *,
    preamble: bool | bytes = True,
    meta: bool = True,
    trailing: bytes = b"",
    **meta_elements: Any,
) -> bytes:
    """The bytes of a DICOM file of this Data Set in any transfer syntax.

    preamble  True: zeros; bytes: these 128; False: the file begins with group 2 (or, without meta, the Data Set)
    meta      False: no group 2
    """
    body = data_set(data, syntax)
    if not meta:
        head = b""
    else:
        told = FileMetaDataset()
        told.MediaStorageSOPClassUID = data.get("SOPClassUID", "")
        told.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", "")
        told.TransferSyntaxUID = UID(syntax)
        told.ImplementationClassUID = UID("1.2.826.0.1.3680043.9.9999.9")
        _set(told, meta_elements)
        target = DicomBytesIO()
        write_file_meta_info(target, told, enforce_standard=False)
        length = target.tell()
        head = struct.pack("<HH2sHL", 2, 0, b"UL", 4, length) + target.getvalue()
    before = (preamble if isinstance(preamble, bytes) else bytes(128)) + b"DICM" if preamble else b""
    return before + head + body + trailing


def data_set(data: Dataset, syntax: str = EXPLICIT) -> bytes:
    """The bytes of the Data Set alone, as a C-STORE carries them."""
    data = deepcopy(data)  # what follows changes elements in place
    native = syntax in (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
    if not native and "PixelData" in data and not data["PixelData"].is_undefined_length:
        fragmented(data, syntax=syntax)
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(target, data)
    body = target.getvalue()
    if syntax == DEFLATED:
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = stream.compress(body) + stream.flush()
        body += bytes(len(body) % 2)
    return body


def stored(path: Path, data: Dataset, syntax: str = EXPLICIT, **how: Any) -> Path:
    """Write ``file(…)`` to ``path`` and return it; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file(data, syntax, **how))
    return path


def _remade(data: Dataset, more: dict[str, Any]) -> Dataset:
    """Apply what the caller gave: words of ``instance`` first, then any attribute by keyword."""
    words = {"patient", "patient_id", "seed", "study", "series", "number", "charset"}
    base = instance(data.SOPClassUID, data.Modality, **{name: more[name] for name in more.keys() & words})
    if more.get("charset", "") is None:
        del data.SpecificCharacterSet
    data.update(base)
    _set(data, {name: value for name, value in more.items() if name not in words})
    return data


def _set(data: Dataset, more: dict[str, Any]) -> None:
    for name, value in more.items():
        if value is None:
            if name in data:
                delattr(data, name)
        else:
            setattr(data, name, value)
