"""The patient's name in the pixels goes in by C-STORE and by the inbox, and arrives in Orthanc without."""

import json
import shutil

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from appliance.deid.pixels.find_text import TextFinder
from tests.make import burned_in, make, pictures
from tests.peers.appliance_process import Appliance
from tests.peers.caller import EXPLICIT, Caller
from tests.peers.orthanc import Orthanc

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
PATIENT = {"patient": "Zwirnlein^Quasimodo", "patient_id": "00QX4711"}
NAME, NUMBER = "ZWIRNLEIN, QUASIMODO", "ID 00QX4711"
REGION = (0, 40, 319, 239)


def one():
    """An ultrasound with the name above the picture, outside of its region, and a number within."""
    shown = burned_in.picture(320, 240, [(NAME, 6, 8), (NUMBER, 6, 210)])
    return burned_in.us([shown], region=REGION, seed="us", **PATIENT)


def cine():
    """A cine without regions, the name in its last three frames only."""
    frames = [burned_in.picture(320, 240, [(NAME, 40, 100)] if number > 2 else [], seed=number) for number in range(6)]
    return burned_in.us(frames, seed="cine", **PATIENT)


def screen():
    """A screen with name and number."""
    shown = burned_in.picture(320, 240, [(NAME, 6, 8), (NUMBER, 100, 120)])
    return burned_in.screen(shown, seed="screen", **PATIENT)


def pixels_of(data):
    """The frames as they were made."""
    return np.frombuffer(data.PixelData, np.uint8).reshape(-1, data.Rows, data.Columns, 3)


def packed(data):
    """The same as JPEG 2000, lossless."""
    streams = [imagecodecs.jpeg2k_encode(each, level=0, codecformat="j2k", mct=False) for each in pixels_of(data)]
    data.PixelData = encapsulate(streams)
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    return data


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """By C-STORE an ultrasound and a cine; by the inbox a screen, JPEG 2000, and a video, which nobody decodes."""
    folder = tmp_path_factory.mktemp("pixels")
    video = burned_in.us([burned_in.picture(32, 24, [])], seed="video", **PATIENT)
    with (
        Orthanc(folder / "orthanc") as orthanc,
        Appliance(folder / "edge", [{"name": "cloud", "url": orthanc.dicomweb}]) as edge,
    ):
        with Caller(edge.port) as caller:
            caller.request({1: (make.US, [EXPLICIT]), 3: (make.US_MULTIFRAME, [EXPLICIT])})
            for context, data in ((1, one()), (3, cine())):
                assert caller.store(context, data.SOPClassUID, data.SOPInstanceUID, make.data_set(data)) == 0
        item = folder / "item"
        item.mkdir()
        make.stored(item / "screen.dcm", packed(screen()), JPEG_2000_LOSSLESS)
        make.stored(item / "video.dcm", video, "1.2.840.10008.1.2.4.102")
        edge.drop(item)
        edge.until_settled(4)
        yield edge, orthanc
    shutil.rmtree(folder, ignore_errors=True)


def arrived(house, data):
    """The instance as Orthanc has it: bytes, and as pydicom reads it."""
    edge, orthanc = house
    (trace,) = edge.trace(data.SOPInstanceUID)
    assert (trace["state"], trace["reason"]) == ("FORWARDED", "")
    body = orthanc.file(trace["sop_instance"])
    return body, pictures.read(body)


@pytest.fixture(scope="module")
def read():
    """What can be read in a picture."""
    finder = TextFinder()
    return lambda shown: " ".join(found.text.upper() for found in finder.find(np.ascontiguousarray(shown)))


def test_the_name_can_be_read_before(read):
    """Else the tests below would look for needles in no hay."""
    assert "QUASIMODO" in read(pixels_of(one())[0]) and "4711" in read(pixels_of(one())[0])
    assert "QUASIMODO" in read(pixels_of(cine())[4])


def test_the_log_tells_what_was_looked_at_and_how_much_was_hidden_and_no_word_of_it(house):
    edge, _ = house
    lines = [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]
    looked = [line for line in lines if line["event"] == "deidentified"]

    assert len(looked) == 3
    assert all(line["boxes"] > 0 and line["frames"] > 0 and "PP-OCR" in line["engine"] for line in looked)
    assert "ZWIRN" not in edge.log.upper() and "00QX4711" not in edge.log


@pytest.mark.parametrize("sent", [one, cine, screen])
def test_nobody_can_read_the_name_in_what_arrived_and_it_says_that_somebody_looked(sent, house, read):
    _, result = arrived(house, sent())

    frames = result.pixel_array if "NumberOfFrames" in result else result.pixel_array[None]
    assert not [frame for frame in frames if {"ZWIRN", "QUASI", "4711"} & set(_pieces(read(frame)))]
    assert result.BurnedInAnnotation == "NO"
    assert "113101" in {item.CodeValue for item in result.DeidentificationMethodCodeSequence}


def _pieces(text):
    return {piece for piece in ("ZWIRN", "QUASI", "4711") if piece in text}


def test_what_is_no_text_is_as_it_was_to_the_last_bit(house):
    for data in (one(), screen()):
        _, result = arrived(house, data)
        same = (result.pixel_array == pixels_of(data)[0]).all(axis=2)
        left = same | (result.pixel_array == 0).all(axis=2)
        assert left.all(), "what changed is black"
        assert same[145:200, 100:220].mean() > 0.9, "the picture itself is there"
    frames, before = arrived(house, cine())[1].pixel_array, pixels_of(cine())
    assert all((frames[number] == before[number]).mean() > 0.9 for number in range(6))
    assert (frames[3:, 105:112, 60:200] == 0).all()


def test_what_is_outside_of_the_ultrasound_region_is_black(house):
    _, result = arrived(house, one())

    assert (result.pixel_array[:40] == 0).all()


def test_a_lossless_syntax_stays_and_says_nothing_of_loss(house):
    _, result = arrived(house, screen())

    assert result.file_meta.TransferSyntaxUID == JPEG_2000_LOSSLESS
    assert result.get("LossyImageCompression", "00") == "00"


@pytest.mark.parametrize("sent", [one, cine])
def test_the_standard_has_no_more_to_complain_of_than_before(sent, house, tmp_path):
    body, _ = arrived(house, sent())

    assert pictures.errors(body, tmp_path) - pictures.errors(make.file(sent()), tmp_path) == {}


def test_a_video_waits_for_a_person_and_its_note_says_what_to_do(house):
    edge, _ = house
    (waiting,) = edge.waiting()

    assert waiting["reason"] == "pixels-undecodable"
    note = (edge.state / "inside" / "quarantine" / "pixels-undecodable" / f"{waiting['id']}.txt").read_text()
    assert "Have it sent in another transfer syntax" in note and "Zwirnlein" not in note


def test_appliance_pixels_draws_both_sides_and_names_boxes_but_no_text(house, tmp_path):
    edge, _ = house
    make.stored(tmp_path / "one.dcm", one())

    ran = edge.cli("pixels", str(tmp_path / "one.dcm"), "-o", str(tmp_path / "one.png"), "--json")

    told = json.loads(ran.stdout)
    assert ran.returncode == 0 and told["outcome"] == "delivered"
    assert {each["cause"] for each in told["pixels"]["hidden"]} >= {"outside of the ultrasound regions"}
    assert "zwirnlein" not in ran.stdout.lower() and "4711" not in ran.stdout
    drawn = imagecodecs.png_decode((tmp_path / "one.png").read_bytes())
    assert drawn.shape == (240, 2 * 320 + 8, 3)
    assert (drawn == (255, 64, 64)).all(axis=2).any() and pydicom.dcmread(tmp_path / "one.dcm").Rows == 240
