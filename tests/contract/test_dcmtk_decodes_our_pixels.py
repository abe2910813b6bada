"""DCMTK decodes what we encode and we decode what DCMTK encodes: the same numbers, and dciodvfy finds nothing new."""

import io

import numpy as np
import pydicom
import pytest

from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from tests.make import images, make
from tests.make.deidentified import rules_from, written
from tests.make.pictures import errors
from tests.peers.dcmtk import run

FORMS = [
    {},
    {"allocated": 16, "stored": 12},
    {"allocated": 16, "stored": 12, "signed": True},
    {"allocated": 16, "stored": 16},
    {"photometric": "RGB"},
]
DECODERS = {
    make.RLE: "dcmdrle",
    images.JPEG_LOSSLESS: "dcmdjpeg",
    images.JPEG_LOSSLESS_SV1: "dcmdjpeg",
    images.JPEG_LS: "dcmdjpls",
    images.JPEG_LS_NEAR: "dcmdjpls",
}
ENCODERS = [
    ("dcmcrle", ()),
    ("dcmcjpeg", ("+e1",)),
    ("dcmcjpeg", ("+el", "+sv", "6")),
    ("dcmcjpls", ("+el",)),
]


def bits(frame: np.ndarray, stored: int) -> np.ndarray:
    """The pixel alone: toolkits differ in what they leave above it."""
    return frame.astype(np.int64) & ((1 << stored) - 1)


def frames_of(body: bytes) -> list[np.ndarray]:
    reader = FrameReader(part10.read(io.BytesIO(body)))
    return [bits(reader.frame(n), reader.form.bits_stored) for n in range(reader.form.frames)]


def transcoded(image: images.Image, syntax: str, folder) -> bytes:
    rules = rules_from(f"Transformations: [{{Scope: {{Labels: ALL}}, Transcode: {syntax}}}]\n", folder)
    return written(make.file(image.data), rules, accepted=["burned-in-risk"])


@pytest.mark.parametrize("syntax", DECODERS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_dcmtk_decodes_every_frame_that_we_encoded(form, syntax, tmp_path):
    image = images.image(frames=2, shape=(33, 47), **form)
    ours, theirs = tmp_path / "ours.dcm", tmp_path / "theirs.dcm"
    ours.write_bytes(transcoded(image, syntax, tmp_path))

    done = run(DECODERS[syntax], ours, theirs)

    assert done.returncode == 0, done.stderr
    stored = int(image.data.BitsStored)
    assert all(
        np.array_equal(new, bits(old, stored))
        for new, old in zip(frames_of(theirs.read_bytes()), image.frames, strict=True)
    )


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_we_decode_every_frame_that_dcmtk_encoded(form, encoder, tmp_path):
    image = images.image(frames=2, shape=(33, 47), **form)
    native, theirs = tmp_path / "native.dcm", tmp_path / "theirs.dcm"
    native.write_bytes(make.file(image.data))

    done = run(encoder[0], *encoder[1], native, theirs)

    assert done.returncode == 0, done.stderr
    stored = int(image.data.BitsStored)
    assert pydicom.dcmread(theirs).file_meta.TransferSyntaxUID.is_compressed
    assert all(
        np.array_equal(new, bits(old, stored))
        for new, old in zip(frames_of(theirs.read_bytes()), image.frames, strict=True)
    )


# Debian 12's dciodvfy does not know the transfer syntaxes of HTJ2K.
KNOWN = [syntax for syntax in images.LOSSLESS if syntax not in (images.HTJ2K_LOSSLESS, images.HTJ2K_RPCL)]


@pytest.mark.parametrize("syntax", [*KNOWN, make.JPEG_BASELINE, make.BIG_ENDIAN])
def test_dciodvfy_finds_nothing_new_in_a_transcoded_image(syntax, tmp_path):
    image = images.image("RGB", shape=(48, 64))

    before, after = (errors(transcoded(image, each, tmp_path), tmp_path) for each in (make.EXPLICIT, syntax))

    assert not after - before
