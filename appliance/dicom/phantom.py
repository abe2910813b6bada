"""Invented studies to send through: for the demo, for ``doctor`` and for anyone who wants to see the way of an image.

Nobody is in them: names, numbers and pixels are made here.
"""

import io
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = 256  # rows and columns


def study(
    *, name: str, patient_id: str, born: str, when: datetime, slices: int = 4, institution: str = "St. Elsewhere"
) -> Iterator[tuple[str, bytes]]:
    """Yield (SOP Instance UID, DICOM file) for each slice of one CT series of an invented patient.

    name  as in PN: family^given. born: YYYYMMDD. UIDs follow from the arguments: the same call gives the same study.
    """
    seed = [patient_id, when.isoformat()]
    study_uid, series_uid, frame_uid = (
        generate_uid(entropy_srcs=[*seed, part]) for part in ("study", "series", "frame")
    )
    for number in range(1, slices + 1):
        data = Dataset()
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = generate_uid(entropy_srcs=[*seed, str(number)])
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = name, patient_id, born, "O"
        data.QualityControlSubject = "YES"  # a phantom: PS3.3 C.7.1.1
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study_uid, series_uid, frame_uid
        moment = when + timedelta(seconds=number)
        data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = f"{moment:%Y%m%d}"
        data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = f"{moment:%H%M%S}"
        data.AccessionNumber, data.StudyID = f"A{patient_id[-6:]}", "1"
        data.InstitutionName, data.ReferringPhysicianName = institution, "Referrer^Rita"
        data.Manufacturer, data.ManufacturerModelName = "Phantom Works", "Model P"
        data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", 1, number
        data.StudyDescription, data.SeriesDescription = f"CT thorax of {name}", "Phantom, axial"
        data.PositionReferenceIndicator, data.PatientPosition = "", "HFS"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.KVP, data.AcquisitionNumber, data.SliceThickness = "120", 1, "2"
        data.ImagePositionPatient = [-128, -128, number * 2]
        data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        data.RescaleIntercept, data.RescaleSlope = -1024, 1
        before = Dataset()
        before.ReferencedSOPClassUID = CTImageStorage
        before.ReferencedSOPInstanceUID = generate_uid(entropy_srcs=[*seed, str(max(1, number - 1))])
        data.ReferencedImageSequence = Sequence([before])
        _add_pixels(data, number, zlib.crc32(patient_id.encode()) % 500)
        yield data.SOPInstanceUID, _file(data)


def _add_pixels(data: Dataset, number: int, shade: int) -> None:
    """A disc whose radius grows with the slice and whose shade is the patient's: enough to tell all apart."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    distance = np.hypot(rows - SIZE / 2, columns - SIZE / 2)
    pixels = np.where(distance < 60 + 10 * number, 1064 + shade, 0).astype("<u2")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows = data.Columns = SIZE
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = pixels.tobytes()


def _file(data: Dataset) -> bytes:
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    target = io.BytesIO()
    dcmwrite(target, data, enforce_file_format=True)
    return target.getvalue()
