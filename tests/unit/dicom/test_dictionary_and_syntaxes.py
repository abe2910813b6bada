"""What the tables say of tags, keywords and transfer syntaxes."""

import pytest
from pydicom.datadict import DicomDictionary, dictionary_keyword
from pydicom.uid import UID, AllTransferSyntaxes

from appliance.dicom.dictionary import is_known, keyword_of, repeating, tag_of, vr_of
from appliance.dicom.syntaxes import syntax_of

# PS3.5 A.6, A.7 and the HTJ2K pair; pydicom 3.0 takes them for encapsulated ones.
JPIP = ("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205")


@pytest.mark.parametrize(
    ("tag", "vr", "keyword"),
    [
        (0x00100010, "PN", "PatientName"),
        (0x00080005, "CS", "SpecificCharacterSet"),
        (0x7FE00010, "OW", "PixelData"),
        (0x00280106, "US", "SmallestImagePixelValue"),
        (0x60003000, "OW", "OverlayData"),
        (0x601E0010, "US", "OverlayRows"),
        (0x50003000, "OW", "CurveData"),
        (0x002031AB, "CS", "SourceImageIDs"),
        (0x00100000, "UL", ""),
        (0x00290010, "LO", ""),
        (0x00291010, "UN", ""),
        (0x00120FFF, "UN", ""),
        (0x60010010, "LO", ""),
    ],
)
def test_a_tag_has_a_vr_and_a_keyword(tag: int, vr: str, keyword: str) -> None:
    assert (vr_of(tag), keyword_of(tag)) == (vr, keyword)


def test_every_keyword_of_the_dictionary_leads_back_to_its_tag() -> None:
    for tag in DicomDictionary:
        if keyword := dictionary_keyword(tag):
            assert keyword_of(tag) == keyword
            assert tag_of(keyword) is not None
            assert is_known(tag)


def test_a_keyword_of_many_groups_has_the_first_and_its_mask() -> None:
    assert tag_of("OverlayRows") == 0x60000010
    mask, digits = repeating("OverlayRows") or (0, 1)
    assert 0x60FE0010 & mask == digits
    assert repeating("Rows") is None


@pytest.mark.parametrize("keyword", ["patientname", "Patientname", "", "NoSuchThing"])
def test_what_is_no_keyword_has_no_tag(keyword: str) -> None:
    assert tag_of(keyword) is None


@pytest.mark.parametrize("uid", [str(uid) for uid in AllTransferSyntaxes])
def test_each_transfer_syntax_of_pydicom_is_known_and_laid_out_as_it_says(uid: str) -> None:
    syntax = syntax_of(uid)

    assert syntax.known
    assert syntax.implicit == UID(uid).is_implicit_VR
    assert syntax.little_endian == UID(uid).is_little_endian
    if uid not in JPIP:
        assert syntax.deflated == UID(uid).is_deflated
        assert syntax.encapsulated == UID(uid).is_encapsulated


def test_jpip_has_no_fragments_and_its_second_kind_is_deflated() -> None:
    assert [(syntax_of(uid).encapsulated, syntax_of(uid).deflated) for uid in JPIP] == [
        (False, False),
        (False, True),
    ] * 2


@pytest.mark.parametrize("uid", ["", "1.2.3", "nonsense", "1.2.840.10008.5.1.4.1.1.2"])
def test_any_other_uid_is_taken_for_a_compressed_syntax_that_is_not_known(uid: str) -> None:
    syntax = syntax_of(uid)

    assert (syntax.known, syntax.implicit, syntax.encapsulated, syntax.deflated) == (False, False, True, False)


def test_the_private_implicit_syntax_of_ge_is_read_as_implicit() -> None:
    assert syntax_of("1.2.840.113619.5.2").implicit
    assert syntax_of("1.2.840.113619.5.2").known
