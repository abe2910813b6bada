"""Where everything lies: the paths of the two sides. The only place that makes a path from an id or an outside name."""

import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from appliance.model import is_out_name, is_spool_id
from appliance.reasons import Reason
from appliance.spool.files import fsync_folder, make_folder

SHARDS = tuple(f"{number:02x}" for number in range(256))  # so that no folder grows without bound


def shard(name: str) -> str:
    """Return the ``<xx>`` folder of a name: spread evenly whatever names look like, always the same."""
    return f"{zlib.crc32(name.encode()) & 0xFF:02x}"


def _plain(name: str, *, ok: bool) -> str:
    if not ok:
        raise ValueError("neither a spool id nor an outside name")  # our bug: names are checked where they come in
    return f"{name}.dcm"


class Inside:
    """The paths of the inside: originals."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.receiving = root / "receiving"
        self.received = root / "received"
        self.quarantine = root / "quarantine"
        self.database = root / "journal.db"
        self.reports = root / "reports.db"
        self.commitments = root / "commitments.db"

    def make(self) -> None:
        """Make every folder that a hot path needs, so that no hot path makes one."""
        _make(self.root, [self.receiving, self.received, self.quarantine], self.received)

    def original(self, spool_id: str) -> Path:
        """Where the original lies unless it is quarantined."""
        return self.received / shard(spool_id) / _plain(spool_id, ok=is_spool_id(spool_id))

    def quarantined(self, spool_id: str, reason: Reason) -> Path:
        """Where the original lies while it is quarantined; its note has the suffix ``.txt``."""
        return self.quarantine / reason.value / _plain(spool_id, ok=is_spool_id(spool_id))

    def find(self, spool_id: str) -> Path | None:
        """Where the original lies, or None if it is nowhere."""
        # Lazily: of ten thousand that are asked for together, nearly all lie in the first place.
        places = chain([self.original(spool_id)], (self.quarantined(spool_id, reason) for reason in Reason))
        return next((place for place in places if place.is_file() and not place.is_symlink()), None)

    def shards(self) -> Iterator[Path]:
        """The folders of received files."""
        return (self.received / name for name in SHARDS)

    def reason_folders(self) -> Iterator[tuple[Reason, Path]]:
        """The quarantine folders that exist."""
        return ((reason, folder) for reason in Reason if (folder := self.quarantine / reason.value).is_dir())


class Outside:
    """The paths of the outside: de-identified instances."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.making = root / "making"
        self.ready_root = root / "ready"
        self.rejected_root = root / "rejected"
        self.database = root / "outbox.db"

    def make(self) -> None:
        """Make every folder that a hot path needs."""
        _make(self.root, [self.making, self.ready_root, self.rejected_root], self.ready_root)

    def ready(self, out: str) -> Path:
        """Where the file lies while it is READY."""
        return self.ready_root / shard(out) / _plain(out, ok=is_out_name(out))

    def rejected(self, out: str, reason: Reason) -> Path:
        """Where the file lies while it is REJECTED; its note has the suffix ``.txt``."""
        return self.rejected_root / reason.value / _plain(out, ok=is_out_name(out))

    def shards(self) -> Iterator[Path]:
        """The folders of ready files."""
        return (self.ready_root / name for name in SHARDS)

    def reason_folders(self) -> Iterator[tuple[Reason, Path]]:
        """The rejected folders that exist."""
        return ((reason, folder) for reason in Reason if (folder := self.rejected_root / reason.value).is_dir())


def _make(root: Path, folders: list[Path], sharded: Path) -> None:
    make_folder(root)
    for folder in folders:
        make_folder(folder)
    if not (sharded / SHARDS[-1]).is_dir():  # made in order, so the last one means all
        for name in SHARDS:
            make_folder(sharded / name, sync=False)
        fsync_folder(sharded)
