"""Invented originals and de-identified files in the two sides, put there as the services do."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.dicom.meta import provenance_to_meta
from appliance.model import Arrival, Instance, Provenance, Ready, spool_id
from appliance.spool.inside import Passed, Spool
from appliance.spool.outbox import Making, Outbox
from appliance.spool.recovery import recover_inside, recover_outside

BEGAN = datetime(2026, 11, 20, 18, 15, 22, 123000, UTC)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
RESERVE = 1024


def arrival(
    number: int, *, source: str = "CT1", sop_instance: str | None = None, item: int = 0, size: int = 1000
) -> Arrival:
    """Return the ``number``-th arrival: a second after the one before."""
    moment = BEGAN + timedelta(seconds=number)
    calling = "CT SCANNER 1" if not item else ""
    return Arrival(
        id=spool_id(moment, source, f"n{number:07d}"),
        received=moment,
        provenance=Provenance(source, "main", calling, "EDGE" if calling else "", "10.0.0.7", "", item),
        sop_class=CT,
        sop_instance=f"1.2.3.{number}" if sop_instance is None else sop_instance,
        transfer_syntax=EXPLICIT,
        size=size,
    )


def out_of(spool_id_: str, round_: int = 1) -> str:
    """Return an outside name as ``deid.pseudonyms.out_name`` would: the same for the same id and round."""
    digest = hashlib.sha256(f"{spool_id_} {round_}".encode()).digest()
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[byte & 31] for byte in digest)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = (BEGAN + timedelta(hours=1)).timestamp()

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Both sides in a folder, and what the services do with them."""

    root: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.spool = Spool(self.root / "inside", reserve_bytes=RESERVE, clock=self.clock)
        self.outbox = Outbox(self.root / "outside", clock=self.clock)

    def close(self) -> None:
        self.spool.close()
        self.outbox.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def crash(self) -> None:
        """Let go of both sides as a killed process does: nobody says that it ended cleanly."""
        self.close_without_saying_so()
        self.open()

    def close_without_saying_so(self) -> None:
        for side in (self.spool, self.outbox):
            side.custody.database.close()

    def recover(self, window: int = 100_000) -> None:
        recover_inside(self.spool, self.outbox, window=window).finish()
        recover_outside(self.outbox).finish()

    # --- inside ---------------------------------------------------------------------------------------------------

    def write(self, arrived: Arrival) -> Path:
        """Make the received file, durable, without a row."""
        with self.spool.receiving("test") as receiving, receiving.draft() as draft:
            draft.write(
                provenance_to_meta(
                    arrived.provenance, arrived.sop_class, arrived.sop_instance, arrived.transfer_syntax
                ).encode()
            )
            draft.write(arrived.id.encode())
            return draft.keep(arrived.id)

    def receive(self, *numbers: int, **more: object) -> list[Instance]:
        """Receive files and give them their rows; return the rows."""
        arrivals = [arrival(number, **more) for number in numbers]  # type: ignore[arg-type]
        for each in arrivals:
            self.write(each)
        self.spool.arrived(arrivals)
        return [self.instance(each.id) for each in arrivals]

    def instance(self, spool_id_: str) -> Instance:
        found = self.spool.journal.instance(spool_id_)
        assert found is not None
        return found

    def body(self, spool_id_: str) -> bytes:
        return self.spool.original(spool_id_).read_bytes()

    # --- passing --------------------------------------------------------------------------------------------------

    def ready(self, instance: Instance, **more: object) -> Ready:
        facts: dict[str, object] = {
            "out": out_of(instance.id, instance.round),
            "round": instance.round,
            "sop_class": CT,
            "sop_instance": f"2.25.{instance.sop_instance.replace('.', '')}",
            "study": "2.25.1",
            "series": "2.25.2",
            "transfer_syntax": EXPLICIT,
            "digest": hashlib.sha256(instance.id.encode()).hexdigest(),
            "size": 100,
            "source": instance.provenance.source,
            "project": "main",
            "rules_digest": "rules",
            "destinations": ("research",),
            "supersedes": instance.out,
        }
        return Ready(**{**facts, **more})  # type: ignore[arg-type]

    def stage(self, making: Making, ready: Ready) -> tuple[Ready, Path]:
        staged = making.folder / f"{ready.out}.dcm"
        staged.write_bytes(b"de-identified " + ready.out.encode())
        return ready, staged

    def admit(self, instances: Iterable[Instance], **more: object) -> list[Ready]:
        """Give the outside what was made of these, without telling the journal."""
        with self.outbox.making() as making:
            made = [self.stage(making, self.ready(instance, **more)) for instance in instances]
            self.outbox.admit(made)
        return [ready for ready, _ in made]

    def pass_on(self, instances: Iterable[Instance], **more: object) -> list[Ready]:
        instances = list(instances)
        admitted = self.admit(instances, **more)
        self.spool.passed(
            [
                Passed(instance, ready.out, ready.sop_instance, ready.study, f"digest of {instance.id}", "rules")
                for instance, ready in zip(instances, admitted, strict=True)
            ]
        )
        return admitted

    def follow(self) -> None:
        generation = self.outbox.generation
        settled = self.outbox.settled_since(self.spool.followed(generation), 1000)
        self.spool.follow(settled, generation)

    def parcels(self, destination: str = "research", **more: object) -> list:
        how = {"limit": 100, "max_bytes": 10**9, "now": self.clock(), "busy": set(), **more}
        return self.outbox.claim(destination, **how)  # type: ignore[arg-type]

    def deliver(self, destination: str = "research") -> list[str]:
        """Deliver everything that is due; return the outside names."""
        done = []
        while parcels := self.parcels(destination):
            self.outbox.stored(parcels, destination, self.clock())
            done += [parcel.out for parcel in parcels]
        return done
