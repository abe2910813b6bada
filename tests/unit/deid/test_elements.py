"""Element by element: what is kept is kept as it was, what is replaced is valid, what is unknown goes."""

import io

import pydicom
import pytest
from pydicom.sequence import Sequence

from appliance.deid.engine import Engine
from appliance.deid.outcome import Deidentified, Report
from appliance.deid.private import SafePrivate
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.ruleset import load_rules
from appliance.dicom.element import Bulk, DataSet, Element
from tests.make import make, secrets
from tests.make.deidentified import outcome_of, passed

# Basic Profile, Clean Graphics, Structured Content, Descriptors, Modified Dates, Patient Characteristics, Safe Private
MARKS = ("113100", "113103", "113104", "113105", "113107", "113108", "113111")


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


@pytest.fixture
def with_options(tmp_path):
    def read(*options):
        (tmp_path / "r.yaml").write_text(f"Options: [{', '.join(options)}]")
        return load_rules(tmp_path / "r.yaml")

    return read


def an_engine(rules):
    keyed = KeyedPseudonyms(b"k" * 32, "st")
    return Engine(
        pseudonyms=keyed,
        patient=keyed.patient("site", "1", rules.shift),
        own=("site", "1"),
        shift=rules.shift,
        study="1.2.3",
        file=io.BytesIO(),
        private=SafePrivate(rules.standard.safe),
        report=Report(),
    )


def item(**values):
    made = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_research_attributes_are_kept_as_they_were(rules):
    data = make.ct(PatientSex="F", PatientAge="054Y", PatientWeight="71.5", ConvolutionKernel="B30f", KVP="120")

    result = passed(data, rules)

    for keyword in ("PatientSex", "PatientAge", "PatientWeight", "ConvolutionKernel", "KVP", "ImageOrientationPatient"):
        assert result[keyword].value == data[keyword].value


def test_an_age_above_89_is_told_as_90(rules):
    assert passed(make.ct(PatientAge="097Y"), rules).PatientAge == "090Y"


def test_the_marks_say_what_was_done_and_nothing_more(rules):
    result = passed(make.ct(), rules)

    assert result.PatientIdentityRemoved == "YES"
    codes = [(code.CodeValue, code.CodingSchemeDesignator) for code in result.DeidentificationMethodCodeSequence]
    assert codes == [(value, "DCM") for value in MARKS]
    assert result.LongitudinalTemporalInformationModified == "MODIFIED"
    assert result.DeidentificationMethod == f"appliance, rules {rules.digest[:16]}"
    assert "BurnedInAnnotation" not in result


def test_the_marks_of_an_earlier_step_stay(rules):
    data = make.ct(DeidentificationMethod=["Site X", "by hand"])
    data.DeidentificationMethodCodeSequence = Sequence(
        [make.code("113109", "DCM", "x"), make.code("113100", "DCM", "y")]
    )

    result = passed(data, rules)

    assert list(result.DeidentificationMethod)[:2] == ["Site X", "by hand"]
    assert [code.CodeValue for code in result.DeidentificationMethodCodeSequence] == [
        "113109", *MARKS
    ]  # fmt: skip


def test_a_second_pass_does_not_repeat_the_marks(rules):
    once = passed(make.ct(), rules)

    twice = passed(once, rules)

    assert len(twice.DeidentificationMethodCodeSequence) == len(MARKS)
    assert twice.DeidentificationMethod == once.DeidentificationMethod


@pytest.mark.parametrize(
    ("options", "mark", "date"),
    [((), "REMOVED", ""), (("RetainLongitudinalFullDates",), "UNMODIFIED", "20240229")],
)
def test_dates_are_removed_or_kept_as_the_options_say(options, mark, date, with_options):
    result = passed(make.ct(), with_options(*options))

    assert result.LongitudinalTemporalInformationModified == mark
    assert result.StudyDate == date


@pytest.mark.parametrize(
    ("option", "keyword"),
    [
        ("RetainUIDs", "StudyInstanceUID"),
        ("RetainDeviceIdentity", "DeviceSerialNumber"),
        ("RetainInstitutionIdentity", "InstitutionName"),
    ],
)
def test_a_retain_option_keeps_its_column_and_only_with_it(option, keyword, with_options):
    data = make.ct()

    assert passed(data, with_options(option))[keyword].value == data[keyword].value
    assert passed(data, with_options()).get(keyword) != data[keyword].value


@pytest.mark.parametrize("text", ["2024022", "20240229 Anna", "ANNA", "20240231"])
def test_what_is_no_date_in_a_date_s_place_goes_or_becomes_empty(text, rules):
    data = make.ct()
    for tag in (0x00080020, 0x00080021):  # Study Date, Type 2; Series Date, Type 3
        data[tag] = pydicom.DataElement(tag, "LO", text)
        data[tag].VR = "DA"

    result = passed(data, rules)

    assert result.StudyDate == ""
    assert "SeriesDate" not in result


def test_a_time_that_holds_a_text_does_not_stay(rules):
    data = make.ct()
    data[0x00080030].VR = "LO"
    data[0x00080030].value = "Anna"
    data[0x00080030].VR = "TM"

    assert passed(data, rules).StudyTime == ""


def test_empty_values_stay_empty(rules):
    data = make.ct(AccessionNumber="", PatientName="", StudyDate="", StudyID="", ReferencedImageSequence=Sequence([]))

    result = passed(data, rules)

    for keyword in ("AccessionNumber", "PatientName", "StudyDate", "StudyID"):
        assert not result[keyword].value
    assert len(result.ReferencedImageSequence) == 0


def test_well_known_uids_stay_and_private_classes_too_but_misused_ones_do_not(rules):
    data = make.ct(FrameOfReferenceUID="1.2.840.10008.1.4.1.1", SeriesInstanceUID="1.2.840.10008.1.4.1.2")
    data.ReferencedImageSequence[0].ReferencedSOPClassUID = make.PRIVATE_CLASS

    result = passed(data, rules)

    assert result.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    assert result.SeriesInstanceUID.startswith("2.25.")
    assert result.ReferencedImageSequence[0].ReferencedSOPClassUID == make.PRIVATE_CLASS


def test_a_text_in_a_class_uid_s_place_is_replaced(rules):
    data = make.ct()
    data.ReferencedImageSequence[0][0x00081150] = pydicom.DataElement(0x00081150, "LO", "of Anna")
    data.ReferencedImageSequence[0][0x00081150].VR = "UI"

    assert passed(data, rules).ReferencedImageSequence[0].ReferencedSOPClassUID.startswith("2.25.")


def test_another_number_of_the_patient_inside_gets_its_own_pseudonym(rules):
    data = make.ct()
    data.PurposeOfReferenceCodeSequence = Sequence([item(PatientID="P000123"), item(PatientID="OLD99999")])

    result = passed(data, rules)

    same, other = result.PurposeOfReferenceCodeSequence
    assert same.PatientID == result.PatientID
    assert other.PatientID.startswith("st-") and other.PatientID != result.PatientID


def test_padding_is_no_part_of_a_number_and_leading_zeros_are(rules):
    one, two, three = (passed(make.ct(PatientID=number), rules) for number in ("00123", "  00123 ", "123"))

    assert one.PatientID == two.PatientID != three.PatientID


def test_an_issuer_counts_only_if_it_is_listed(rules):
    import dataclasses

    from appliance.deid import instance, pseudonyms
    from appliance.dicom import part10
    from appliance.model import Provenance

    keyed = pseudonyms.KeyedPseudonyms(b"k" * 32, "st")
    listed = dataclasses.replace(keyed, issuers=("HOSPITAL-B",))

    def patient(issuer, names):
        outcome = instance.deidentify(
            part10.read(io.BytesIO(make.file(make.ct(IssuerOfPatientID=issuer)))),
            rules=rules, pseudonyms=names, provenance=Provenance("x"), accepted=frozenset(), domain="site",
        )  # fmt: skip
        assert isinstance(outcome, Deidentified)
        return next(minted.pseudonym for minted in outcome.minted if minted.kind == "patient")

    assert patient("HOSPITAL-B", keyed) == patient("HOSPITAL-A", keyed) == patient("HOSPITAL-A", listed)
    assert patient("HOSPITAL-B", listed) != patient("HOSPITAL-A", listed)


def test_safe_private_elements_stay_with_their_creator_wherever_the_block_lies(rules):
    data = make.ct()
    for number in (0x10, 0x42):
        data.add_new(0x00190000 | number, "LO", "GEMS_ACQU_01" if number == 0x42 else "OTHER MAKER")
    data.add_new(0x00194223, "DS", "5.5")  # Table Speed
    data.add_new(0x00191023, "DS", "7.7")  # the same number in another's block
    data.add_new(0x001942FE, "LO", "not listed")

    result = passed(data, rules)

    assert {f"{element.tag:08X}" for element in result if element.tag.is_private} == {"00190042", "00194223"}
    assert result[0x00194223].value == 5.5


@pytest.mark.parametrize(
    ("vr", "value", "stays"),
    [
        ("DS", b"1.5 ", True), ("FD", bytes(8), True), ("CS", b"CODE", True), ("LO", b"x" * 60, True),
        ("LO", b"", True), ("DA", b"20240229", True), ("UI", b"1.2.3.4\0", True),
        ("OB", b"Anna", False), ("UN", b"Anna", False),
        ("LT", b"Anna", False), ("PN", b"Anna", False), ("DA", b"ANNA", False), ("DS", b"Anna", False),
        ("LO", b"x\ny", False), ("LO", b"x" * 70, False), ("FD", b"Anna", False), ("SQ", b"Anna", False),
    ],
)  # fmt: skip
def test_a_listed_private_element_stays_only_in_a_form_that_hides_nothing(vr, value, stays, rules):
    engine = an_engine(rules)
    source = DataSet()
    source.put(Element(0x00990010, "LO", b"NQHeader"))
    source.put(Element(0x00991020, vr, value))

    result = engine.clean(source, rules.place(make.CT))

    assert (0x00991020 in result) is stays
    assert (0x00990010 in result) is stays
    if vr in ("UI", "DA") and stays:
        assert result.get(0x00991020).value != value


def test_a_listed_private_sequence_in_unknown_bytes_is_cleaned(rules):
    inside = secrets.implicit(0x00080100, b"CODE") + secrets.implicit(0x00081080, b"Berta")
    source = DataSet()
    source.put(Element(0x20010010, "LO", b"Philips Imaging DD 001"))
    source.put(Element(0x2001105F, "UN", b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside))

    result = an_engine(rules).clean(source, rules.place(make.CT))

    assert [list(item.elements) for item in result.get(0x2001105F).items] == [[0x00080100]]


def test_what_was_unknown_and_little_endian_cannot_stay_in_a_big_endian_file(rules):
    source = DataSet(little_endian=False)
    inside = DataSet()
    inside.put(Element(0x00080100, "SH", b"CODE"))
    source.put(Element(0x00089215, "UN", [inside]))
    source.put(Element(0x20010010, "LO", b"Philips Imaging DD 001"))
    source.put(Element(0x2001105F, "UN", [inside]))
    source.put(Element(0x00280010, "UN", b"\1\0"))

    result = an_engine(rules).clean(source, rules.place(make.CT))

    assert result.get(0x00089215).items == []
    assert 0x2001105F not in result
    assert 0x00280010 not in result


def test_large_values_in_the_file_stay_only_if_they_are_numbers_of_a_known_kind(rules):
    source = DataSet()
    for tag, vr in {0x7FE00010: "OB", 0x54001010: "OW", 0x00281201: "OW", 0x00420011: "OB", 0x00091010: "UN"}.items():
        source.put(Element(tag, vr, Bulk(0, 5000)))
    source.put(Element(0x00081080, "UN", Bulk(0, 5000)))
    source.put(Element(0x00090010, "LO", b"NQHeader"))
    source.put(Element(0x00186000, "UN", Bulk(0, 5000)))
    source.put(Element(0x0018113A, "UN", Bulk(0, 5000)))

    result = an_engine(rules).clean(source, rules.place(make.CT))

    assert {tag for tag, element in result.elements.items() if isinstance(element.value, Bulk)} == {
        0x7FE00010, 0x54001010, 0x00281201,
    }  # fmt: skip
    assert result.get(0x00420011).value == bytes(2)


def test_all_private_elements_go_without_the_option(with_options):
    data = make.ct()
    data.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x23, "DS", "5.5")

    assert not any(element.tag.is_private for element in passed(data, with_options()))


def test_a_report_keeps_its_tree_codes_and_measurements_and_loses_its_texts(rules):
    data = make.sr(text="seen with aunt Berta", observer="Reader^Rob")
    number = item(
        RelationshipType="CONTAINS",
        ValueType="NUM",
        ConceptNameCodeSequence=Sequence([make.code("99X", "99LOCAL", "Bertas node")]),
    )
    number.MeasuredValueSequence = Sequence([item(NumericValue="12.5")])
    data.ContentSequence.append(number)

    result = passed(data, rules)

    person, part, measured = result.ContentSequence
    assert person.PersonName == "REMOVED" and part.ContentSequence[0].TextValue == "seen with aunt"
    assert person.ConceptNameCodeSequence[0].CodeMeaning == "Person Observer Name"
    assert measured.MeasuredValueSequence[0].NumericValue == 12.5
    assert measured.ConceptNameCodeSequence[0].CodeMeaning == "node"
    assert part.ContentSequence[1].Date != "20240228"


def test_without_that_option_the_tree_becomes_one_item_of_dummies(with_options):
    result = passed(make.sr(text="Seen with aunt Berta"), with_options())

    assert len(result.ContentSequence) == 1
    assert result.ContentSequence[0].PersonName == "REMOVED"
    assert result.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "REMOVED"


def test_without_clean_graphics_annotations_are_replaced_and_nothing_is_claimed(with_options):
    data = make.presentation_state()
    drawn = item(
        GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicData=[1.0, 2.0, 3.0, 4.0]
    )
    data.GraphicAnnotationSequence[0].GraphicObjectSequence = Sequence([drawn])

    result = passed(data, with_options())

    annotation = result.GraphicAnnotationSequence[0]
    assert annotation.GraphicObjectSequence[0].GraphicData == [0, 0, 0, 0]
    assert annotation.TextObjectSequence[0].UnformattedTextValue == "REMOVED"
    assert annotation.GraphicLayer == "L1"
    assert "113103" not in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT])
def test_a_public_sequence_in_unknown_bytes_is_cleaned_by_its_tags(syntax, rules):
    data = make.ct()
    inside = secrets.implicit(0x00080100, b"CODE") + secrets.implicit(0x00100010, b"Berta")
    data[0x00089215] = secrets.unknown(0x00089215, b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside)

    result = passed(data, rules, syntax)

    assert result[0x00089215].value[0].CodeValue == "CODE"
    assert result[0x00089215].value[0].PatientName == result.PatientName


def test_what_contradicts_the_dictionary_goes(rules):
    data = make.ct()
    data[0x00280301 - 0x291] = pydicom.DataElement(0x00280070, "LO", "bytes of Berta")  # unknown
    data[0x00089215] = secrets.unknown(0x00089215, b"no sequence at all")
    data[0x00281203] = pydicom.DataElement(0x00281203, "SQ", Sequence([item(KVP="1")]))
    data[0x00280120] = pydicom.DataElement(0x00280120, "LO", "text in a number's place")

    result = passed(data, rules)

    for tag in (0x00089215, 0x00281203, 0x00280120):
        assert tag not in result


def test_a_specific_character_set_that_names_none_goes(rules):
    data = make.ct(charset=None)
    data.add_new(0x00080005, "CS", "BERTA")

    outcome = outcome_of(make.file(data), rules)

    assert isinstance(outcome, Deidentified)
    assert 0x00080005 not in outcome.dataset
    assert passed(make.ct(charset=["", "ISO 2022 IR 87"]), rules).SpecificCharacterSet == ["", "ISO 2022 IR 87"]


def test_study_numbers_are_new_and_stable_within_a_study_and_unlike_across_studies(rules):
    one, two = passed(make.ct(number=1), rules), passed(make.ct(number=2), rules)
    other = passed(make.ct(study="b"), rules)

    assert one.StudyID == two.StudyID != other.StudyID
    assert one.AccessionNumber == two.AccessionNumber == other.AccessionNumber != "ACC4711"
    assert len(one.StudyID) <= 16


def test_the_report_names_what_was_done_by_tag_and_cause(rules):
    outcome = outcome_of(make.file(make.ct()), rules)

    assert isinstance(outcome, Deidentified)
    report = outcome.report.as_json()
    assert {"path": "(0008,0080)", "action": "removed", "cause": "Basic Profile X/Z/D"} in report["elements"]
    assert report["codes"][0] == "113100"
    assert report["kept"] > 10


@pytest.mark.parametrize(
    ("options", "date_time", "time"),
    [
        ((), None, None),
        (("RetainLongitudinalFullDates",), "20240229101112", "1011"),
        (("RetainLongitudinalModifiedDates",), "moved", "1011"),
    ],
)
def test_dates_without_a_row_follow_the_same_option(options, date_time, time, with_options):
    data = make.ct()
    data.add_new(0x0008041F, "DT", "20240229101112")  # Study Update DateTime
    data.add_new(0x00140103, "TM", "1011")  # Secondary Review Time

    result = passed(data, with_options(*options))

    told = result.get(0x0008041F)
    assert (told.value if told else None) == date_time or (date_time == "moved" and told.value.endswith("101112"))
    assert (result[0x00140103].value if 0x00140103 in result else None) == time


def test_uids_without_a_row_are_kept_with_the_others_and_only_then(with_options, rules):
    data = make.ct()
    data.add_new(0x00200242, "UI", "1.2.3.4")  # SOP Instance UID of Concatenation Source
    data.private_block(0x0099, "NQHeader", create=True).add_new(0x02, "UI", "1.2.3.5")

    kept, new = passed(data, with_options("RetainUIDs", "RetainSafePrivate")), passed(data, rules)

    assert (kept[0x00200242].value, kept[0x00991002].value) == ("1.2.3.4", "1.2.3.5")
    assert new[0x00200242].value.startswith("2.25.") and new[0x00991002].value.startswith("2.25.")


def test_items_that_the_reader_found_in_unknown_bytes_are_written_as_a_sequence(rules):
    inside = DataSet({0x00080100: Element(0x00080100, "SH", b"CODE")})
    source = DataSet({0x00089215: Element(0x00089215, "UN", [inside]), 0x00081140: Element(0x00081140, "UN", b"")})

    result = an_engine(rules).clean(source, rules.place(make.CT))

    assert (result.get(0x00089215).vr, len(result.get(0x00089215).items)) == ("SQ", 1)
    assert (result.get(0x00081140).vr, result.get(0x00081140).items) == ("SQ", [])


def test_a_file_without_a_character_set_stays_without(rules):
    assert 0x00080005 not in passed(make.ct(charset=None), rules)
