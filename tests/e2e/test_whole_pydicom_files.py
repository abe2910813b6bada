"""Every file that ships with pydicom is dropped into the inbox; each is delivered or kept back for the right reason."""

import re
import shutil
import warnings
from fnmatch import fnmatch
from pathlib import Path

import pydicom
import pytest

from appliance.deid.ruleset import read_rules
from tests.make import pictures
from tests.peers.appliance_process import Appliance
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S

DATA = Path(pydicom.__file__).parent / "data"
FILES = sorted(path for path in DATA.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"})

# Path below pydicom's data -> what becomes of it; the first pattern that fits counts. Each was looked at by hand.
TABLE = {
    # Plain images, reports, plans and waveforms of somebody with a Patient ID.
    "charset_files/chrJapMulti.dcm": "delivered",
    "charset_files/chrJapMultiExplicitIR6.dcm": "delivered",
    "charset_files/chrKoreanMulti.dcm": "delivered",
    "test_files/693_J2KI.dcm": "delivered",
    "test_files/CT_small.dcm": "delivered",
    "test_files/J2K_pixelrep_mismatch.dcm": "delivered",
    "test_files/MR_small.dcm": "delivered",
    "test_files/MR_small_RLE.dcm": "delivered",
    "test_files/MR_small_bigendian.dcm": "delivered",
    "test_files/MR_small_expb.dcm": "delivered",
    "test_files/MR_small_implicit.dcm": "delivered",
    "test_files/MR_small_jp2klossless.dcm": "delivered",
    "test_files/MR_small_jpeg_ls_lossless.dcm": "delivered",
    "test_files/MR_small_padded.dcm": "delivered",  # bytes after the last element are dropped
    "test_files/badVR.dcm": "malformed",  # its Number of Frames is none: where its pixels end is not told
    "test_files/dicomdirtests/77654033/C*": "delivered",
    "test_files/dicomdirtests/98892001/CT*": "delivered",
    "test_files/dicomdirtests/98892003/MR*": "delivered",
    "test_files/dicomdirtests/TINY_ALPHA/PT000000/*": "delivered",
    "test_files/examples_overlay.dcm": "delivered",  # an MR; its overlay plane (60xx,3000) is removed by the profile
    "test_files/liver_1frame.dcm": "delivered",
    "test_files/liver_expb_1frame.dcm": "delivered",
    "test_files/rtdose*.dcm": "delivered",
    "test_files/rtplan.dcm": "delivered",
    "test_files/rtstruct.dcm": "delivered",
    "test_files/waveform_ecg.dcm": "delivered",
    # Secondary captures, or said to be made by one (Conversion Type WSD, SYN); ultrasound: looked at, and cleaned.
    "charset_files/chrSQEncoding*.dcm": "missing-uid",  # a sequence and nothing else
    "charset_files/chr*.dcm": "delivered",
    "test_files/JPEG-lossy.dcm": "delivered",
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": "pixels-undecodable",  # a stream of too many tiles
    "test_files/JPEG2000*.dcm": "delivered",
    "test_files/JPGExtended.dcm": "delivered",
    "test_files/SC_rgb_dcmtk_*.dcm": "delivered",
    "test_files/SC_rgb_gdcm_KY.dcm": "delivered",
    "test_files/SC_rgb_jpeg_dcmtk.dcm": "delivered",
    "test_files/SC_rgb_jpeg_gdcm.dcm": "delivered",
    "test_files/SC_rgb_jpeg_lossy_gdcm.dcm": "delivered",
    "test_files/SC_rgb_rle*.dcm": "delivered",
    "test_files/SC_rgb_small_odd*.dcm": "delivered",
    "test_files/SC_ybr_full_422_uncompressed.dcm": "delivered",
    "test_files/examples_jpeg2k.dcm": "delivered",
    "test_files/examples_palette.dcm": "delivered",
    "test_files/examples_rgb_color.dcm": "delivered",
    "test_files/examples_ybr_color.dcm": "rule",  # a cine: by a rule of this site, because thirty frames take a minute
    # Patient ID empty or absent: that counts before anything that the pixels may show.
    "test_files/ExplVR_*End*.dcm": "no-patient-id",
    "test_files/GDCMJ2K_TextGBR.dcm": "no-patient-id",
    "test_files/SC_jpeg_no_color_transform*.dcm": "no-patient-id",
    "test_files/SC_rgb_jpeg_app14_dcmd.dcm": "no-patient-id",
    "test_files/SC_rgb_jpeg_dcmd.dcm": "no-patient-id",
    "test_files/image_dfl.dcm": "no-patient-id",
    "test_files/reportsi*.dcm": "no-patient-id",
    "test_files/test-SR.dcm": "no-patient-id",
    # The File Meta names an instance, the Data Set lacks study and series, or everything.
    "test_files/JPEGLSNearLossless_*.dcm": "missing-uid",
    "test_files/SC_rgb_jls_lossy_*.dcm": "missing-uid",
    "test_files/UN_sequence.dcm": "missing-uid",
    "test_files/no_meta_group_length.dcm": "missing-uid",
    "test_files/priv_SQ.dcm": "missing-uid",
    # No SOP Class and SOP Instance UID anywhere: the inbox cannot say what it would take.
    "test_files/empty_charset_LEI.dcm": "not taken: no-uid",
    "test_files/nested_priv_SQ.dcm": "not taken: no-uid",
    # A colour palette belongs to no patient.
    "palettes/*.dcm": "not-forwardable",
    # Bytes that contradict themselves; what begins well is taken and found later, with the whole file at hand.
    "test_files/MR_truncated.dcm": "malformed",
    "test_files/rtplan_truncated.dcm": "malformed",
    "test_files/SC_rgb_jpeg.dcm": "not taken: malformed",  # says explicit VR, is implicit
    "test_files/meta_missing_tsyntax.dcm": "not taken: malformed",  # names no transfer syntax
    "test_files/dicomdirtests/DICOMDIR-nooffset": "not taken: malformed",  # bytes taken out, lengths left as they were
    "test_files/no_meta.dcm": "not taken: not-dicom",  # a stray byte before the first element
    # Media directories: a checklist. What they list is not beside them here.
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": "media directory",
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": "media directory, 50 missing",
    "test_files/dicomdirtests/DICOMDIR*": "media directory, 31 missing",
    # No DICOM at all.
    "test_files/zipMR.gz": "not taken: archive-kind",  # one gzipped file, neither tar nor zip
    "*.txt": "not taken: not-dicom",
    "*.md": "not taken: not-dicom",
    "*.json": "not taken: not-dicom",
    "*.dump": "not taken: not-dicom",
    "*.icc": "not taken: not-dicom",
    "test_files/dicomdirtests/TINY_ALPHA/README": "not taken: not-dicom",
}


def name_of(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def expected(name: str) -> str:
    return next((outcome for pattern, outcome in TABLE.items() if fnmatch(name, pattern)), "not in the table")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Each file as an item of its own, so that the receipts tell what became of it. Waits until all is settled."""
    folder = tmp_path_factory.mktemp("pydicom")
    with (
        Orthanc(folder / "orthanc", overwrite=True) as orthanc,
        Appliance(
            folder / "edge",
            [{"name": "cloud", "url": orthanc.dicomweb, "existing": "replaced"}],
            rules=str(_rules(folder / "rules.yaml")),
        ) as edge,
    ):  # fmt: skip
        for number, path in enumerate(FILES):
            item = folder / "items" / str(number)
            item.mkdir(parents=True)
            shutil.copyfile(path, item / path.name)
            edge.drop(item)
        edge.until(lambda: len(edge.receipts()) == len(FILES), "a receipt of each")
        taken = sum(" 1 taken" in f" {text}" for text in map(_upper, edge.receipts()))
        edge.until_settled(taken, 5 * PATIENCE_S)  # some forty of them are searched for text
        edge.until(lambda: not any("on their way" in text for text in edge.receipts()), "told in the receipts")
        yield edge, orthanc


def _rules(file: Path) -> Path:
    """The packaged rules, and that a long cine waits for a person."""
    text = read_rules(None).text
    text = text.replace(
        "\nLabels:\n",
        "\nLabels:\n  - {Name: cine, DICOMQueryFilter: Modality StrEquals US AND NumberOfFrames NbGreater 10}\n",
        1,
    )
    text = text.replace("\nQuarantine:\n", "\nQuarantine:\n  - {Labels: cine, Why: it takes long}\n", 1)
    file.write_text(text)
    return file


def _upper(text: str) -> str:
    return text.partition("What became")[0].partition("\n\n")[2]


@pytest.fixture(scope="module")
def outcomes(house):
    """Name -> what its receipt says of it."""
    edge, _ = house
    found = {}
    for text in edge.receipts():
        (number,) = re.findall(r'^Receipt for item \d+: "(\d+)"$', text, re.MULTILINE)
        found[name_of(FILES[int(number)])] = _told(text)
    return found


def _told(text: str) -> str:
    refused = re.findall(r"^1 x ([a-z-]+)\.", text, re.MULTILINE)
    lower = text.partition("What became")[2]
    became = re.findall(r"^  1 (?:\w+: ([a-z-]+)\.|(delivered)\.)", lower, re.MULTILINE)
    missing = re.findall(r"^(\d+) listed in the DICOMDIR, but not there", text, re.MULTILINE)
    told = [f"not taken: {code}" for code in refused] + [code or delivered for code, delivered in became]
    if "1 media directory" in text:
        told.append(f"media directory, {missing[0]} missing" if missing else "media directory")
    return " and ".join(told)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_of_pydicom_is_delivered_or_kept_back_for_the_right_reason(outcomes, path):
    assert outcomes[name_of(path)] == expected(name_of(path))


def test_none_is_unaccounted_for(house, outcomes):
    edge, _ = house
    taken = [told for told in outcomes.values() if not told.startswith(("not taken", "media"))]

    states = edge.states()

    assert len(outcomes) == len(FILES)
    assert states == {"FORWARDED": taken.count("delivered"), "QUARANTINED": len(taken) - taken.count("delivered")}
    reasons = {each["reason"]: each["count"] for each in edge.queue()["reasons"]}
    assert reasons == {reason: taken.count(reason) for reason in set(taken) - {"delivered"}}


def test_the_table_holds_no_line_that_fits_no_file():
    used = {next(pattern for pattern in TABLE if fnmatch(name_of(path), pattern)) for path in FILES}

    assert set(TABLE) - used == set()


def test_nothing_delivered_names_a_patient_or_has_other_pixels_than_it_had_unless_somebody_looked(house):
    _, orthanc = house
    words, pixels = _originals()
    got = {uid: orthanc.file(uid) for uid in orthanc.instances()}

    assert len(got) > 90
    assert {uid: word for uid, body in got.items() for word in words if word in body} == {}
    untouched = {uid: body for uid, body in got.items() if not _was_looked_at(body)}
    assert len(got) - len(untouched) > 30
    assert [uid for uid, body in untouched.items() if _pixels(body) not in pixels] == []


def _was_looked_at(body: bytes) -> bool:
    with warnings.catch_warnings(action="ignore"):
        codes = pictures.read(body).DeidentificationMethodCodeSequence
        return "113101" in {item.CodeValue for item in codes}


def _originals() -> tuple[set[bytes], set[tuple[str, bytes] | None]]:
    """Names and numbers of the patients as they stand in the files, if too long for chance; pixels of every image."""
    words, pixels = set(), set()
    for path in FILES:
        if expected(name_of(path)) == "delivered":
            with warnings.catch_warnings(action="ignore"):
                data = pictures.read(path.read_bytes())
                words |= {bytes(data.get("PatientName", pydicom.valuerep.PersonName("")).original_string)}
                words |= {str(data.PatientID).encode()}
                pixels.add(_pixels(path.read_bytes()))
    return {word for word in words if len(word) > 5} - {b"Anonymous"}, pixels


def _pixels(body: bytes) -> tuple[str, bytes] | None:
    return pictures.pixel_bits(body) if "PixelData" in pictures.read(body) else None
