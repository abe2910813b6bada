"""What is painted over is black in every form of image, and nothing else changes."""

import io

import numpy as np
import pydicom
import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.mask import mask, overlay_bits, paint
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.meta import FileMeta
from appliance.errors import BoxOutside
from tests.make import images, make

BOX = Box(3, 5, 18, 11)
FORMS = [
    *({"photometric": grey, "allocated": bits, "signed": signed, "stored": stored}
      for grey in ("MONOCHROME1", "MONOCHROME2")
      for bits, stored in ((8, 8), (8, 6), (16, 12), (16, 16), (32, 32))
      for signed in (False, True)),
    {"allocated": 16, "stored": 12, "high": 13},
    {"allocated": 1},
    {"photometric": "PALETTE COLOR"},
    {"photometric": "PALETTE COLOR", "allocated": 16, "stored": 8},
    *({"photometric": colour, "planar": planar} for colour in ("RGB", "YBR_FULL") for planar in (0, 1)),
    {"photometric": "RGB", "allocated": 16},
    {"photometric": "YBR_FULL_422"},
    {"photometric": "YBR_PARTIAL_422"},
]  # fmt: skip
LOSSLESS_FORMS = [
    {},
    {"photometric": "MONOCHROME1", "allocated": 16, "stored": 12},
    {"allocated": 16, "stored": 12, "signed": True},
    {"photometric": "RGB"},
    {"photometric": "PALETTE COLOR"},
]


def opened(body: bytes) -> FrameReader:
    return FrameReader(part10.read(io.BytesIO(body)))


def masked(body: bytes, *boxes: Box, frames: tuple[int, ...] = (0, 1, 2)) -> bytes:
    reader = opened(body)
    done = mask(reader, lambda number: boxes if number in frames else (), io.BytesIO())
    done.apply(reader.original.dataset)
    out = io.BytesIO()
    meta = FileMeta.of(reader.original.meta.elements)
    part10.write(meta, reader.original.dataset, done.transfer_syntax, reader.original.source, out)
    return out.getvalue()


def only_the_box_changed(before: FrameReader, after: FrameReader, number: int) -> bool:
    old, new = before.frame(number).copy(), after.frame(number)
    inside = new[BOX.top : BOX.bottom, BOX.left : BOX.right]
    old[BOX.top : BOX.bottom, BOX.left : BOX.right] = inside
    return bool((inside == np.array(before.black(number))[() if old.ndim == 3 else 0]).all()) and np.array_equal(
        old, new
    )


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_box_becomes_black_and_nothing_else_changes_in_every_form(form, syntax):
    image = images.image(frames=3, **form)
    body = images.uncompressed(image, syntax)

    after = opened(masked(body, BOX, frames=(0, 2)))

    if image.data.PhotometricInterpretation not in images.HALVED:
        assert only_the_box_changed(opened(body), after, 0) and only_the_box_changed(opened(body), after, 2)
    assert np.array_equal(after.frame(1), image.frames[1])
    seen = after.picture(2, windowed=False)[BOX.top : BOX.bottom, BOX.left : BOX.right]
    assert seen.max() <= 1


def test_halved_colours_go_with_their_column_and_the_neighbour_keeps_its_brightness():
    image = images.image("YBR_FULL_422")
    old = image.frames[0]

    new = opened(masked(make.file(image.data), BOX)).frame(0)

    assert np.array_equal(np.argwhere(new[..., 0] != old[..., 0]).min(axis=0), (BOX.top, BOX.left))
    assert (new[BOX.top : BOX.bottom, 2:18] == [0, 128, 128])[..., 1:].all()
    assert (new[BOX.top : BOX.bottom, 3:18, 0] == 0).all() and (new[:, 2, 0] == old[:, 2, 0]).all()
    assert np.array_equal(new[:, 18:], old[:, 18:]) and np.array_equal(new[:, :2], old[:, :2])


@pytest.mark.parametrize("syntax", [make.DEFLATED, *images.LOSSLESS])
@pytest.mark.parametrize("form", LOSSLESS_FORMS, ids=str)
def test_outside_of_the_boxes_every_lossless_syntax_keeps_every_bit(form, syntax):
    image = images.image(frames=3, **form)
    body = make.file(image.data, syntax) if syntax == make.DEFLATED else images.compressed(image, syntax)

    result = masked(body, BOX, frames=(1,))

    before, after = opened(body), opened(result)
    assert after.form == before.form and pydicom.dcmread(io.BytesIO(result)).file_meta.TransferSyntaxUID == syntax
    assert only_the_box_changed(before, after, 1)
    assert np.array_equal(after.frame(0), image.frames[0]) and np.array_equal(after.frame(2), image.frames[2])


@pytest.mark.parametrize("syntax", images.LOSSY)
def test_in_a_lossy_syntax_a_touched_frame_is_black_inside_and_the_others_keep_their_bytes(syntax):
    image = images.image(frames=3, shape=(64, 64))
    body = images.compressed(image, syntax)

    after = opened(masked(body, Box(8, 16, 40, 32), frames=(1,)))

    assert after.frame(1)[18:30, 10:38].max() <= 8
    before = opened(body)
    assert [after.encoded(n)[: len(before.encoded(n))] for n in (0, 2)] == [before.encoded(n) for n in (0, 2)]


def test_padding_is_painted_where_it_is_dark_so_that_no_window_is_stretched():
    image = images.image(allocated=16, signed=True)
    for value, kind, black in (
        (-2000, "MONOCHROME2", -2000),
        (2000, "MONOCHROME2", -32768),
        (2000, "MONOCHROME1", 2000),
    ):
        image.data.PhotometricInterpretation = kind
        image.data.add_new(0x00280120, "SS", value)

        reader = opened(make.file(image.data))

        assert reader.black(0) == (black,)


def test_overlays_in_the_high_bits_are_cleared_in_every_frame_and_the_pixels_stay():
    image = images.image(frames=2, allocated=16, stored=12)
    drawn = [frame | np.uint16(0x8000 | 0x1000) for frame in image.frames]
    image.data.PixelData = b"".join(frame.tobytes() for frame in drawn)
    image.data.add_new(0x60000100, "US", 16)
    image.data.add_new(0x60000102, "US", 15)
    body = make.file(image.data)

    after = opened(masked(body, BOX, frames=(0,)))

    assert overlay_bits(opened(body).original.dataset, opened(body).form) == 0x8000
    assert (after.frame(0)[BOX.top : BOX.bottom, BOX.left : BOX.right] == 0).all()
    assert np.array_equal(after.frame(1), image.frames[1] | 0x1000)


def test_an_overlay_with_data_of_its_own_is_none_of_the_pixels():
    image = images.image(allocated=16, stored=12)
    image.data.add_new(0x60000100, "US", 1)
    image.data.add_new(0x60000102, "US", 0)
    image.data.add_new(0x60003000, "OW", bytes(96))
    reader = opened(make.file(image.data))

    assert overlay_bits(reader.original.dataset, reader.form) == 0


@pytest.mark.parametrize(
    ("box", "painted"),
    [
        (Box(0, 0, 32, 24), 32 * 24),
        (Box(-5, -5, 2, 3), 6),
        (Box(30, 20, 400, 300), 8),
        (Box(31, 23, 32, 24), 1),
        (Box(4, 0, 5, 24), 24),
    ],
)
def test_boxes_are_exact_to_the_border_and_clipped_at_the_edge(box, painted):
    frame = np.ones((24, 32), np.uint8)

    assert (paint(frame, [box], (0,)) == 0).sum() == painted
    assert frame.all()


@pytest.mark.parametrize(
    "box", [Box(32, 0, 40, 5), Box(0, 24, 5, 30), Box(-9, 0, 0, 5), Box(5, 5, 5, 9), Box(9, 5, 5, 9)]
)
def test_a_box_without_a_pixel_of_the_frame_is_refused(box):
    with pytest.raises(BoxOutside, match="32 x 24"):
        paint(np.ones((24, 32), np.uint8), [Box(0, 0, 1, 1), box], (0,))
