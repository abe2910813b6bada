"""One file of the inbox is taken: its Data Set copied through the door, byte for byte; archives member by member."""

import fcntl
import io
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import BinaryIO, Self

from appliance.config import Archives, MiB
from appliance.dicom.media import listed_files
from appliance.dicom.sniff import Identity, identify
from appliance.errors import ApplianceError, Malformed, NotDicom
from appliance.intake.archives import Bad, Litter, Member, Scratch, members
from appliance.intake.beneath import Beneath, Parts
from appliance.intake.door import Door, Entry
from appliance.intake.kinds import HEAD, Kind, kind_of
from appliance.intake.refusals import NotTaken, Refusal
from appliance.intake.tally import LITTER, MEDIUM, MISSING, REFUSED, TAKEN, Fate
from appliance.model import Provenance

_CHUNK = MiB
_MEMBER_HEAD = MiB  # of a file in an archive, to identify it: its UIDs stand at the beginning
_LEASE_SIGNAL = signal.SIGURG  # ignored by default, unlike SIGIO, which would end the process

Note = Callable[[str, Fate], None]


class Ending(Enum):
    """What is to be done with the clinic's file now."""

    DONE = auto()  # all of it is in the house, or needs not be: to _processed
    FAILED = auto()  # it, or something in it, was refused: to _failed
    CHANGED = auto()  # it is still being written: leave it


class Interrupted(ApplianceError):
    """The service is stopping; the file stays where it is and is taken again later."""


class ReadFailed(ApplianceError):
    """The clinic's disk or share failed while a file was read."""


class Taker:
    """Takes the files of one clinic.

    door      where instances enter; what it raises (SpoolFull, OSError) passes through: the file is untouched
    stopping  asked between the members of an archive
    """

    def __init__(
        self, door: Door, limits: Archives, scratch: Scratch, *, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._door = door
        self._limits = limits
        self._scratch = scratch
        self._stopping = stopping

    def take(
        self, clinic: Beneath, parts: Parts, provenance: Provenance, note: Note, present: Iterable[Parts]
    ) -> Ending:
        """Take one file, tell ``note`` what became of it and of what is in it, and say what to do with it.

        present  the files of the same item, for a DICOMDIR to be compared with

        Raises FileNotFoundError if it is gone, ReadFailed if it cannot be read, Interrupted when stopping, and
        SpoolFull or OSError of the door.
        """
        name = "/".join(parts)
        try:
            with _opened(clinic, parts) as file:
                return self._take_file(file, parts, provenance, note, present)
        except NotTaken as error:
            note(name, Fate(REFUSED, error.why.value, error.detail))
            return Ending.FAILED

    def _take_file(
        self, file: "_Reader", parts: Parts, provenance: Provenance, note: Note, present: Iterable[Parts]
    ) -> Ending:
        name = "/".join(parts)
        if file.is_being_written():
            return Ending.CHANGED
        kind = kind_of(file.head(HEAD))
        if kind is not Kind.IMAGE:
            return self._take_archive(file, kind, parts, provenance, note)
        identity = _identified(file.file)
        if identity.is_dicomdir:
            file.seek(0)
            _check_medium(_listed(file.file), parts, present, note)
            note(name, Fate(MEDIUM))
            return Ending.DONE
        file.seek(identity.dataset_offset)
        with self._begin(identity, provenance) as entry:
            while piece := file.read_chunk():
                entry.write(piece)
            if file.has_changed():
                return Ending.CHANGED
            size = entry.keep().size
        note(name, Fate(TAKEN, size=size))
        return Ending.DONE

    def _take_archive(self, file: "_Reader", kind: Kind, parts: Parts, provenance: Provenance, note: Note) -> Ending:
        above = "/".join(parts)
        present: list[Parts] = []
        media: list[tuple[Parts, list[Parts]]] = []
        given: Counter[Parts] = Counter()
        ending = Ending.DONE
        file.seek(0)
        for found in members(file, kind, file.size, self._limits, self._scratch):  # type: ignore[arg-type]
            if self._stopping():
                raise Interrupted("Stopping; the archive stays in the inbox and is taken again.")
            present.append(found.path)
            given[found.path] += 1
            name = "/".join((above, *found.path)) + ("" if given[found.path] == 1 else f" ({given[found.path]})")
            match found:
                case Litter():
                    note(name, Fate(LITTER))
                case Bad(why=why, detail=detail):
                    note(name, Fate(REFUSED, why.value, detail))
                    ending = Ending.FAILED
                case Member():
                    ending = self._take_member(found, name, provenance, note, media) or ending
        for directory, listed in media:
            _check_medium(listed, directory, present, note, above=parts)
        return Ending.CHANGED if file.has_changed() else ending

    def _take_member(
        self, member: Member, name: str, provenance: Provenance, note: Note, media: list[tuple[Parts, list[Parts]]]
    ) -> Ending | None:
        """Take a file of an archive; return FAILED if it was refused. Limits of the whole archive pass through."""
        try:
            identity = _identified(io.BytesIO(member.head(_MEMBER_HEAD)))
            if identity.is_dicomdir:
                with self._scratch.lay_down(member.read) as laid:
                    media.append((member.path, _listed(laid)))
                note(name, Fate(MEDIUM))
                return None
            _pass_over(member, identity.dataset_offset)
            with self._begin(identity, provenance) as entry:
                while piece := member.read(_CHUNK):
                    entry.write(piece)
                size = entry.keep().size
        except NotTaken as error:
            if error.why is Refusal.ARCHIVE_LIMIT:
                raise
            note(name, Fate(REFUSED, error.why.value, error.detail))
            return Ending.FAILED
        note(name, Fate(TAKEN, size=size))
        return None

    def _begin(self, identity: Identity, provenance: Provenance) -> Entry:
        if not identity.sop_class or not identity.sop_instance:
            raise NotTaken(Refusal.NO_UID)
        return self._door.begin(provenance, identity.sop_class, identity.sop_instance, identity.transfer_syntax)


class _Reader:
    """An open file of the clinic: its OSErrors become ReadFailed, so that they are told from those of our own disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._before = os.fstat(file.fileno())
        self.size = self._before.st_size
        self._buffer = bytearray(min(_CHUNK, self.size) or 1)

    def head(self, size: int) -> bytes:
        head = self.read(size)
        self.seek(0)
        return head

    def read(self, size: int = -1) -> bytes:
        try:
            return self.file.read(size)
        except OSError as error:
            raise _failed(error) from None

    def read_chunk(self) -> memoryview:
        try:
            count = self.file.readinto(self._buffer)  # type: ignore[attr-defined]
        except OSError as error:
            raise _failed(error) from None
        return memoryview(self._buffer)[:count]

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def has_changed(self) -> bool:
        """Whether size or time differ from when it was opened, or somebody has it open for writing."""
        after = os.fstat(self.file.fileno())
        same = (after.st_size, after.st_mtime_ns) == (self._before.st_size, self._before.st_mtime_ns)
        return not same or self.is_being_written()

    def is_being_written(self) -> bool:
        """Whether a process of this machine has it open for writing; False where the system does not tell.

        A read lease is refused while a writer has the file open; it is given back at once. Only the file's owner may
        ask, and network shares do not know leases: there the quiet time alone must do.
        """
        descriptor = self.file.fileno()
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, _LEASE_SIGNAL)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()


def _opened(clinic: Beneath, parts: Parts) -> _Reader:
    try:
        return _Reader(clinic.open(parts))
    except FileNotFoundError:
        raise
    except PermissionError:
        raise NotTaken(Refusal.UNREADABLE) from None
    except OSError as error:
        raise _failed(error) from None


def _failed(error: OSError) -> ReadFailed:
    return ReadFailed(f"A file in the clinic's folder could not be read: {error.strerror or 'unknown reason'}.")


def _identified(file: BinaryIO) -> Identity:
    try:
        return identify(file)
    except NotDicom:
        raise NotTaken(Refusal.NOT_DICOM) from None
    except Malformed as error:
        raise NotTaken(Refusal.MALFORMED, str(error)) from None
    except OSError as error:
        raise _failed(error) from None


def _listed(file: BinaryIO) -> list[Parts]:
    try:
        return list(listed_files(file))
    except (NotDicom, Malformed) as error:
        raise NotTaken(Refusal.MALFORMED, str(error)) from None
    except OSError as error:
        raise _failed(error) from None


def _pass_over(member: Member, size: int) -> None:
    while size:
        size -= len(member.read(size)) or size


def _check_medium(
    listed: Iterable[Parts], directory: Parts, present: Iterable[Parts], note: Note, *, above: Parts = ()
) -> None:
    """Note every file that the DICOMDIR lists and that is not beside it."""
    there = {_as_on_media(parts) for parts in present}
    for parts in listed:
        path = (*directory[:-1], *parts)
        if _as_on_media(path) not in there:
            note("/".join((*above, *path)), Fate(MISSING))


def _as_on_media(parts: Parts) -> Parts:
    """Names as ISO 9660 compares them: without case, without the version and the last dot. Source: PS3.12 Annex F."""
    return tuple(part.upper().split(";", 1)[0].rstrip(".") for part in parts)
