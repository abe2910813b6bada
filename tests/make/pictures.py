"""Two DICOM files beside each other: the pixel bits, the elements, and what dciodvfy has to say."""

import io
import shutil
import subprocess
from collections import Counter

import pydicom
import pytest
from pydicom.dataset import Dataset


def read(body: bytes) -> Dataset:
    """The Data Set of a DICOM file, wholly read."""
    return pydicom.dcmread(io.BytesIO(body), force=True)


def pixel_bits(body: bytes) -> tuple[str, bytes]:
    """Transfer syntax and value of Pixel Data as it stands in the file: fragments and tables included."""
    data = read(body)
    return str(data.file_meta.TransferSyntaxUID), data.PixelData


def errors(body: bytes, folder) -> Counter[str]:
    """The errors that dciodvfy finds, without the values that they quote; skips the test if it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("package dicom3tools is not installed")
    file = folder / "looked-at.dcm"
    file.write_bytes(body)
    told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, errors="replace", check=False)
    lines = (told.stdout + told.stderr).splitlines()
    return Counter(line for line in lines if line.startswith("Error"))
