"""A worker that puts pixels into another transfer syntax: the result lies where it was told, and nothing beside it."""

import errno
import io
import os
from pathlib import Path

import pydicom
import pytest

from appliance.cli.deidentify import recipe_for
from appliance.model import ONLY_PROJECT, Provenance
from appliance.services import looker
from appliance.services.worker import Job, Made, Postponed, equip, work
from tests.make import images, make


@pytest.fixture
def done(tmp_path):
    """What becomes of an RLE image under a rule that asks for JPEG-LS; the rule is the only one."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"Transformations: [{{Scope: {{Labels: ALL}}, Transcode: {images.JPEG_LS}}}]\n")
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    (tmp_path / "making").mkdir()
    original = tmp_path / "original.dcm"
    original.write_bytes(images.compressed(images.image(frames=3, shape=(64, 64)), make.RLE))
    job = Job(
        "20261120T181522123Z-CT1-k7f3q9",
        1,
        original,
        tmp_path / "making" / "result.dcm",
        Provenance("CT1", project=ONLY_PROJECT),
        ("", ""),
        frozenset({"burned-in-risk"}),
        "site",
    )
    return lambda: work(equip(recipe_for(None, rules, key)), job)


def test_the_result_is_in_the_wanted_syntax_and_nothing_lies_beside_it(done):
    made = done()

    assert isinstance(made, Made) and made.transfer_syntax == images.JPEG_LS
    assert pydicom.dcmread(made.staged).file_meta.TransferSyntaxUID == images.JPEG_LS
    assert [path.name for path in made.staged.parent.iterdir()] == ["result.dcm"]


def test_the_same_original_gives_the_same_bytes(done):
    assert done().digest == done().digest


def test_a_disk_that_fills_while_pixels_are_encoded_postpones_the_instance(done, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full(_folder: Path) -> io.BytesIO:
        return Full()

    monkeypatch.setattr(looker, "nameless", full)

    assert done() == Postponed("ENOSPC")
