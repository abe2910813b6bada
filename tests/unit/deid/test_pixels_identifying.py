"""A text that was read in a picture: does it name the patient, may it stay?"""

import io

import pytest

from appliance.deid.clues import clues_of, vocabulary
from appliance.deid.descriptors import Descriptors, load_vocabulary
from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.identifying import Judge
from appliance.deid.verify import SecondLook
from appliance.dicom import part10
from tests.make import make

DATA = make.ct(patient="Zwirnlein^Quasimodo", patient_id="00471199", PatientBirthDate="19500317")


@pytest.fixture(scope="module")
def judge():
    clues = clues_of(part10.read(io.BytesIO(make.file(DATA))).dataset)
    words = Descriptors(load_vocabulary(), clues, 40, lambda uid: uid)
    return Judge(SecondLook(clues.but_for(vocabulary()), frozenset({DATA.StudyInstanceUID}), frozenset()), words)


def may_stay(judge, text, confidence=0.99):
    return judge.may_stay(Found(Box(0, 0, 1, 1), text, confidence))


@pytest.mark.parametrize(
    "text",
    [
        "Zwirnlein, Quasimodo",
        "ZWIRNLEIN",
        "zw1rnlein",
        "Zwimlein",  # rn read as m
        "Quasimod0",
        "471199",
        "ID 00471199",
        "OO471I99",
        "0047-1199",
        "DOB 17.03.1950",
        "1950-03-17",
        "acc4711",
        DATA.StudyInstanceUID,
    ],
)
def test_what_names_the_patient_is_recognised_though_a_letter_was_misread(text, judge):
    assert judge.identifies([text])
    assert not may_stay(judge, text)


@pytest.mark.parametrize("texts", [["Zwirn", "lein"], ["0047", "1199"], ["17.", "03.1950"], ["17.03.", "1950"]])
def test_what_was_found_in_pieces_names_the_patient_too(texts, judge):
    assert judge.identifies(texts)
    assert not judge.identifies(texts[:1])


@pytest.mark.parametrize("text", ["12.5 mm", "R", "LCC", "R MLO", "AP supine", "chest lateral", "80 kV", "5.0 cm"])
def test_measurements_sides_views_and_medical_words_may_stay_when_read_for_sure(text, judge):
    assert may_stay(judge, text)
    assert not may_stay(judge, text, confidence=0.6)


@pytest.mark.parametrize("text", ["", " ", "Dr. Chest", "Smith", "29.02.2024", "12345", "Klinik am See", "17"])
def test_what_is_not_known_does_not_stay(text, judge):
    assert not may_stay(judge, text)


def test_without_clean_descriptors_only_markers_stay(judge):
    plain = Judge(judge.look, None)

    assert may_stay(plain, "R") and may_stay(plain, "LCC")
    assert not may_stay(plain, "chest lateral") and not may_stay(plain, "12.5 mm")
