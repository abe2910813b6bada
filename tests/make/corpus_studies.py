"""The studies of the corpus before anything is planted: what refers to what, and what research needs of it."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.make import make
from tests.make.corpus_people import Person

PT = "1.2.840.10008.5.1.4.1.1.128"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SLICES = 7

_ALWAYS = ("SOPClassUID", "Modality", "PatientSex", "PatientAge", "PatientWeight", "Manufacturer", "StudyTime",
           "BodyPartExamined", "InstanceNumber")  # fmt: skip
_IMAGE = ("Rows", "Columns", "PixelData", "ImageType", "BitsStored")
RESEARCH = {  # attributes that the default profile keeps, by modality
    "CT": (*_IMAGE, "KVP", "SliceThickness", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
           "RescaleSlope", "RescaleIntercept", "ConvolutionKernel", "XRayTubeCurrent", "Exposure", "PatientPosition"),
    "MR": (*_IMAGE, "EchoTime", "RepetitionTime", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency",
           "PixelSpacing", "SliceThickness", "ScanningSequence", "EchoTrainLength", "SequenceName"),
    "PT": (*_IMAGE, "Units", "DecayCorrection", "FrameReferenceTime", "RescaleSlope", "PixelSpacing",
           "RadiopharmaceuticalInformationSequence/0/RadionuclideTotalDose",
           "RadiopharmaceuticalInformationSequence/0/RadionuclideHalfLife"),
    # Of the pixels only those within the regions.
    "US": ("Rows", "Columns", "ImageType", "BitsStored", "SequenceOfUltrasoundRegions/0/RegionLocationMaxX1"),
    "CR": (*_IMAGE, "ViewPosition", "ImagerPixelSpacing", "KVP"),
    "RTSTRUCT": ("ROIContourSequence/0/ContourSequence/0/ContourData", "ROIContourSequence/0/ReferencedROINumber",
                 "StructureSetROISequence/0/ROINumber", "StructureSetROISequence/0/ROIGenerationAlgorithm",
                 "RTROIObservationsSequence/0/RTROIInterpretedType"),
    "SEG": (*_IMAGE, "SegmentSequence/0/SegmentNumber",
            "SegmentSequence/0/SegmentedPropertyTypeCodeSequence/0/CodeValue",
            "SegmentSequence/0/SegmentedPropertyTypeCodeSequence/0/CodeMeaning"),
    "SR": ("CompletionFlag", "ConceptNameCodeSequence/0/CodeValue", "ConceptNameCodeSequence/0/CodeMeaning",
           "ContentSequence/2/MeasuredValueSequence/0/NumericValue",
           "ContentSequence/2/ConceptNameCodeSequence/0/CodeMeaning",
           "ContentSequence/1/ContentSequence/0/ConceptNameCodeSequence/0/CodeValue"),
    "PR": ("ContentLabel", "GraphicLayerSequence/0/GraphicLayerOrder", "GraphicAnnotationSequence/0/GraphicLayer",
           "GraphicAnnotationSequence/0/GraphicObjectSequence/0/GraphicData"),
    "KO": ("ConceptNameCodeSequence/0/CodeValue", "ContentSequence/0/ValueType"),
    "DOC": (), "OT": _IMAGE,
}  # fmt: skip


def research(data: Dataset) -> tuple[str, ...]:
    """Paths of the attributes of this instance that must survive."""
    return tuple(path for path in (*_ALWAYS, *RESEARCH[data.Modality]) if at(data, path) not in (None, ""))


def at(data: Dataset, path: str) -> Any:
    """The value at a path like ``A/0/B``; None where there is none."""
    place: Any = data
    for part in path.split("/"):
        if part.isdigit():
            if not isinstance(place, Sequence) or int(part) >= len(place):
                return None
            place = place[int(part)]
        else:
            if not isinstance(place, Dataset) or part not in place:
                return None
            place = place[part].value
    return place


def item(**values: Any) -> Dataset:
    """A sequence item."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def reference(to: Dataset) -> Dataset:
    """An item that refers to an instance."""
    return item(ReferencedSOPClassUID=to.SOPClassUID, ReferencedSOPInstanceUID=to.SOPInstanceUID)


def studies_of(person: Person, number: int) -> Iterator[tuple[str, Dataset, list[tuple[str, str]]]]:
    """Yield (name, instance, [(path of a UID, original UID)]) for both studies of a patient."""
    earlier: Dataset | None = None
    for study in (0, 1):
        first = None
        for name, data, told in _study(person, number, study, earlier):
            first = first or data
            yield name, data, told
        earlier = first


def _study(
    person: Person, number: int, study: int, earlier: Dataset | None
) -> Iterator[tuple[str, Dataset, list[tuple[str, str]]]]:
    day = date(2018, 1, 9) + timedelta(days=411 * number + 97 * study + number)
    seed = f"{number}-{study}"
    base = _base(person, seed, day)
    label = f"p{number}s{study}"
    scans = [_ct(base, seed, slice_) for slice_ in range(SLICES)]
    for slice_, scan in enumerate(scans):
        near = scans[slice_ - 1]
        scan.ReferencedImageSequence = Sequence([reference(near)])
        told = [("ReferencedImageSequence/0/ReferencedSOPInstanceUID", near.SOPInstanceUID)]
        yield f"{label}-ct{slice_}", scan, [*told, *_own(scan)]
    others = {
        "mr": [_mr(base, seed, slice_) for slice_ in range(3)],
        "pt": [_pt(base, seed)],
        "us": [_us(base, seed)],
        "cr": [_cr(base, seed)],
        "sc": [make.secondary_capture(**base, seed=seed, series="sc")],
        "pdf": [make.pdf(**base, seed=seed, series="pdf")],
    }
    for kind, made in others.items():
        for count, data in enumerate(made):
            yield f"{label}-{kind}{count}", _finished(data, day), _own(data)
    for kind, data, told in (
        ("rt", *_rtstruct(base, seed, scans)),
        ("seg", *_seg(base, seed, scans)),
        ("sr", *_sr(base, seed, scans, earlier)),
        ("pr", *_pr(base, seed, scans)),
        ("ko", *_ko(base, seed, scans)),
    ):
        yield f"{label}-{kind}", _finished(data, day), [*told, *_own(data)]


def _own(data: Dataset) -> list[tuple[str, str]]:
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    return [(keyword, data[keyword].value) for keyword in keywords if keyword in data]


def _base(person: Person, seed: str, day: date) -> dict[str, Any]:
    return {
        "patient": person.name, "patient_id": person.number, "charset": person.charset, "study": seed,
        "PatientBirthDate": person.born, "PatientSex": "F", "PatientAge": "061Y", "PatientWeight": "71.5",
        "StudyDate": f"{day:%Y%m%d}", "SeriesDate": f"{day:%Y%m%d}", "ContentDate": f"{day:%Y%m%d}",
        "AcquisitionDateTime": f"{day + timedelta(days=1):%Y%m%d}081530.25", "BodyPartExamined": "CHEST",
        "Manufacturer": "SIEMENS", "ManufacturerModelName": "SOMATOM Force", "SoftwareVersions": "VA50A",
        "OtherPatientIDs": None, "StudyDescription": "CT Thorax", "SeriesDescription": "Thorax 1.5 mm",
    }  # fmt: skip


def _finished(data: Dataset, day: date) -> Dataset:
    if data.Modality in ("DOC", "OT", "KO", "PR"):
        del data.BodyPartExamined
    if data.Modality == "PR":
        data.PresentationCreationDate = f"{day:%Y%m%d}"
    return data


def _ct(base: dict[str, Any], seed: str, slice_: int) -> Dataset:
    data = make.ct(**base, seed=f"{seed}-{slice_}", series=seed, number=slice_ + 1, size=8)
    data.FrameOfReferenceUID = make.uid("frame", base["patient_id"], seed)
    data.ConvolutionKernel, data.XRayTubeCurrent, data.Exposure = "Br40d", "120", "88"
    data.ImagePositionPatient = [-8, -8, 2 * slice_]
    block = data.private_block(0x0019, "GEMS_ACQU_01", create=True)
    block.add_new(0x23, "DS", "55.5")  # Table Speed, on the list of safe private attributes
    return data


def _mr(base: dict[str, Any], seed: str, slice_: int) -> Dataset:
    data = make.mr(**base, seed=f"{seed}-{slice_}", series=f"{seed}mr", number=slice_ + 1, size=8)
    data.FrameOfReferenceUID = make.uid("frame", base["patient_id"], seed)
    data.RepetitionTime, data.FlipAngle, data.MagneticFieldStrength = "500", "90", "1.5"
    data.ImagingFrequency, data.SequenceName, data.BodyPartExamined = "63.86", "tse2d1_5", "HEAD"
    return data


def _pt(base: dict[str, Any], seed: str) -> Dataset:
    data = make.instance(PT, "PT", seed=seed)
    make.pixels(data, size=8)
    data = make._remade(data, {**base, "seed": seed, "series": f"{seed}pt"})
    data.ImageType, data.Units, data.DecayCorrection = ["ORIGINAL", "PRIMARY"], "BQML", "START"
    data.FrameReferenceTime, data.RescaleSlope, data.RescaleIntercept, data.PixelSpacing = "1500", "1.5", "0", [4, 4]
    start = data.AcquisitionDateTime[:8] + "071500"
    data.RadiopharmaceuticalInformationSequence = Sequence(
        [item(RadiopharmaceuticalStartDateTime=start, RadionuclideTotalDose="370000000", RadionuclideHalfLife="6586")]
    )
    return data


def _us(base: dict[str, Any], seed: str) -> Dataset:
    return make.us(**base, seed=seed, series=f"{seed}us", size=8)


def _cr(base: dict[str, Any], seed: str) -> Dataset:
    data = make.instance(make.CR, "CR", seed=seed)
    make.pixels(data, size=8)
    data = make._remade(data, {**base, "seed": seed, "series": f"{seed}cr"})
    data.ImageType, data.ViewPosition, data.ImagerPixelSpacing, data.KVP = ["ORIGINAL", "PRIMARY"], "PA", [0.1, 0.1], 90
    return data


def _rtstruct(base: dict[str, Any], seed: str, scans: list[Dataset]) -> tuple[Dataset, list[tuple[str, str]]]:
    data = make._remade(make.instance(RTSTRUCT, "RTSTRUCT"), {**base, "seed": seed, "series": f"{seed}rt"})
    frame = scans[0].FrameOfReferenceUID
    data.StructureSetLabel, data.StructureSetDate, data.StructureSetTime = "Lung", base["StudyDate"], "1200"
    series = item(SeriesInstanceUID=scans[0].SeriesInstanceUID,
                  ContourImageSequence=Sequence([reference(scan) for scan in scans]))  # fmt: skip
    study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=scans[0].StudyInstanceUID,
                 RTReferencedSeriesSequence=Sequence([series]))  # fmt: skip
    data.ReferencedFrameOfReferenceSequence = Sequence(
        [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=Sequence([study]))]
    )
    data.StructureSetROISequence = Sequence(
        [item(ROINumber=1, ReferencedFrameOfReferenceUID=frame, ROIName="Lung left", ROIGenerationAlgorithm="MANUAL")]
    )
    contour = item(ContourImageSequence=Sequence([reference(scans[1])]), ContourGeometricType="CLOSED_PLANAR",
                   NumberOfContourPoints=3, ContourData=[1, 2, 2, 3, 2, 2, 3, 4, 2])  # fmt: skip
    data.ROIContourSequence = Sequence([item(ReferencedROINumber=1, ContourSequence=Sequence([contour]))])
    data.RTROIObservationsSequence = Sequence(
        [item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="ORGAN", ROIInterpreter="")]
    )
    deep = "ReferencedFrameOfReferenceSequence/0/RTReferencedStudySequence/0"
    told = [
        ("ReferencedFrameOfReferenceSequence/0/FrameOfReferenceUID", frame),
        ("StructureSetROISequence/0/ReferencedFrameOfReferenceUID", frame),
        (f"{deep}/ReferencedSOPInstanceUID", scans[0].StudyInstanceUID),
        (f"{deep}/RTReferencedSeriesSequence/0/SeriesInstanceUID", scans[0].SeriesInstanceUID),
        ("ROIContourSequence/0/ContourSequence/0/ContourImageSequence/0/ReferencedSOPInstanceUID",
         scans[1].SOPInstanceUID),
    ]  # fmt: skip
    images = f"{deep}/RTReferencedSeriesSequence/0/ContourImageSequence"
    told += [(f"{images}/{n}/ReferencedSOPInstanceUID", scan.SOPInstanceUID) for n, scan in enumerate(scans)]
    return data, told


def _seg(base: dict[str, Any], seed: str, scans: list[Dataset]) -> tuple[Dataset, list[tuple[str, str]]]:
    data = make.instance(SEG, "SEG")
    make.pixels(data, size=8, frames=2)
    data = make._remade(data, {**base, "seed": seed, "series": f"{seed}seg"})
    data.PixelData = np.zeros(128, dtype=np.uint16).tobytes()
    data.ImageType, data.ContentLabel, data.SegmentationType = ["DERIVED", "PRIMARY"], "LUNG", "FRACTIONAL"
    data.FrameOfReferenceUID = scans[0].FrameOfReferenceUID
    series = item(SeriesInstanceUID=scans[0].SeriesInstanceUID,
                  ReferencedInstanceSequence=Sequence([reference(scan) for scan in scans]))  # fmt: skip
    data.ReferencedSeriesSequence = Sequence([series])
    data.SegmentSequence = Sequence(
        [item(SegmentNumber=1, SegmentLabel="Lung", SegmentAlgorithmType="MANUAL",
              SegmentedPropertyTypeCodeSequence=Sequence([make.code("39607008", "SCT", "Lung")]))]
    )  # fmt: skip
    source = item(SourceImageSequence=Sequence([reference(scans[2])]))
    frame = item(DerivationImageSequence=Sequence([source]))
    data.PerFrameFunctionalGroupsSequence = Sequence([frame, item(DerivationImageSequence=Sequence([]))])
    deep = "PerFrameFunctionalGroupsSequence/0/DerivationImageSequence/0/SourceImageSequence/0"
    told = [("ReferencedSeriesSequence/0/SeriesInstanceUID", scans[0].SeriesInstanceUID),
            (f"{deep}/ReferencedSOPInstanceUID", scans[2].SOPInstanceUID)]  # fmt: skip
    inside = "ReferencedSeriesSequence/0/ReferencedInstanceSequence"
    return data, told + [
        (f"{inside}/{n}/ReferencedSOPInstanceUID", scan.SOPInstanceUID) for n, scan in enumerate(scans)
    ]


def _evidence(scans: list[Dataset]) -> Dataset:
    series = item(SeriesInstanceUID=scans[0].SeriesInstanceUID,
                  ReferencedSOPSequence=Sequence([reference(scan) for scan in scans]))  # fmt: skip
    return item(StudyInstanceUID=scans[0].StudyInstanceUID, ReferencedSeriesSequence=Sequence([series]))


def _told_evidence(at_: str, scans: list[Dataset]) -> list[tuple[str, str]]:
    inside = f"{at_}/ReferencedSeriesSequence/0"
    return [(f"{at_}/StudyInstanceUID", scans[0].StudyInstanceUID),
            (f"{inside}/SeriesInstanceUID", scans[0].SeriesInstanceUID),
            *((f"{inside}/ReferencedSOPSequence/{n}/ReferencedSOPInstanceUID", scan.SOPInstanceUID)
              for n, scan in enumerate(scans))]  # fmt: skip


def _image(scan: Dataset) -> Dataset:
    return item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=Sequence([reference(scan)]))


def _sr(
    base: dict[str, Any], seed: str, scans: list[Dataset], earlier: Dataset | None
) -> tuple[Dataset, list[tuple[str, str]]]:
    data = make.sr(**base, seed=seed, series=f"{seed}sr", text="Lung with nodule 5 mm.")
    del data.BodyPartExamined
    length = make.code("410668003", "SCT", "Length")
    measured = item(RelationshipType="CONTAINS", ValueType="NUM", ConceptNameCodeSequence=Sequence([length]))
    unit = make.code("mm", "UCUM", "millimeter")
    measured.MeasuredValueSequence = Sequence(
        [item(NumericValue="12.5", MeasurementUnitsCodeSequence=Sequence([unit]))]
    )
    data.ContentSequence.extend([measured, _image(scans[3])])
    data.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(scans[:4])])
    told = [("ContentSequence/3/ReferencedSOPSequence/0/ReferencedSOPInstanceUID", scans[3].SOPInstanceUID),
            ("ContentSequence/1/ContentSequence/2/UID", data.StudyInstanceUID),
            *_told_evidence("CurrentRequestedProcedureEvidenceSequence/0", scans[:4])]  # fmt: skip
    data.ContentSequence[1].ContentSequence[1].Date = base["StudyDate"]
    data.ContentSequence[1].ContentSequence[2].UID = data.StudyInstanceUID
    if earlier is not None:
        data.ContentSequence.append(_image(earlier))
        data.PertinentOtherEvidenceSequence = Sequence([_evidence([earlier])])
        told.append(("ContentSequence/4/ReferencedSOPSequence/0/ReferencedSOPInstanceUID", earlier.SOPInstanceUID))
        told += _told_evidence("PertinentOtherEvidenceSequence/0", [earlier])
    return data, told


def _pr(base: dict[str, Any], seed: str, scans: list[Dataset]) -> tuple[Dataset, list[tuple[str, str]]]:
    data = make.presentation_state(**base, seed=seed, series=f"{seed}pr")
    series = item(SeriesInstanceUID=scans[0].SeriesInstanceUID,
                  ReferencedImageSequence=Sequence([reference(scan) for scan in scans[:2]]))  # fmt: skip
    data.ReferencedSeriesSequence = Sequence([series])
    drawn = item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2,
                 GraphicData=[1.0, 2.0, 3.0, 4.0], GraphicType="POLYLINE", GraphicFilled="N")  # fmt: skip
    data.GraphicAnnotationSequence[0].GraphicObjectSequence = Sequence([drawn])
    data.GraphicAnnotationSequence[0].ReferencedImageSequence = Sequence([reference(scans[0])])
    told = [("ReferencedSeriesSequence/0/SeriesInstanceUID", scans[0].SeriesInstanceUID)]
    told.append(("GraphicAnnotationSequence/0/ReferencedImageSequence/0/ReferencedSOPInstanceUID",
                 scans[0].SOPInstanceUID))  # fmt: skip
    inside = "ReferencedSeriesSequence/0/ReferencedImageSequence"
    return data, told + [
        (f"{inside}/{n}/ReferencedSOPInstanceUID", scan.SOPInstanceUID) for n, scan in enumerate(scans[:2])
    ]


def _ko(base: dict[str, Any], seed: str, scans: list[Dataset]) -> tuple[Dataset, list[tuple[str, str]]]:
    data = make._remade(make.instance(make.KEY_OBJECTS, "KO"), {**base, "seed": seed, "series": f"{seed}ko"})
    data.ValueType, data.ContinuityOfContent = "CONTAINER", "SEPARATE"
    data.ConceptNameCodeSequence = Sequence([make.code("113000", "DCM", "Of Interest")])
    data.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(scans[:3])])
    data.ContentSequence = Sequence([_image(scan) for scan in scans[:3]])
    told = _told_evidence("CurrentRequestedProcedureEvidenceSequence/0", scans[:3])
    return data, told + [
        (f"ContentSequence/{n}/ReferencedSOPSequence/0/ReferencedSOPInstanceUID", scan.SOPInstanceUID)
        for n, scan in enumerate(scans[:3])
    ]
