"""Cleaning pixels: what is found is hidden in every frame that shows it, nothing else is touched, and it is proven.

The search engine here is one that reads bars: a solid bar of the brightest grey is a word, told by its width.
"""

import io
import tempfile
from contextlib import ExitStack

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.clean import Cleaner
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.reasons import Reason
from tests.make import images, make
from tests.make.deidentified import outcome_of, rules_from

NAME, MEASURE, OTHER, UNREAD = 20, 12, 16, 8  # widths of bars
WORDS = {NAME: ("Invented", 0.99), MEASURE: ("12.5 mm", 0.99), OTHER: ("Klinik am See", 0.99), UNREAD: ("", 0.0)}
ROWS, COLUMNS = 48, 64
POLICY = "Labels: [{Name: us, DICOMQueryFilter: Modality StrEquals US}]\nPixels: [{Labels: us, %s Why: w}]\n"
ALL, IDENTIFYING, NONE = "", "Text: mask-identifying-text,", "Text: none,"


class Bars:
    """Finds bars; ``blind``: numbers of the looks, from 0, at which it finds nothing; ``most``: it sees so many."""

    name, version = "bars", "1.0"

    def __init__(self, blind=(), most=99):
        self.looks, self.blind, self.most = 0, blind, most

    def find(self, picture):
        self.looks += 1
        if self.looks - 1 in self.blind:
            return []
        grey = picture if picture.ndim == 2 else picture.min(axis=2)
        return [self._read(box) for box in _bars(grey == 255)][: self.most]

    def _read(self, box):
        return Found(box, *WORDS.get(box.width, ("", 0.0)))


def _bars(there):
    rows = np.flatnonzero(there.any(axis=1))
    for top, bottom in _runs(rows):
        columns = np.flatnonzero(there[top:bottom].all(axis=0))
        for left, right in _runs(columns):
            yield Box(left, top, right, bottom)


def _runs(numbers):
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def frames(*bars, count=1, samples=3):
    """Frames of a quiet ground with bars: (frames, left, top, width), five rows high."""
    ground = (np.arange(count * ROWS * COLUMNS * samples) % 97).astype(np.uint8)
    made = ground.reshape(count, ROWS, COLUMNS, samples)
    made[1:] = made[0]  # what does not change need not be looked at again
    for which, left, top, width in bars:
        made[which, top : top + 5, left : left + width] = 255
    return made if samples == 3 else made[..., 0]


def us(pixels, **more):
    data = make.us(frames=max(2, len(pixels)) if len(pixels) > 1 else 1, SequenceOfUltrasoundRegions=None)
    data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1 if pixels.ndim == 3 else 3
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 3 else "RGB"
    data.PixelData = pixels.tobytes()
    for keyword, value in more.items():
        setattr(data, keyword, value)
    return data


@pytest.fixture
def clean(tmp_path):
    """Clean an instance; the outcome, and the result as pydicom reads it."""
    kept = ExitStack()

    def scratch():
        return kept.enter_context(tempfile.TemporaryFile(dir=tmp_path))

    def cleaned(data, *, entry=ALL, finder=None, syntax=make.EXPLICIT, rules=None, max_pixels=10_000, **how):
        body = data if isinstance(data, bytes) else make.file(data, syntax)
        read_rules = rules_from(rules or POLICY % entry, tmp_path)
        pixels = Cleaner(lambda: finder or Bars(), scratch, max_pixels)
        outcome = outcome_of(body, read_rules, pixels=pixels, **how)
        if not isinstance(outcome, Deidentified):
            return outcome, None
        target = io.BytesIO()
        source = part10.read(io.BytesIO(body)).source
        part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, source, target)
        return outcome, pydicom.dcmread(io.BytesIO(target.getvalue()))

    with kept:
        yield cleaned


def hidden_in(before, after):
    """Where something changed: (left, top, right, bottom) of each frame; what changed is black."""
    before = before if before.ndim == 4 else before[..., None]
    after = after.reshape(before.shape)
    told = []
    for old, new in zip(before, after, strict=True):
        rows, columns = np.nonzero((old != new).any(axis=2))
        assert (new[rows, columns] == 0).all()
        told.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None)
    return told


def decoded(result):
    """All frames, by our own reader: pydicom has no decoder of some syntaxes without further packages."""
    file = io.BytesIO()
    result.save_as(file)
    reader = FrameReader(part10.read(file))
    return np.stack([reader.frame(number) for number in range(reader.form.frames)])


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN, make.DEFLATED])
def test_text_is_hidden_to_its_border_and_every_pixel_outside_stays(samples, syntax, clean):
    pixels = frames((0, 10, 4, NAME), samples=samples)

    outcome, result = clean(us(pixels), syntax=syntax)

    assert hidden_in(pixels, result.pixel_array[None]) == [(10, 4, 30, 9)]
    assert result.BurnedInAnnotation == "NO" and "113101" in outcome.report.codes
    (told,) = outcome.report.pixels.hidden
    assert (told.frame, told.box, told.cause) == (1, (10, 4, 30, 9), "bars 1.0")


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.RLE])
@pytest.mark.parametrize("wanted", [make.RLE, images.JPEG_LS, images.JPEG_LOSSLESS_SV1, make.EXPLICIT])
def test_pixels_that_were_cleaned_are_put_into_the_syntax_that_the_rules_want(syntax, wanted, clean):
    pixels = frames((slice(1, 3), 10, 4, NAME), count=4)
    body = make.file(us(pixels))
    if syntax != make.EXPLICIT:
        body = images.compressed(images.Image(us(pixels), list(pixels)), syntax)
    rules = POLICY % ALL + f"Transformations: [{{Scope: {{Labels: ALL}}, Transcode: {wanted}}}]\n"

    outcome, result = clean(body, rules=rules)

    assert outcome.transfer_syntax == result.file_meta.TransferSyntaxUID == wanted
    assert hidden_in(pixels, decoded(result)) == [None, (10, 4, 30, 9), (10, 4, 30, 9), None]
    assert result.BurnedInAnnotation == "NO"


def test_where_nothing_is_found_no_pixel_is_touched_and_the_image_counts_as_looked_at(clean):
    pixels = frames()

    outcome, result = clean(us(pixels))

    assert result.PixelData == pixels.tobytes()
    assert outcome.dataset.get(0x7FE00010).value.source is None, "the original's own bytes"
    assert outcome.report.pixels.engine == "bars 1.0" and outcome.report.pixels.hidden == ()
    assert result.BurnedInAnnotation == "NO"


def test_text_of_some_frames_is_hidden_in_those_and_nowhere_else(clean):
    pixels = frames((slice(3, 6), 10, 4, NAME), (7, 30, 20, OTHER), count=9)

    outcome, result = clean(us(pixels))

    name, other = (10, 4, 30, 9), (30, 20, 46, 25)
    assert hidden_in(pixels, result.pixel_array) == [*[None] * 3, *[name] * 3, None, other, None]
    assert outcome.report.pixels.searched < 9


@pytest.mark.parametrize(("blind", "elsewhere"), [((1,), (10, 4, 18, 9)), ((1, 2), None)])
def test_what_one_frame_left_in_doubt_is_hidden_in_others_if_a_second_look_finds_it_too(blind, elsewhere, clean):
    """Two of four frames show something new beside it; the search of the second one does not see it."""
    pixels = frames((slice(0, 4), 10, 4, UNREAD), (slice(2, 4), 10, 12, MEASURE), count=4)

    _, result = clean(us(pixels), entry="Text: mask-identifying-text,", finder=Bars(blind))

    assert hidden_in(pixels, result.pixel_array) == [(10, 4, 18, 9)] * 2 + [elsewhere] * 2


def test_what_only_another_window_shows_is_hidden_without_a_second_look(clean):
    pixels = np.full((4, ROWS, COLUMNS), 3000, "<u2")
    down, across = np.mgrid[0:ROWS, 0:COLUMNS]
    pixels[:, down % 16 == across % 16] = 0
    pixels[:, 4:9, 10:18] = 4095
    pixels[2:, 30:40, 10:30] = 20  # a new look at frame 2
    data = us(frames(samples=1, count=4), BitsAllocated=16, BitsStored=12, HighBit=11)
    data.WindowCenter, data.WindowWidth, data.PixelData = "100", "100", pixels.tobytes()
    data["PixelData"].VR = "OW"

    _, result = clean(data, finder=Bars(blind=(3,)))  # which does not see what another window shows there

    assert not (result.pixel_array == 4095).any()


def test_a_frame_in_which_the_reader_was_blind_is_hidden_too_where_it_shows_the_same_text(clean):
    pixels = frames((slice(0, 5), 10, 4, NAME), count=5)
    pixels[2:, 5:, 5:50] = 255 - pixels[2:, 5:, 5:50] // 2  # a new look at frame 2, around the text
    pixels[:, 4:9, 10:30] = 255

    _, result = clean(us(pixels), finder=Bars(blind=(1, 3)))

    assert all((frame[4:9, 10:30] == 0).all() for frame in result.pixel_array)


def test_a_measurement_stays_where_only_what_may_identify_is_hidden(clean):
    pixels = frames((0, 2, 4, MEASURE), (0, 2, 14, NAME), (0, 2, 24, OTHER), (0, 2, 34, UNREAD))

    _, some = clean(us(pixels), entry=IDENTIFYING)
    _, none = clean(us(pixels))

    assert (some.pixel_array[4:9, 2:14] == 255).all() and (none.pixel_array[4:9, 2:14] == 0).all()
    for result in (some, none):
        assert not (result.pixel_array[14:39, 2:10] == 255).any()


def test_what_comes_to_light_when_a_larger_text_is_gone_is_hidden_in_another_round(clean):
    pixels = frames((0, 10, 4, OTHER), (0, 10, 20, NAME))

    _, result = clean(us(pixels), finder=Bars(most=1))

    assert not (result.pixel_array == 255).any()


@pytest.mark.parametrize(("bars", "looks"), [((), 1), ((NAME,), 2), ((OTHER, MEASURE), 2), ((OTHER, NAME), 3)])
def test_an_image_is_searched_once_and_again_for_the_proof_and_more_often_only_for_a_name(bars, looks, clean):
    pixels = frames(*((0, 10, 4 + 10 * number, width) for number, width in enumerate(bars)))
    finder = Bars(most=1)

    _, result = clean(us(pixels), finder=finder)

    assert finder.looks == looks and not (result.pixel_array == 255).any()


def test_text_that_names_the_patient_and_is_left_is_refused_unless_somebody_accepts_it(clean):
    pixels = frames((0, 10, 4, NAME))
    blind = {"finder": None, "rules": "Pixels: []\nTransformations:\n- Scope: {Labels: ALL}\n"
             "  RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 30, 9, 40]]}]\n"}  # fmt: skip

    refused, _ = clean(us(pixels), **blind)
    outcome, result = clean(us(pixels), **blind, accepted={"text-left"})

    assert refused.reason is Reason.TEXT_LEFT and refused.detail.endswith("It stands in frame 1.")
    assert hidden_in(pixels, result.pixel_array[None]) == [(0, 30, 9, 40)]
    assert outcome.report.pixels.hidden[0].cause == "RemoveBurnedInAnnotations, line 4"


def test_boxes_of_a_rule_are_hidden_in_every_frame_and_other_text_stays(clean):
    pixels = frames((slice(0, 3), 10, 20, OTHER), count=3)
    rules = (
        "Pixels: []\nTransformations:\n- Scope: {Labels: ALL}\n"
        "  RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 0, 640, 6]]}]\n"
    )

    _, result = clean(us(pixels), rules=rules)

    assert all((frame[:6] == 0).all() and (frame[20:25, 10:26] == 255).all() for frame in result.pixel_array)
    assert np.array_equal(result.pixel_array[:, 6:], pixels[:, 6:])


def test_all_outside_of_the_ultrasound_regions_is_hidden(clean):
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 4, 10
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 59, 40
    pixels = frames()

    outcome, result = clean(us(pixels, SequenceOfUltrasoundRegions=Sequence([region])), entry=NONE)

    inside = np.s_[10:41, 4:60]
    assert np.array_equal(result.pixel_array[inside], pixels[0][inside])
    assert result.pixel_array.sum() == pixels[0][inside].sum()
    assert {each.cause for each in outcome.report.pixels.hidden} == {"outside of the ultrasound regions"}
    assert {each.frame for each in outcome.report.pixels.hidden} == {0}


def test_without_a_known_region_and_without_a_search_nobody_looked(clean):
    refused, _ = clean(us(frames()), entry=NONE)

    assert refused.reason is Reason.BURNED_IN_RISK and refused.detail.endswith("No region is known for this device.")


def test_a_box_beyond_the_picture_never_passes_for_a_clean_image(clean):
    devices = "Devices: [{Name: wrong, Model: Model P, Boxes: [[100, 0, 120, 5]]}]\n"

    refused, _ = clean(us(frames()), rules=devices + POLICY % ALL)

    assert refused.reason is Reason.RULE
    assert refused.detail.endswith("device wrong: a box lies wholly beyond the picture.")


@pytest.mark.parametrize(
    ("syntax", "more"),
    [
        ("1.2.840.10008.1.2.4.102", {}),  # a video
        (make.UNKNOWN, {}),
        (make.JPEG_BASELINE, {}),  # fragments that are no JPEG
        (make.EXPLICIT, {"BitsAllocated": 12}),
        (make.EXPLICIT, {"Rows": 47}),
        (make.EXPLICIT, {"PhotometricInterpretation": "CMYK"}),
    ],
)
def test_what_cannot_be_decoded_is_refused(syntax, more, clean):
    refused, _ = clean(us(frames(), **more), syntax=syntax)

    assert isinstance(refused, Refused) and refused.reason is Reason.PIXELS_UNDECODABLE
    assert refused.detail.startswith("By rule, line 2: w. ")


def test_an_image_of_absurd_dimensions_is_refused_before_it_is_decoded(clean):
    finder = Bars()

    refused, _ = clean(us(frames(), Rows=60_000, Columns=60_000), finder=finder)

    assert refused == Refused(Reason.PIXELS_TOO_LARGE, "By rule, line 2: w. A frame has 60000 x 60000 pixels.")
    assert finder.looks == 0


def test_memory_that_does_not_suffice_is_a_refusal(clean):
    class Greedy(Bars):
        def find(self, picture):
            raise MemoryError

    refused, _ = clean(us(frames()), finder=Greedy())

    assert refused.reason is Reason.PIXELS_TOO_LARGE


def test_an_overlay_in_the_pixels_spare_bits_goes_whole_and_the_pixels_stay(clean):
    pixels = frames(samples=1)[0].astype("<u2") * 16
    drawn = pixels | np.where(np.arange(COLUMNS) % 3 == 0, 0x8000, 0).astype("<u2")
    data = us(frames(samples=1), BitsAllocated=16, BitsStored=12, HighBit=11)
    data.PixelData = drawn.tobytes()
    data["PixelData"].VR = "OW"
    for tag, value in ((0x60000010, ROWS), (0x60000011, COLUMNS), (0x60000100, 16), (0x60000102, 15)):
        data.add_new(tag, "US", value)

    _, result = clean(data, finder=Bars(most=0))

    assert np.array_equal(result.pixel_array, pixels)
    assert not [element.tag for element in result if element.tag.group == 0x6000]


def test_what_only_another_window_shows_is_searched_too(clean):
    pixels = np.full((ROWS, COLUMNS), 3000, "<u2")
    pixels[0, 0] = 0
    pixels[4:9, 10:30] = 4095
    data = us(frames(samples=1), BitsAllocated=16, BitsStored=12, HighBit=11, WindowCenter="100", WindowWidth="100")
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW"

    _, result = clean(data)

    assert not (result.pixel_array == 4095).any()
