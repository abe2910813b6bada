"""The reader and the one door under a coverage-guided fuzzer, from a corpus that is made: ``make fuzz``.

    python -m tests.property.fuzz read|deidentify [--runs N] [--seconds N] [--corpus FOLDER]

Ends with 0 if nothing was found. What was found is a file in the folder, and the traceback says what it shows.
"""

import argparse
import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["appliance.dicom", "appliance.deid"], enable_loader_override=False):
    from appliance.deid.outcome import Deidentified, Excluded, Held, Refused
    from appliance.dicom import part10
    from appliance.dicom.element import Bulk, walk
    from appliance.errors import Malformed, NotDicom
    from tests.property import test_any_bytes, test_deid_any_bytes

from tests.make import secrets

PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
LONGEST = 16_384  # bytes of an input: the seeds are shorter
_WORDS = (  # what a mutation may put in besides bytes of chance
    *(code.encode() for code in ("SQ", "UN", "OB", "PN", "LO", "UT", "UI", "DA", "OW", "AT")),
    *(struct.pack("<HH", group, number) for group, number in (
        (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD), (0x7FE0, 0x10), (0x8, 0x5), (0x10, 0x10), (0x40, 0xA730),
        (0x29, 0x10), (0x29, 0x1010), (0x8, 0x103E), (0x18, 0x1020),
    )),
    b"\xff\xff\xff\xff", b"ISO_IR 192", b"ISO 2022 IR 87", b"GB18030", b"\x1b$B", b"\x1b$)C", b"\x1f\x8b\x08", b"x\x9c",
)  # fmt: skip


def read(body: bytes) -> None:
    """A tree that can be written and read again as the same, or a refusal."""
    test_any_bytes._read_or_refused(body)


def deidentify(body: bytes) -> None:
    """An outcome; and where the patient is still who the seed says, nothing of them in the result."""
    outcome = test_deid_any_bytes._outcome(body)
    assert outcome is None or isinstance(outcome, Deidentified | Excluded | Held | Refused)
    if not isinstance(outcome, Deidentified):
        return
    original = part10.read(io.BytesIO(body))
    target = io.BytesIO()
    part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, original.source, target)
    result = part10.read(target)
    assert b"YES" in result.dataset.elements[0x00120062].value, "not marked as de-identified"
    names = [original.dataset.get(tag) for tag in (0x00100010, 0x00100020)]
    known = [value.value.rstrip(b" \0").decode("latin-1") for value in names if value and type(value.value) is bytes]
    if known == [test_deid_any_bytes.NAME, test_deid_any_bytes.NUMBER] and names[0].vr == "PN":
        told = b"\n".join(_bytes_of(result))
        assert not secrets.found(told, test_deid_any_bytes.WORDS), "the patient is in the result"


def _bytes_of(result: part10.Part10) -> Iterator[bytes]:
    """Every value but pixels, in which a mutation may have written anything."""
    for _, element in walk(result.dataset):
        if isinstance(element.value, bytes):
            yield element.value
        elif isinstance(element.value, Bulk) and element.tag not in PIXELS:
            result.source.seek(element.value.offset)
            yield result.source.read(element.value.length)


TARGETS = {"read": read, "deidentify": deidentify}


def seeds(target: str) -> tuple[bytes, ...]:
    """Valid files, small enough to be mutated with effect."""
    made = test_any_bytes._originals() if target == "read" else test_deid_any_bytes._originals()
    return tuple(body for body in made if len(body) <= LONGEST)


def main() -> None:
    """Fuzz until the runs or the seconds are over."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("target", choices=TARGETS)
    ask.add_argument("--runs", type=int, default=-1)
    ask.add_argument("--seconds", type=int, default=0)
    ask.add_argument("--corpus", type=Path, required=True)
    asked = ask.parse_args()
    asked.corpus.mkdir(parents=True, exist_ok=True)
    for number, body in enumerate(seeds(asked.target)):
        (asked.corpus / f"seed-{number:03}").write_bytes(body)
    words = asked.corpus.with_suffix(".dict")
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in _WORDS))
    target = TARGETS[asked.target]

    def one(data: bytes) -> None:
        try:
            target(data)
        except (NotDicom, Malformed):  # of a seed that only the second reading refuses
            raise AssertionError("what was written cannot be read") from None

    atheris.Setup(
        [sys.argv[0], str(asked.corpus), f"-max_len={LONGEST}", f"-dict={words}", "-seed=7", "-timeout=60",
         "-rss_limit_mb=2048", f"-artifact_prefix={asked.corpus.parent}/found-", f"-runs={asked.runs}",
         f"-max_total_time={asked.seconds}", "-print_final_stats=1", "-verbosity=1"],
        one,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    main()
