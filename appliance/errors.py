"""Everything the appliance can raise, as one family; nothing here does anything.

    ApplianceError
    ├── ConfigError        the configuration or rules file is wrong: file, line and what to write instead
    ├── CannotStart        the machine is not ready for a service: what, and what to do
    ├── SpoolFull          less than the reserve is left on the file system: refuse, the sender may retry
    ├── IllegalMove        a state change that lifecycle.py does not know: our bug
    ├── NotDicom           the bytes are no DICOM file at all
    ├── CannotLook         what looks for text in images is missing, altered or failed: nothing was looked at
    ├── Malformed          the bytes contradict their transfer syntax, or end early
    ├── CannotDecode       pixels of a kind that is not decoded, or larger than may be looked at
    ├── CannotEncode       pixels that the wanted transfer syntax cannot hold, or for which there is no encoder
    ├── BoxOutside         a box to be hidden lies beside the picture: whoever gave it meant another one
    ├── Unsafe             a path, link or archive member that must not be followed
    └── RequestRefused     an operator asked for what cannot be done now

A message says what happened, to what, what became of the images and what to do. It never holds a value from a data
set: tags, counts and our own ids only.
"""

from pathlib import Path


class ApplianceError(Exception):
    """What happened, in words for hospital IT."""


class ConfigError(ApplianceError):
    """A configuration or rules file that cannot be used; ``str()`` gives file, line, problem and remedy."""

    def __init__(self, problem: str, *, file: Path | None = None, line: int | None = None) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        where = "" if file is None else f"{file}" + ("" if line is None else f" line {line}") + ": "
        super().__init__(where + problem)


class CannotStart(ApplianceError):
    """A service cannot run as configured on this machine."""


class SpoolFull(ApplianceError):
    """The file system has less than the reserve left, or refused a write for want of space."""


class IllegalMove(ApplianceError):
    """A move that the lifecycle table does not hold."""


class NotDicom(ApplianceError):
    """The bytes are no DICOM file: neither a prefix nor a plausible first element."""


class CannotLook(ApplianceError):
    """Text in an image could not be looked for, so nothing is known of it: it must not pass."""


class Malformed(ApplianceError):
    """The bytes contradict their transfer syntax or end early. Says where (byte offset, tag), never a value."""


class CannotDecode(ApplianceError):
    """Pixels of a kind that is not decoded, or a frame that is too large. Says which, never a value of the patient."""


class CannotEncode(ApplianceError):
    """Pixels that a transfer syntax cannot hold, or for which there is no encoder. Says which and why."""


class BoxOutside(ApplianceError):
    """A box to be hidden has no pixel of the frame. Says where it is and how large the frame."""


class Unsafe(ApplianceError):
    """A link, special file, escaping path or oversized archive, met where only regular files may be."""


class RequestRefused(ApplianceError):
    """An operator's request that cannot be carried out; the message says why and what can be done instead."""
