"""Clean Descriptors: free text keeps what is known to be medical, and nothing else, whatever it is and whoever's."""

import io

import pydicom
import pytest
from pydicom.sequence import Sequence

from appliance.deid.clues import Clues
from appliance.deid.descriptors import Descriptors, load_vocabulary
from appliance.deid.ruleset import load_rules
from appliance.errors import ConfigError
from tests.make import make
from tests.make.deidentified import passed, written

VOCABULARY = load_vocabulary()
OWN = Clues(words={"head", "quasimodo"}, numbers={"4711"}, dates={"19500317"}, phrases={"lung center", "headquasimodo"})


def cleaned(text, *, days=-100, limit=None, uid=lambda uid: "2.25.7"):
    return Descriptors(VOCABULARY, OWN, days, uid).cleaned(text, limit)


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


@pytest.mark.parametrize(
    "text",
    ["", "CT Thorax", "T2W_TSE sag FS", "MRT Schädel nativ + KM", "Lung 1.5 mm", "5 x 6 mm lesion, 15 ml contrast",
     "t1 mprage 3D (post)", "Carcinoma of lung; no metastasis.", "THORAX^ROUTINE", "3T"],
)  # fmt: skip
def test_what_is_medical_stays_as_it_was_written(text):
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT Thorax Zwirnlein tel 0221/471147", "CT Thorax"),
        ("Thorax_ZWIRNLEIN 1.5 mm", "Thorax 1.5 mm"),
        ("ZwirnleinThorax", ""), ("n o d u l e", ""), ("王小东 CT", "CT"), ("Мюллер lung", "lung"),
        ("lung 4711 ml, 12 ml", "lung 12 ml"), ("lung 12345 ml", "lung"), ("lung 7", "lung"),
        ("Dr. Long Stone reports stroke", "Dr reports stroke"), ("mother Iris White has stroke", "mother has stroke"),
        ("head CT", "CT"), ("at Lung-Center: lung center lung", "at lung"),
        ("mail a.b@example.org", ""), ("lung\r\nZwirnlein\r\nnodule", "lung\r\nnodule"),
        ("lung\x07nodule", "lung nodule"),
        ("in May", "in"), ("seen 1/2/21 12:30", "seen"), ("seen März 2021", "seen"),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_medical_goes(text, left):
    assert cleaned(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("seen 12.03.2021", "seen 02.12.2020"), ("seen 2021-03-12", "seen 2020-12-02"),
        ("seen 20210312", "seen 20201202"), ("seen 13/12/2021", "seen 04/09/2021"),
        ("seen 12/13/2021", "seen 09/04/2021"),
        ("seen 12. März 2021", "seen 2020-12-02"), ("March 12, 2021", "2020-12-02"),
        ("seen 12 mars 2021", "seen 2020-12-02"),
        ("seen 3/12/2021", "seen"),  # which of the two is the month is not known
        ("* 17.3.1950", ""), ("born 1950-03-17", ""),  # the birth date is not moved: it would tell by how much
        ("seen 31.02.2021", "seen"),
    ],
)  # fmt: skip
def test_dates_move_with_the_patient_s_or_go(text, left):
    assert cleaned(text) == left


def test_without_an_offset_dates_go_and_with_none_to_move_by_they_stay():
    assert cleaned("seen 12.03.2021", days=None) == "seen"
    assert cleaned("seen 12.03.2021", days=0) == "seen 12.03.2021"
    assert cleaned("seen 12.03.2021", days=-900_000) == "seen"


def test_uids_are_replaced_and_the_standard_s_stay():
    assert cleaned("compared 1.2.3.4.5.6.7") == "compared 2.25.7"
    assert cleaned("image 1.2.840.10008.5.1.4.1.1.2") == "image 1.2.840.10008.5.1.4.1.1.2"


def test_what_becomes_too_long_for_its_vr_loses_what_was_put_in():
    assert cleaned("lung 1.2.3.4.5.6.7", limit=64) == "lung 2.25.7"
    assert cleaned("lung 1.2.3.4.5.6.7", limit=8, uid=lambda uid: "2.25." + "9" * 39) == "lung"


def test_the_vocabulary_has_no_given_names_months_or_eponyms():
    for word in ("anna", "peter", "smith", "muller", "march", "parkinson", "towne", "kovacs", "zwirnlein"):
        assert word not in VOCABULARY
    for word in ("lung", "contrast", "schadel", "axial", "carcinoma", "flair", "iris"):
        assert word in VOCABULARY
    assert 4000 < len(VOCABULARY) < 20_000


def test_each_free_text_of_an_instance_is_cleaned_and_the_option_claimed(rules):
    data = make.ct(
        StudyDescription="CT Thorax Zwirnlein", SeriesDescription="Lung 1.5 mm", ImageComments="for aunt Berta",
        StudyDate="20240229", AdditionalPatientHistory="nodule since 27.02.2024",
    )  # fmt: skip
    data.RequestAttributesSequence = Sequence([pydicom.Dataset()])
    data.RequestAttributesSequence[0].ScheduledProcedureStepDescription = "CT Kopf Berta"
    data.RequestAttributesSequence[0].RequestedProcedureID = "R77"
    data.ProcedureCodeSequence = Sequence([make.code("X", "99A", "Thorax by Berta"), make.code("Y", "99A", "Berta")])

    result = passed(data, rules)

    assert (result.StudyDescription, result.SeriesDescription) == ("CT Thorax", "Lung 1.5 mm")
    assert result.ImageComments == "for aunt"
    assert result.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "CT Kopf"
    assert result.RequestAttributesSequence[0].RequestedProcedureID == "REMOVED"
    assert [code.CodeMeaning for code in result.ProcedureCodeSequence] == ["Thorax by", "REMOVED"]
    moved = pydicom.valuerep.DA(result.StudyDate)
    told = result.AdditionalPatientHistory.rsplit(" ", 1)[1]
    day, month, year = map(int, told.split("."))
    assert (moved - pydicom.valuerep.DA(f"{year:04}{month:02}{day:02}")).days == 2
    assert "113105" in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


def test_without_the_option_descriptors_go_and_it_is_not_claimed(tmp_path):
    (tmp_path / "r.yaml").write_text("Options: [CleanStructuredContent]")

    result = passed(make.ct(StudyDescription="CT Thorax"), load_rules(tmp_path / "r.yaml"))
    report = passed(make.sr(text="Lung"), load_rules(tmp_path / "r.yaml"))

    assert "StudyDescription" not in result
    assert report.ContentSequence[1].ContentSequence[0].TextValue == "REMOVED"
    assert "113105" not in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


def test_text_in_every_character_set_is_cleaned_and_stays_readable(rules):
    latin = passed(make.ct(charset="ISO_IR 100", patient="A^B", StudyDescription="MRT Schädel for Müller"), rules)
    broken = make.ct(charset=None, patient="A^B")
    broken.StudyDescription = "CT Thorax for Berta"
    body = make.file(broken).replace(b"Thorax", b"Tor\xe4x ")

    assert latin.StudyDescription == "MRT Schädel for"
    assert "StudyDescription" not in pydicom.dcmread(io.BytesIO(written(body, rules)))  # no set holds what is left


def test_a_site_may_know_words_of_its_own(tmp_path):
    (tmp_path / "r.yaml").write_text("Vocabularies:\n  ours: [Zwirnlein, Ständer]\n")
    rules = load_rules(tmp_path / "r.yaml")

    assert passed(make.ct(StudyDescription="STÄNDER zwirnlein Berta"), rules).StudyDescription == "STÄNDER zwirnlein"


def test_several_values_are_cleaned_one_by_one(rules):
    result = passed(make.ct(AdmittingDiagnosesDescription=["lung tumor", "Berta", "stroke"]), rules)

    assert list(result.AdmittingDiagnosesDescription) == ["lung tumor", "", "stroke"]


@pytest.mark.parametrize("words", ["{ours: [two words]}", "{ours: word}", "[word]", "{ours: [7]}"])
def test_a_vocabulary_that_is_no_list_of_words_is_an_error_with_its_line(words, tmp_path):
    (tmp_path / "r.yaml").write_text(f"Profile: Basic\nVocabularies: {words}\n")

    with pytest.raises(ConfigError, match="line 2"):
        load_rules(tmp_path / "r.yaml")
