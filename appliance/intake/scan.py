"""What lies in a clinic's folder at this moment: names, sizes and times; nothing is opened.

The scan decides, events only wake it: inotify loses events in bursts and sends none for network shares.
"""

import os
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.intake.beneath import Beneath, Parts

PROCESSED, FAILED, RECEIPTS = "_processed", "_failed", "_receipts"
OURS = frozenset({PROCESSED, FAILED, RECEIPTS})
READY = "READY"  # a file of this name in an item's folder: the sender says that it is complete
LOOSE = ""  # the key of the item that the loose files form
DEEPEST = 48  # folders below the clinic's: each holds a descriptor open while it is read

LITTER = frozenset(
    {
        "thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "__macosx", ".appledouble", ".lsoverride",
        "$recycle.bin", "#recycle", "@eadir", "system volume information", "lost+found", ".spotlight-v100",
        ".trashes", ".fseventsd", ".temporaryitems", ".localized",
    }
)  # fmt: skip
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", ".opdownload", "~")
ARCHIVE_NAMES = (".zip", ".tar", ".tgz", ".tar.gz")


class Mark(NamedTuple):
    """By what a change of a file shows. ``names`` is its number of hard links: link-and-unlink is a way to rename.

    A tuple, since a hundred thousand of them are made in one scan.
    """

    size: int
    time_ns: int
    names: int


def mark_of(state: os.stat_result) -> Mark:
    """Return the mark of a file. Without its inode: some shares number the same file anew each time."""
    return Mark(state.st_size, state.st_mtime_ns, state.st_nlink)


UNENTERED = Mark(0, 0, 0)  # of a folder that cannot be entered


@dataclass(slots=True)
class Seen:
    """A top-level entry of the clinic's folder, or all its loose files together.

    files        what may be taken, by path below the clinic's folder
    unfinished   left alone until renamed: ``name.part`` and hidden files; their growth is a sign of life
    litter       what operating systems leave behind
    too_deep     folders that were not entered
    folders      every folder of the item, outermost first, with its time of change
    ready_file   the READY file; ``ready`` if nothing else was changed after it
    """

    files: dict[Parts, Mark] = field(default_factory=dict)
    unfinished: dict[Parts, Mark] = field(default_factory=dict)
    litter: list[Parts] = field(default_factory=list)
    too_deep: list[Parts] = field(default_factory=list)
    folders: dict[Parts, int] = field(default_factory=dict)
    newest_ns: int = 0  # last change of any file of it, by the file system's clock
    ready_file: Parts | None = None
    ready_ns: int = 0

    @property
    def ready(self) -> Parts | None:
        """The READY file, if it was put last, as the sender's word that nothing more comes."""
        return self.ready_file if self.ready_ns >= self.newest_ns else None


def is_litter(name: str) -> bool:
    """Whether operating systems and file servers leave files or folders of this name behind."""
    return name.startswith("._") or name.lower() in LITTER


def is_unfinished(name: str) -> bool:
    """Whether a name says: not yet, or not for you."""
    return name.startswith((".", "~$")) or name.lower().endswith(UNFINISHED)


def look(clinic: Beneath) -> dict[str, Seen]:
    """Return what lies in the clinic's folder, by the name of the top-level entry; LOOSE holds the loose files.

    A loose file whose name says archive is an entry of its own; every other loose one belongs to LOOSE.
    Our own folders are not looked into. Raises OSError when the clinic's folder itself cannot be read.
    """
    found: dict[str, Seen] = {}
    with clinic.folder() as root, os.scandir(root) as entries:
        for entry in entries:
            if entry.name in OURS:
                continue
            if _is_folder(entry):
                if not is_litter(entry.name) and not entry.name.startswith("."):
                    found[entry.name] = _look_into(root, entry.name)
                continue
            alone = entry.name.lower().endswith(ARCHIVE_NAMES)
            _add(found.setdefault(entry.name if alone else LOOSE, Seen()), (entry.name,), entry)
    loose = found.get(LOOSE, Seen())
    for seen in found.values():
        if not seen.folders:  # a loose archive: READY beside it speaks for it too
            seen.ready_file, seen.ready_ns = loose.ready_file, loose.ready_ns
    return found


def _look_into(root: int, name: str) -> Seen:
    seen = Seen()
    _walk(root, (name,), seen)
    return seen


def _walk(above: int, parts: Parts, seen: Seen) -> None:
    if len(parts) > DEEPEST:
        seen.too_deep.append(parts)
        return
    try:
        folder = os.open(parts[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except (FileNotFoundError, NotADirectoryError):
        return  # moved away while we looked: the next scan tells
    except OSError:
        # What cannot be entered is accounted for as one thing that cannot be read.
        seen.files[parts] = UNENTERED
        return
    try:
        if not os.access(".", os.X_OK, dir_fd=folder, effective_ids=True):
            seen.files[parts] = UNENTERED  # its names may be read, and nothing else of it
            return
        seen.folders[parts] = os.fstat(folder).st_mtime_ns
        below = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_folder(entry):
                    below.append(entry.name)
                else:
                    _add(seen, (*parts, entry.name), entry, in_item=len(parts) == 1)
        # Files before folders: whoever writes READY last has filled every folder by then.
        for name in below:
            if is_litter(name):
                seen.litter.append((*parts, name))
            elif not name.startswith("."):
                _walk(folder, (*parts, name), seen)
    finally:
        os.close(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _add(seen: Seen, parts: Parts, entry: os.DirEntry[str], *, in_item: bool = True) -> None:
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    mark = mark_of(state)
    if is_litter(entry.name):
        seen.litter.append(parts)
    elif is_unfinished(entry.name):
        seen.unfinished[parts] = mark
    elif entry.name == READY and in_item and stat.S_ISREG(state.st_mode):
        seen.ready_file, seen.ready_ns = parts, state.st_ctime_ns
        return
    else:
        seen.files[parts] = mark
    seen.newest_ns = max(seen.newest_ns, state.st_ctime_ns)
