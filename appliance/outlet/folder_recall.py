"""Taking back from a folder: the file of the instance is removed, and folders that it leaves empty.

As in ``folder``, every step down is taken without following links.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from appliance.lifecycle import RecallState
from appliance.model import Recall
from appliance.outlet.destination import Unavailable
from appliance.outlet.folder import DOWN, is_uid
from appliance.outlet.taken_back import BY_HAND, Asked, Gone, NotPossible, TakenBack


class FolderRecall:
    """Removes instances below ``root``. A root that is not there proves nothing: a share may have gone away."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take_back(self, recall: Recall) -> TakenBack:
        """Remove the file, durably; Gone when there was none."""
        if not (is_uid(recall.study) and is_uid(recall.sop_instance)):
            return NotPossible(f"Its study is not known any more. {BY_HAND}")
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return Unavailable(None, f"its folder can't be opened ({error.strerror}). Check that it is mounted.")
        try:
            return _remove(root, recall)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                return NotPossible(f"Something that is no folder has the name of its folder. {BY_HAND}")
            return Unavailable(
                None, f"its folder can't be changed ({error.strerror}). Check that it belongs to this service."
            )
        finally:
            os.close(root)

    def close(self) -> None:
        """Nothing is kept open."""


def _remove(root: int, recall: Recall) -> TakenBack:
    name, found = f"{recall.sop_instance}.dcm", False
    looks = recall.state is RecallState.IMPOSSIBLE  # only: what was written since must not be removed
    for series in _series(root, recall):
        try:
            folder = _down(root, recall.study, series)
        except FileNotFoundError:
            continue
        try:
            with suppress(FileNotFoundError):
                os.unlink(f".{recall.out}.part", dir_fd=folder)  # half of it, which a crash left
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if looks:
                return NotPossible("")
            if not stat.S_ISREG(mode):
                return NotPossible(f"Something that is no file has the name of its file. {BY_HAND}")
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
            found = True
        except FileNotFoundError:
            continue
        finally:
            os.close(folder)
        _tidy(root, recall.study, series)
    return Asked() if found else Gone()


def _series(root: int, recall: Recall) -> list[str]:
    """Return the folders in which the file may lie: its series', or all where the series is not known any more."""
    if recall.series:
        return [recall.series] if is_uid(recall.series) else []
    try:
        study = _down(root, recall.study)
    except FileNotFoundError:
        return []
    try:
        with os.scandir(study) as entries:
            return [entry.name for entry in entries if is_uid(entry.name)]
    finally:
        os.close(study)


def _down(root: int, *names: str) -> int:
    """Return an open handle of a folder below ``root``. Raises FileNotFoundError; OSError for a link."""
    handle = os.dup(root)
    for name in names:
        try:
            below = os.open(name, DOWN, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle


def _tidy(root: int, study: str, series: str) -> None:
    """Remove folders that are empty now; one in which something lies refuses."""
    with suppress(OSError):
        above = _down(root, study)
        try:
            os.rmdir(series, dir_fd=above)
        finally:
            os.close(above)
        os.rmdir(study, dir_fd=root)
