"""A folder as a destination, for sites without a network: study/series/instance.dcm, each durable before it counts.

Paths are made of UIDs that were checked, and every step down is taken without following links, so nothing that
somebody puts into the folder can lead a file elsewhere.
"""

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from appliance import config
from appliance.dicom import part10, sniff
from appliance.errors import CannotStart, Malformed, NotDicom
from appliance.model import Parcel
from appliance.outlet.destination import (
    FileLost,
    FileSpoilt,
    Later,
    Receipt,
    RefusedForGood,
    Stored,
    There,
    Unavailable,
    Verdict,
)
from appliance.outlet.intact import is_intact
from appliance.outlet.multipart import open_regular
from appliance.reasons import Reason

CHUNK = 1024 * 1024
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")  # PS3.5 Section 9.1
_LONGEST_UID = 64
DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """Writes instances below ``root``, which must exist: a share that went away must not be filled in its place.

    existing  ``replaced``: a changed version takes the place of the old one; ``kept``: it is refused
    """

    def __init__(self, root: Path, *, existing: str) -> None:
        self._root = root
        self._replaces = existing == "replaced"

    def deliver(self, parcels: Sequence[Parcel]) -> Receipt:
        """Write each; stop at the first that the folder, not the instance, is to blame for."""
        verdicts: dict[str, Verdict] = {}
        for parcel in parcels:
            if not all(is_uid(uid) for uid in (parcel.study, parcel.series, parcel.sop_instance)):
                verdicts[parcel.out] = RefusedForGood(Reason.DESTINATION_REFUSED, "A UID of it can't be a file name.")
                continue
            try:
                source = open_regular(parcel.file)
            except FileNotFoundError:
                verdicts[parcel.out] = FileLost()
                continue
            except OSError as error:
                verdicts[parcel.out] = Later(None, f"it can't be read in ready ({error.strerror})")
                continue
            with source:
                if not is_intact(source, parcel):
                    verdicts[parcel.out] = FileSpoilt()
                    continue
                try:
                    verdicts[parcel.out] = self._write(parcel, source.fileno())
                except OSError as error:
                    return Receipt(verdicts, Unavailable(None, _advice(error)))
        return Receipt(verdicts)

    def look(self, parcel: Parcel) -> There:
        """Read the file that is there under the parcel's UIDs."""
        try:
            folder = self._series(parcel)
            try:
                there = _digest_at(f"{parcel.sop_instance}.dcm", folder)
            finally:
                os.close(folder)
        except OSError:
            return There.AWAY
        if there is None:
            return There.ABSENT
        return There.SAME if there == parcel.digest else There.DIFFERENT

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, parcel: Parcel, source: int) -> Verdict:
        folder = self._series(parcel)
        try:
            name = f"{parcel.sop_instance}.dcm"
            there = _digest_at(name, folder)
            if there == parcel.digest:
                os.fsync(folder)  # a crash may have come between the rename and this
                return Stored()
            if there is not None and not self._replaces:
                return RefusedForGood(Reason.ALREADY_THERE_DIFFERENT, "A file of its UID is in the folder.")
            _put(source, name, f".{parcel.out}.part", folder)
            return Stored()
        finally:
            os.close(folder)

    def _series(self, parcel: Parcel) -> int:
        """Return an open handle of the series' folder, made if needed."""
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in (parcel.study, parcel.series):
            try:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o770, dir_fd=handle)  # setgid as the folder above has it
                    os.fsync(handle)
                below = os.open(name, DOWN, dir_fd=handle)
            finally:
                os.close(handle)
            handle = below
        return handle


def is_uid(text: str) -> bool:
    """Whether ``text`` is a UID by the letter of PS3.5 9.1, so that it is a harmless file name."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def _put(source: int, name: str, part: str, folder: int) -> None:
    """Copy ``source`` to ``name`` durably; what another try left under ``part`` is written over."""
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660, dir_fd=folder)
    try:
        try:
            _copy(source, target)
            os.fsync(target)
        finally:
            os.close(target)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    # The folder too: without it the name may be gone after a power cut.
    os.fsync(folder)


def _copy(source: int, target: int) -> None:
    """Copy from the beginning to the end, in the kernel."""
    left, offset = os.fstat(source).st_size, 0
    while left:
        sent = os.sendfile(target, source, offset, min(left, CHUNK))
        if sent == 0:
            raise OSError("a file in ready became shorter while it was copied")
        offset += sent
        left -= sent


def _digest_at(name: str, folder: int) -> str | None:
    """Return the SHA-256 of the Data Set of the file that is there, None without one; "" for what is no DICOM file."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return ""
        try:
            return part10.digest(file, sniff.identify(file).dataset_offset)
        except (NotDicom, Malformed):
            return ""


def _advice(error: OSError) -> str:
    return (
        f"its folder can't be written ({error.strerror or error}). "
        "Check that it is mounted, has space and belongs to this service."
    )


def connect(destination: config.Destination) -> list[Folder]:
    """Return the destination's folder as one connection: two writers on one disk gain nothing.

    The folder is made if its parent exists. Raises CannotStart when it can't be.
    """
    root = destination.folder
    if root is None:
        raise ValueError("not a folder destination")
    try:
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The folder of destination '{destination.name}' can't be made ({error.strerror}). Nothing is forwarded "
            f"to it, nothing is lost. Make {root} and give it to this service's user, then start again."
        ) from None
    return [Folder(root, existing=destination.existing)]
