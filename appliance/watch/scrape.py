"""What Prometheus reads: the services' own counts, and gauges made of both sides' rows at this moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily

from appliance import __version__
from appliance.lifecycle import State
from appliance.spool.files import free_bytes
from appliance.spool.overview import Overview, Unreadable
from appliance.watch.published import HEARTBEAT, exposition, merged, read

SIDES = ("inside", "outside")


@dataclass(frozen=True, slots=True)
class Watched:
    """Where to look.

    state          the state folder; each side's services publish in ``<side>/metrics``
    site           its name, a label
    reserve_bytes  below this much free space nothing is received
    services       the roles that ought to run
    backs_up       whether the configuration asks for backups
    quotas         source -> bytes of its originals that may be on the disk; a source without a quota is not in it
    """

    state: Path
    site: str
    reserve_bytes: int
    services: tuple[str, ...]
    backs_up: bool = False
    quotas: Mapping[str, int] = field(default_factory=dict)

    def families(self) -> list[Metric]:
        """What the services published last."""
        files = sorted(file for side in SIDES for file in (self.state / side / "metrics").glob("*.prom"))
        return [family for file in files for family in read(file)]

    def merged(self) -> list[Metric]:
        """The same, one family for each name."""
        return merged(self.families())

    def heartbeats(self) -> dict[str, float]:
        """When each service last took a step, seconds since the epoch; none that never did."""
        return {
            sample.labels["service"]: sample.value
            for family in self.families()
            if family.name == HEARTBEAT
            for sample in family.samples
        }

    def free(self) -> dict[str, int]:
        """Free bytes of each side's file system; none of a side that is not there yet."""
        found = {}
        for side in SIDES:
            folder = self.state / side
            if folder.is_dir():
                found[side] = free_bytes(folder)
        return found


def scrape(watched: Watched, overview: Overview, clock: Callable[[], float]) -> bytes:
    """Return everything in Prometheus' text format; ``appliance_rows_readable`` is 0 when the rows cannot be read."""
    families = watched.merged()
    families.extend(_machine(watched))
    families.append(
        _gauge("appliance_quota_bytes", "What a source may have on the disk.", _keys(watched.quotas), "source")
    )
    families.append(_gauge("appliance_clock_seconds", "This machine's clock, since the epoch.", {(): clock()}))
    try:
        families.extend(_rows(overview, clock()))
        families.append(_gauge("appliance_rows_readable", "1 if both sides' rows can be read.", {(): 1}))
    except Unreadable:
        families.append(_gauge("appliance_rows_readable", "1 if both sides' rows can be read.", {(): 0}))
    return exposition(families)


def _machine(watched: Watched) -> Iterator[Metric]:
    yield _gauge("appliance_info", "Always 1.", {(watched.site, __version__): 1}, "site", "version")
    yield _gauge(
        "appliance_free_bytes",
        "Free space of the file system of each side.",
        {(side,): free for side, free in watched.free().items()},
        "side",
    )
    yield _gauge("appliance_reserve_bytes", "Below this nothing is received.", {(): watched.reserve_bytes})
    yield _gauge("appliance_backup_configured", "1 if backups are to be made.", {(): int(watched.backs_up)})


def _rows(overview: Overview, now: float) -> Iterator[Metric]:
    tally = overview.tally()
    yield _gauge("appliance_instances", "Instances by state.", _first(tally.states), "state")
    yield _gauge(
        "appliance_quarantined",
        "Instances in quarantine, by reason.",
        {(reason,): n for (state, reason), n in tally.by_reason.items() if state is State.QUARANTINED},
        "reason",
    )
    yield _gauge(
        "appliance_waiting_for_a_person",
        "Instances held, quarantined or rejected, by reason.",
        {
            (state.value, reason): n
            for (state, reason), n in tally.by_reason.items()
            if state in (State.HELD, State.QUARANTINED, State.REJECTED)
        },
        "state",
        "reason",
    )
    oldest = overview.oldest_waiting(now)
    yield _gauge("appliance_oldest_waiting_seconds", "Age of the oldest waiting instance.", _first(oldest), "state")
    yield _gauge(
        "appliance_deliveries",
        "Deliveries by destination and state.",
        {
            (destination, state.lower()): n
            for destination, states in overview.destinations().items()
            for state, n in states.items()
        },
        "destination",
        "state",
    )
    yield _gauge(
        "appliance_recalls",
        "Recalls by destination and state; impossible: a person has to delete it there, or look.",
        {
            (destination, state.lower()): n
            for destination, states in overview.recall_counts().items()
            for state, n in states.items()
        },
        "destination",
        "state",
    )
    yield _gauge("appliance_held_bytes", "Originals of a source on the disk.", _keys(overview.held()), "source")
    yield _gauge(
        "appliance_reconciliation",
        "Instances that a destination named as stored and does not have, by state; missing and sent_again: it must be"
        " 0; there: again, accepted: by a person.",
        {
            (destination, state.lower()): n
            for destination, states in overview.missing_counts().items()
            for state, n in states.items()
        },
        "destination",
        "state",
    )
    yield _gauge(
        "appliance_reconciled_timestamp_seconds",
        "When a destination was last asked whether it has what it named as stored; the first start if it never was.",
        {(destination,): at for destination, at in overview.reconciled().items()},
        "destination",
    )


def _keys(values: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _first(values: Mapping[State, float]) -> dict[tuple[str, ...], float]:
    return {(state.value,): value for state, value in values.items()}


def _gauge(name: str, words: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in _sorted(values.items()):
        family.add_metric(key, value)
    return family


def _sorted(items: Iterable[tuple[tuple[str, ...], float]]) -> list[tuple[tuple[str, ...], float]]:
    return sorted(items)
