"""Images of every form, with the numbers that are in them known: for those who read, mask or encode pixels.

image = images.image("YBR_FULL_422", frames=3)
image.data       a pydicom Dataset, uncompressed
image.frames     what a reader must find: one array a frame, colour by pixel
images.compressed(image, make.RLE)     the bytes of a file whose frames imagecodecs encoded
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless

from tests.make import make

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
MPEG4 = "1.2.840.10008.1.2.4.102"

NATIVE = (make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED)
LOSSLESS = (make.RLE, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, make.JPEG_2000, HTJ2K_LOSSLESS, HTJ2K_RPCL)
LOSSY = (make.JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, JPEG_2000_LOSSY, HTJ2K)

HALVED = ("YBR_FULL_422", "YBR_PARTIAL_422")


@dataclass(frozen=True)
class Image:
    """A Data Set and the frames that are in it."""

    data: Dataset
    frames: list[np.ndarray]


def image(
    photometric: str = "MONOCHROME2",
    *,
    allocated: int = 8,
    stored: int | None = None,
    high: int | None = None,
    signed: bool = False,
    planar: int = 0,
    frames: int = 1,
    shape: tuple[int, int] = (24, 32),
    **more: Any,
) -> Image:
    """An image of smooth shades with some noise, every frame another."""
    stored = allocated if stored is None else stored
    high = stored - 1 if high is None else high
    samples = 1 if photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3
    dtype = np.dtype(f"{'i' if signed else 'u'}{max(1, allocated // 8)}")
    chance = np.random.default_rng(allocated * 100 + stored + samples)
    made = [_shades(chance, n, shape, samples, stored, signed=signed).astype(dtype) for n in range(frames)]
    made = [frame << (high + 1 - stored) for frame in made]
    if photometric in HALVED:
        for frame in made:
            frame[:, 1::2, 1:] = frame[:, ::2, 1:]
    data = make.secondary_capture(**more)
    data.Rows, data.Columns = shape
    data.SamplesPerPixel, data.PhotometricInterpretation = samples, photometric
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated, stored, high
    data.PixelRepresentation = int(signed)
    del data.PlanarConfiguration
    if samples == 3:
        data.PlanarConfiguration = planar
    if photometric == "PALETTE COLOR":
        add_palette(data, min(256, 1 << stored))
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = native(made, photometric, planar=planar, allocated=allocated)
    data["PixelData"].VR = "OW" if allocated > 8 else "OB"
    return Image(data, made)


def _shades(chance: Any, number: int, shape: tuple[int, int], samples: int, stored: int, *, signed: bool) -> np.ndarray:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    top = (1 << stored) - 1
    wave = (np.sin(rows / 5 + number) + np.cos(columns / 7) + 2) / 4
    if samples == 3:
        wave = np.stack([wave, 1 - wave, wave * wave], axis=-1)
    grey = np.clip(np.rint(wave * top * 0.8 + chance.random(wave.shape) * top * 0.2), 0, top).astype(np.int64)
    return grey - (1 << (stored - 1)) if signed else grey


def add_palette(data: Dataset, entries: int) -> None:
    """A palette whose entry 3 is black."""
    shades = (np.arange(entries, dtype=np.uint16) * 251 % 65521) | 0x0101
    shades[3] = 0
    for colour in ("Red", "Green", "Blue"):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [entries, 0, 16])
        setattr(data, f"{colour}PaletteColorLookupTableData", shades.tobytes())


def native(frames: list[np.ndarray], photometric: str, *, planar: int, allocated: int) -> bytes:
    """The value of uncompressed Pixel Data, little endian."""
    if allocated == 1:
        value = np.packbits(np.concatenate([frame.ravel() for frame in frames]) & 1, bitorder="little").tobytes()
    elif photometric in HALVED:
        value = b"".join(
            b"".join(
                bytes([row[c, 0], row[c + 1, 0], row[c, 1], row[c, 2]]) for row in frame for c in range(0, len(row), 2)
            )
            for frame in frames
        )
    else:
        value = b"".join(
            np.ascontiguousarray(frame.transpose(2, 0, 1) if planar else frame)
            .astype(frame.dtype.newbyteorder("<"))
            .tobytes()
            for frame in frames
        )
    return value + bytes(len(value) % 2)


def uncompressed(image: Image, syntax: str) -> bytes:
    """The bytes of a file in a native transfer syntax: pydicom swaps no words for big endian, so we do."""
    data = deepcopy(image.data)
    width = int(data.BitsAllocated) // 8
    if syntax == make.BIG_ENDIAN and width > 1:
        data.PixelData = np.frombuffer(data.PixelData, f"<u{width}").astype(f">u{width}").tobytes()
    tables = [element for element in data if syntax == make.BIG_ENDIAN and element.keyword.endswith("LookupTableData")]
    for table in tables:
        table.value = np.frombuffer(table.value, "<u2").astype(">u2").tobytes()
    return make.file(data, syntax)


def compressed(
    image: Image, syntax: str, *, table: str = "basic", pieces: int = 1, streams: list[bytes] | None = None
) -> bytes:
    """The bytes of a file with the image's frames encoded, each in ``pieces`` fragments.

    table    of offsets: basic, none or extended
    streams  instead of what is encoded
    """
    data = deepcopy(image.data)
    if streams is None:
        streams = [stream(frame, image.data, syntax) for frame in image.frames]
    if table == "extended":
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    else:
        data.PixelData = encapsulate(streams, fragments_per_frame=pieces, has_bot=table == "basic")
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return make.file(data, syntax)


def stream(frame: np.ndarray, data: Dataset, syntax: str) -> bytes:
    """One frame's code stream, as another encoder would make it."""
    stored = int(data.BitsStored)
    plain = (frame.astype(np.int64) & ((1 << stored) - 1)).astype(np.uint8 if stored <= 8 else np.uint16)
    colour = frame.ndim == 3
    space = ("ycbcr" if data.PhotometricInterpretation.startswith("YBR_FULL") else "rgb") if colour else None
    spaces = {"colorspace": space, "outcolorspace": space}
    turned = data.PhotometricInterpretation in ("YBR_RCT", "YBR_ICT")
    encoders: dict[str, Callable[[], bytes]] = {
        make.RLE: lambda: _rle(frame, data),
        make.JPEG_BASELINE: lambda: imagecodecs.jpeg8_encode(
            plain, 90, subsampling="422" if colour else None, **spaces
        ),
        JPEG_EXTENDED: lambda: imagecodecs.jpeg8_encode(plain, 90, bitspersample=max(8, stored), **spaces),
        JPEG_LOSSLESS: lambda: imagecodecs.jpeg8_encode(
            plain,
            lossless=True,
            predictor=4,
            bitspersample=stored,
            colorspace="rgb" if colour else None,
            outcolorspace="rgb" if colour else None,
        ),
        JPEG_LOSSLESS_SV1: lambda: imagecodecs.jpeg8_encode(
            plain,
            lossless=True,
            predictor=1,
            bitspersample=stored,
            colorspace="rgb" if colour else None,
            outcolorspace="rgb" if colour else None,
        ),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(frame.view(f"u{frame.itemsize}")),  # 8 or 16 bits
        JPEG_LS_NEAR: lambda: imagecodecs.jpegls_encode(plain, level=2),
        make.JPEG_2000: lambda: imagecodecs.jpeg2k_encode(
            frame, level=0, codecformat="j2k", reversible=True, bitspersample=stored, mct=turned, resolutions=3
        ),
        JPEG_2000_LOSSY: lambda: imagecodecs.jpeg2k_encode(
            frame, level=40, codecformat="j2k", bitspersample=stored, mct=turned, resolutions=3
        ),
        HTJ2K_LOSSLESS: lambda: imagecodecs.htj2k_encode(frame, reversible=True, rgb=turned, resolutions=3),
        HTJ2K_RPCL: lambda: imagecodecs.htj2k_encode(frame, reversible=True, rgb=turned, resolutions=3, tlm=True),
        HTJ2K: lambda: imagecodecs.htj2k_encode(frame, level=0.002, reversible=False, rgb=turned, resolutions=3),
    }
    return bytes(encoders[syntax]())


def _rle(frame: np.ndarray, data: Dataset) -> bytes:
    """By pydicom's own encoder."""
    return get_encoder(RLELossless).encode(
        frame.tobytes(),
        rows=data.Rows,
        columns=data.Columns,
        samples_per_pixel=data.SamplesPerPixel,
        bits_allocated=data.BitsAllocated,
        bits_stored=data.BitsStored,
        pixel_representation=data.PixelRepresentation,
        photometric_interpretation=data.PhotometricInterpretation,
        planar_configuration=0,
        number_of_frames=1,
        encoding_plugin="pydicom",
    )
