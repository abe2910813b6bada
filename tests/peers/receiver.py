"""Our receiver in this process on a free port, over a shelf that can be made to fail.

The shelf stands in for the spool where a test needs a disk that is full at a certain byte or a journal that is locked;
the end-to-end tests use the real one.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance import config
from appliance.intake import tls
from appliance.intake.association import House
from appliance.intake.callers import Callers
from appliance.intake.commitment import Keep
from appliance.intake.door import Door, Entry
from appliance.intake.listening import listeners
from appliance.intake.observed import Observed
from appliance.intake.peers import Peers
from appliance.intake.scp import Scp
from appliance.model import Arrival


class ShelfDraft:
    def __init__(self, shelf: "Shelf", path: Path) -> None:
        self._shelf = shelf
        self.path = path
        self.file = path.open("xb", buffering=0)

    def write(self, piece: bytes | memoryview) -> None:
        self._shelf.on_write(self.file.tell() + len(piece))
        self.file.write(piece)

    def keep(self, id: str) -> Path:
        self._shelf.on_keep(id)
        self.file.close()
        return self.path.rename(self._shelf.received / f"{id}.dcm")

    def drop(self) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)


def _nothing(_fact: object) -> None:
    """No fault."""


class Shelf:
    """Files in two folders, rows in a list, and faults on request.

    on_write(size of the file with this write), on_keep(id), on_arrived(arrivals)  may raise
    """

    def __init__(self, root: Path) -> None:
        self.receiving_folder = root / "receiving"
        self.received = root / "received"
        self.receiving_folder.mkdir(parents=True)
        self.received.mkdir()
        self.rows: list[Arrival] = []
        self.room = True
        self.on_write: Callable[[int], None] = _nothing
        self.on_keep: Callable[[str], None] = _nothing
        self.on_arrived: Callable[[Sequence[Arrival]], None] = _nothing
        self._number = 0
        self._lock = threading.Lock()

    def receiving(self, role: str) -> "Shelf":
        return self

    def draft(self) -> ShelfDraft:
        with self._lock:
            self._number += 1
            return ShelfDraft(self, self.receiving_folder / str(self._number))

    def close(self) -> None:
        """Nothing to give up."""

    def arrived(self, arrivals: list[Arrival]) -> None:
        self.on_arrived(arrivals)
        self.rows += arrivals

    @property
    def has_room(self) -> bool:
        return self.room

    @property
    def halves(self) -> list[Path]:
        """Files in the making."""
        return list(self.receiving_folder.iterdir())

    @property
    def files(self) -> list[Path]:
        """Kept files, oldest first."""
        return sorted(self.received.iterdir())


@dataclass
class Seen:
    """What the receiver told whoever watches."""

    accepted: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    refused_connections: list[str] = field(default_factory=list)
    stored: list[tuple[str, int, float]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    echoed: list[str] = field(default_factory=list)

    def observed(self) -> Observed:
        return Observed(
            accepted=self.accepted.append,
            ended=lambda *facts: self.ended.append(facts),
            rejected=self.rejected.append,
            refused_connection=self.refused_connections.append,
            stored=lambda *facts: self.stored.append(facts),
            refused=lambda *facts: self.refused.append(facts),
            echoed=self.echoed.append,
        )


@dataclass
class Receiver:
    """A running receiver."""

    shelf: Shelf
    scp: Scp
    door: Door
    port: int
    tls_port: int
    seen: Seen
    callers: Callers


@contextmanager
def receiver(
    root: Path,
    *,
    project_of: Callable[[str], str] | None = None,
    called: frozenset[str] = frozenset(),
    differs: Callable[[Entry], bool] | None = None,
    commit: Keep | None = None,
    **section: object,
) -> Iterator[Receiver]:
    """Run a receiver on loopback; ``section`` is the configuration's scp section.

    commit  keeps requests for storage commitment of every caller
    """
    scp = config.Scp(**{"ae_title": "EDGE", "host": "127.0.0.1", "port": 0, "drain_s": 0, **section})  # type: ignore[arg-type]
    seen = Seen()
    shelf = Shelf(root)
    door = Door(shelf, role="receive", observed=seen.observed(), batch_s=0.02)
    opened = listeners(scp, {})
    encryption = tls.server_context(scp.tls) if scp.tls else None
    peers = Peers(scp, called=called, **({"project_of": project_of} if project_of else {}))
    callers = Callers(root / "callers.json")
    house = House(scp, peers, door, seen.observed(), tls=encryption, differs=differs, callers=callers)
    house = replace(house, commits=lambda _provenance: commit)
    running = Scp(opened, house)
    running.start()
    try:
        yield Receiver(shelf, running, door, opened[0].port, opened[-1].port, seen, callers)
    finally:
        running.drain(0)
        door.close()


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
