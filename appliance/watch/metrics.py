"""What each service counts. Label values come from closed sets: configured names and our own enums, never the network.

Every class takes the registry of its process and offers the methods that its service's observer has; a call is quick,
may come from any thread and never raises. Names beginning with ``dicom_`` are those that dashboards of DICOM importers
already know; ``clinic_id`` is the closed label of the source.
"""

import re
from collections.abc import Collection, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from appliance.lifecycle import VISIBLE
from appliance.model import UNLISTED
from appliance.reasons import Reason

OTHER = "other"  # a label value that is none of the closed set: counted, not named

ANSWER_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
IMPORT_BUCKETS = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
UPLOAD_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_WORD = re.compile(r"[a-zA-Z0-9_-]{1,40}")


def _word(value: str) -> str:
    """A value of one of our enums as a label; anything that does not look like one is ``other``."""
    return value if _WORD.fullmatch(value) else OTHER


class Standing(Protocol):
    """How things stand in a source's inbox folders.

    items        seen and not done; active: being taken now
    lag_s        for how long the longest waiting one has been there
    unreachable  folders that cannot be used; unmoved: files that could not be moved out of the way
    """

    @property
    def items(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def lag_s(self) -> float: ...
    @property
    def unreachable(self) -> int: ...
    @property
    def unmoved(self) -> int: ...


class ReceiveMetrics:
    """The DICOM receiver's."""

    def __init__(self, registry: CollectorRegistry, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        self._received = _received(registry)
        self._bytes = _received_bytes(registry)
        self._answer = Histogram(
            "appliance_store_response_seconds",
            "From the last byte of a data set to the C-STORE answer Success.",
            buckets=ANSWER_BUCKETS,
            registry=registry,
        )
        self._refused = Counter(
            "appliance_store_refused", "C-STOREs answered with a failure.", ["source", "status"], registry=registry
        )
        self._open = Gauge("appliance_associations", "Associations open now.", ["source"], registry=registry)
        self._ended = Counter(
            "appliance_associations_ended", "Associations that ended, and how.", ["source", "how"], registry=registry
        )
        self._rejected = Counter(
            "appliance_associations_rejected", "Associations rejected.", ["reason"], registry=registry
        )
        self._not_begun = Counter(
            "appliance_connections_refused",
            "Connections that never asked for an association.",
            ["why"],
            registry=registry,
        )
        self._echoes = Counter("appliance_echoes", "C-ECHOs answered.", ["source"], registry=registry)
        self._rows = Gauge("appliance_rows_waiting", "Durable files whose row is not yet written.", registry=registry)
        self._commitments = Gauge(
            "appliance_commitments", "Requests for storage commitment.", ["source", "state"], registry=registry
        )

    def knows(self, sources: Collection[str]) -> None:
        """From now on these are the configured sources."""
        self._sources = frozenset(sources)

    def accepted(self, source: str) -> None:
        """An association was accepted."""
        self._open.labels(self._source(source)).inc()

    def ended(self, source: str, how: str) -> None:
        """An accepted association is over."""
        self._open.labels(self._source(source)).dec()
        self._ended.labels(self._source(source), _word(how)).inc()

    def rejected(self, reason: str) -> None:
        """An association was rejected."""
        self._rejected.labels(_word(reason)).inc()

    def refused_connection(self, why: str) -> None:
        """A connection ended before it asked for anything."""
        self._not_begun.labels(_word(why)).inc()

    def stored(self, source: str, size: int, seconds: float) -> None:
        """An instance is durable and was answered with Success."""
        self._received.labels(self._source(source)).inc()
        self._bytes.labels(self._source(source)).inc(size)
        self._answer.observe(seconds)

    def refused(self, source: str, status: str) -> None:
        """An instance was answered with a failure and is not stored."""
        self._refused.labels(self._source(source), _word(status)).inc()

    def echoed(self, source: str) -> None:
        """A C-ECHO was answered."""
        self._echoes.labels(self._source(source)).inc()

    def rows_waiting(self, count: int) -> None:
        """Durable files whose rows the journal has not taken yet."""
        self._rows.set(count)

    def commitments(self, counts: Mapping[tuple[str, str], int]) -> None:
        """How many requests for storage commitment of each source are in each state."""
        self._commitments.clear()
        for (source, state), n in counts.items():
            self._commitments.labels(self._source(source), _word(state.lower())).set(n)

    def _source(self, source: str) -> str:
        return source if source in self._sources else UNLISTED


class InboxMetrics:
    """The inbox service's."""

    def __init__(self, registry: CollectorRegistry, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        self._waiting: dict[str, tuple[int, int]] = {}
        self._received = _received(registry)
        self._bytes = _received_bytes(registry)
        self._refused = Counter(
            "appliance_inbox_refused", "Files of the inbox that were not taken.", ["source", "why"], registry=registry
        )
        self._lag = Gauge(
            "appliance_inbox_lag_seconds",
            "Age of the longest waiting item of the inbox.",
            ["source"],
            registry=registry,
        )
        self._unreachable = Gauge(
            "appliance_inbox_unreachable", "Clinics' folders that cannot be used now.", ["source"], registry=registry
        )
        self._root = Gauge("appliance_inbox_root_unreachable", "1 while the inbox cannot be read.", registry=registry)
        self._unmoved = Gauge(
            "appliance_inbox_unmoved", "Files dealt with that could not be moved away.", ["source"], registry=registry
        )
        self._strays = Gauge("appliance_inbox_strays", "Files that lie in no clinic's folder.", registry=registry)
        self._imports = Counter(
            "dicom_imports", "Inbox items done, by how they ended.", ["clinic_id", "status"], registry=registry
        )
        self._duration = Histogram(
            "dicom_import_duration_seconds",
            "From taking an inbox item up to its receipt.",
            ["clinic_id"],
            buckets=IMPORT_BUCKETS,
            registry=registry,
        )
        self._pending = Gauge("dicom_pending_imports", "Inbox items seen and not done.", registry=registry)
        self._active = Gauge("dicom_active_imports", "Inbox items being taken now.", registry=registry)

    def taken(self, source: str, size: int) -> None:
        """A file of the inbox is durable in the house."""
        self._received.labels(self._source(source)).inc()
        self._bytes.labels(self._source(source)).inc(size)

    def refused(self, source: str, why: str) -> None:
        """A file of the inbox was not taken."""
        self._refused.labels(self._source(source), _word(why)).inc()

    def item(self, source: str, status: str, seconds: float) -> None:
        """An item is done; ``status`` is success, partial, failed or error."""
        self._imports.labels(self._source(source), _word(status)).inc()
        self._duration.labels(self._source(source)).observe(seconds)

    def standing(self, source: str, standing: Standing) -> None:
        """How things stand in the folders of ``source`` now."""
        label = self._source(source)
        self._lag.labels(label).set(standing.lag_s)
        self._unreachable.labels(label).set(standing.unreachable)
        self._unmoved.labels(label).set(standing.unmoved)
        self._waiting[label] = (standing.items, standing.active)
        waiting = list(self._waiting.values())
        self._pending.set(sum(items for items, _ in waiting))
        self._active.set(sum(active for _, active in waiting))

    def root_unreachable(self, is_so: bool) -> None:
        """Whether the inbox itself, above the clinics' folders, can be read."""
        self._root.set(int(is_so))

    def strays(self, count: int) -> None:
        """Files directly in the inbox, in no clinic's folder."""
        self._strays.set(count)

    def _source(self, source: str) -> str:
        return source if source in self._sources else UNLISTED


class DeidentifyMetrics:
    """The de-identify service's."""

    def __init__(self, registry: CollectorRegistry, sources: Collection[str]) -> None:
        self._sources = frozenset(sources)
        self._deidentified = Counter(
            "appliance_deidentified", "Instances passed on to the outside.", ["source"], registry=registry
        )
        self._withheld = Counter(
            "appliance_withheld",
            "Instances quarantined, held, excluded or found to be duplicates, by reason.",
            ["source", "reason"],
            registry=registry,
        )
        self._mixed = Counter(
            "appliance_mixed_studies", "Studies in which a second Patient ID was met.", ["source"], registry=registry
        )

        for source in self._sources:  # the first one counts too: a series that is not there yet has no increase
            self._mixed.labels(source)
        self._reports = Gauge(
            "appliance_reports_waiting", "Reports that cannot be kept now; images pass on.", registry=registry
        )

    def reports_waiting(self, count: int) -> None:
        """How many reports wait to be kept."""
        self._reports.set(count)

    def mixed_study(self, source: str) -> None:
        """An instance brought a second Patient ID into its study."""
        self._mixed.labels(self._source(source)).inc()

    def deidentified(self, source: str) -> None:
        """An instance passed to the outside."""
        self._deidentified.labels(self._source(source)).inc()

    def withheld(self, source: str, reason: Reason) -> None:
        """An instance was not passed on."""
        self._withheld.labels(self._source(source), reason.value).inc()

    def _source(self, source: str) -> str:
        return source if source in self._sources else UNLISTED


class PurgeMetrics:
    """What the daily comparison of the inside's books with the disk found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._missing = Gauge(
            "appliance_originals_missing",
            "Images that wait and have no file, by state; it must be 0.",
            ["state"],
            registry=registry,
        )
        self._uncounted = Gauge(
            "appliance_rows_uncounted", "How far the counts are from the rows; it must be 0.", registry=registry
        )

    def books(self, missing: Mapping[str, int], uncounted: int) -> None:
        """The books were compared."""
        for state in VISIBLE:
            self._missing.labels(state.value).set(missing.get(state.value, 0))
        self._uncounted.set(uncounted)


class ForwardMetrics:
    """The forward service's."""

    def __init__(self, registry: CollectorRegistry, destinations: Collection[str], sources: Collection[str]) -> None:
        self._destinations = frozenset(destinations)
        self._sources = frozenset(sources)
        self._forwarded = Counter(
            "appliance_forwarded", "Instances that a destination named as stored.", ["destination"], registry=registry
        )
        self._bytes = Counter(
            "appliance_forwarded_bytes", "Bytes of the instances named as stored.", ["destination"], registry=registry
        )
        self._refused = Counter(
            "appliance_rejected",
            "Instances a destination refused for good.",
            ["destination", "reason"],
            registry=registry,
        )
        self._later = Counter(
            "appliance_delivery_retries", "Deliveries put off to be tried again.", ["destination"], registry=registry
        )
        self._open = Gauge(
            "appliance_breaker_open", "1 while nothing is sent to a destination.", ["destination"], registry=registry
        )
        self._paused = Gauge(
            "appliance_destination_paused",
            "1 while a person lets nothing go to a destination.",
            ["destination"],
            registry=registry,
        )
        self._uploaded = Counter(
            "dicom_instances_uploaded",
            "Instances of a clinic stored by a destination.",
            ["clinic_id"],
            registry=registry,
        )
        self._duration = Histogram(
            "dicom_upload_duration_seconds", "One delivery, a batch.", buckets=UPLOAD_BUCKETS, registry=registry
        )
        for name in self._destinations:
            self._open.labels(name).set(0)
            self._paused.labels(name).set(0)

    def stored(self, destination: str, source: str, size: int) -> None:
        """A destination named the instance as stored."""
        self._forwarded.labels(self._destination(destination)).inc()
        self._bytes.labels(self._destination(destination)).inc(size)
        self._uploaded.labels(source if source in self._sources else UNLISTED).inc()

    def refused(self, destination: str, reason: Reason) -> None:
        """A destination refused the instance for good."""
        self._refused.labels(self._destination(destination), reason.value).inc()

    def later(self, destination: str, count: int) -> None:
        """Deliveries were put off."""
        self._later.labels(self._destination(destination)).inc(count)

    def delivered(self, destination: str, seconds: float) -> None:
        """A batch was answered, whatever the answer was."""
        del destination  # the name is known to dashboards without a label
        self._duration.observe(seconds)

    def breaker(self, destination: str, is_open: bool) -> None:
        """Whether the breaker of a destination is open."""
        self._open.labels(self._destination(destination)).set(int(is_open))

    def paused(self, destination: str, by_person: bool) -> None:
        """Whether a person paused a destination."""
        self._paused.labels(self._destination(destination)).set(int(by_person))

    def _destination(self, name: str) -> str:
        return name if name in self._destinations else OTHER


def _received(registry: CollectorRegistry) -> Counter:
    return Counter("appliance_received", "Instances made durable and acknowledged.", ["source"], registry=registry)


def _received_bytes(registry: CollectorRegistry) -> Counter:
    return Counter("appliance_received_bytes", "Bytes of the instances received.", ["source"], registry=registry)
