"""One service's metrics as a file that the watch service reads: the services share no memory and no port.

The loop that does the work replaces the file every PERIOD_S, so its heartbeat says that the work goes on, not that a
thread does. Counters and histograms go on where the file of the process before left them. The file is not synced: after
a power cut they begin at zero, which Prometheus takes as a restart.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from appliance.errors import Unsafe
from appliance.spool.files import make_folder, open_regular

log = logging.getLogger(__name__)

PERIOD_S = 2.0
HEARTBEAT = "appliance_heartbeat_timestamp_seconds"
LARGEST = 4 * 1024 * 1024  # bytes of a file that are read

_NAME = re.compile(r"(appliance|dicom)_[a-z0-9_]{1,80}")
_LABEL = re.compile(r"[A-Za-z0-9_+.-]{0,64}")
_ADDING_UP = ("counter", "histogram")


class Published:
    """The registry of a process and the file that shows it.

    role   the service, which names the file
    clock  seconds since the epoch
    """

    def __init__(self, folder: Path, role: str, clock: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self.file = folder / f"{role}.prom"
        self._clock = clock
        self._role = role
        self._due = 0.0
        self._writes = True
        self._before = [family for family in read(self.file) if family.type in _ADDING_UP]
        self._heartbeat = Gauge(HEARTBEAT, "When the service last took a step.", ["service"], registry=self.registry)
        self._refused = Gauge(
            "appliance_configuration_refused",
            "1 while the configuration on the disk is not the one in force: it is wrong, or needs a restart.",
            ["service"],
            registry=self.registry,
        )
        self._refused.labels(role).set(0)
        self._failures = Counter(
            "appliance_step_failures", "Steps that raised and were tried again.", ["service"], registry=self.registry
        )

    def configuration(self, is_refused: bool) -> None:
        """Whether the configuration on the disk is refused, or waits for a restart, and the one before is in force."""
        self._refused.labels(self._role).set(int(is_refused))

    def failed(self) -> None:
        """A step raised."""
        self._failures.labels(self._role).inc()

    def beat(self) -> None:
        """Say that the work goes on; replace the file if it is time. Never raises: metrics must not stop the work."""
        now = self._clock()
        self._heartbeat.labels(self._role).set(now)
        if 0 <= self._due - now <= PERIOD_S:  # else it is due, or the clock was set
            return
        self._due = now + PERIOD_S
        try:
            self.write()
            self._writes = True
        except OSError as error:
            if self._writes:
                log.warning("metrics cannot be written; the work goes on", extra={"errno": error.errno})
            self._writes = False

    def write(self) -> None:
        """Replace the file now."""
        now = list(self.registry.collect())
        names = {family.name for family in now}
        put(self.file, merged([*now, *(family for family in self._before if family.name in names)]))


def put(file: Path, families: Iterable[Metric]) -> None:
    """Replace a file of metrics: also by who does something now and then, and has no heartbeat."""
    make_folder(file.parent)
    part = file.with_suffix(".part")
    part.write_bytes(exposition(families))
    part.replace(file)


def read(file: Path) -> list[Metric]:
    """Return the metric families in ``file``, none if it is missing or damaged.

    What another service wrote is not trusted: only our names and short plain labels are taken.
    """
    try:
        with open_regular(file) as body:
            text = body.read(LARGEST).decode("ascii", errors="replace")
        return [_plain(family) for family in text_string_to_metric_families(text) if _NAME.fullmatch(family.name)]
    except (OSError, Unsafe, ValueError, KeyError, IndexError):
        return []


def merged(families: Iterable[Metric]) -> list[Metric]:
    """Return one family for each name; samples of the same name and labels are added up."""
    found: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in families:
        found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        total = sums.setdefault(family.name, {})
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # a moment: it cannot be added up, and nobody asked for it
                key = sample.name, tuple(sorted(sample.labels.items()))
                total[key] = total.get(key, 0.0) + sample.value
    for name, family in found.items():
        for (sample_name, labels), value in sorted(sums[name].items(), key=_order):
            family.add_sample(sample_name, dict(labels), value)
    return list(found.values())


def exposition(families: Iterable[Metric]) -> bytes:
    """Return the families as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_Given(list(families)))
    return generate_latest(registry)


class _Given(Collector):
    """Families that are already collected, as a collector: the library's own way to hand them to its writer."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _plain(family: Metric) -> Metric:
    """The family with its plain samples only."""
    plain = Metric(family.name, family.documentation, family.type)
    for sample in family.samples:
        if sample.name.startswith(family.name) and _is_plain(sample.labels):
            plain.add_sample(sample.name, sample.labels, sample.value)
    return plain


def _is_plain(labels: Mapping[str, str]) -> bool:
    return all(_LABEL.fullmatch(value) for value in labels.values())


def _order(entry: tuple[tuple[str, tuple[tuple[str, str], ...]], float]) -> tuple[object, ...]:
    """Series together, buckets by their bound and before count and sum, as Prometheus demands."""
    (name, labels), _value = entry
    bound = float(dict(labels).get("le", "inf"))
    rest = tuple(label for label in labels if label[0] != "le")
    return rest, name, bound
