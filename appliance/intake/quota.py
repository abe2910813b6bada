"""How much of the disk a source may take, so that one scanner cannot fill it for all others.

What counts are originals on the disk, delivered ones too until they are purged. Rows follow files by a fraction of a
second and are asked for once a second, so a source may go beyond its quota by what it sends in that time to other
processes that receive, and by the instance that reaches it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from appliance.config import Config, GiB
from appliance.errors import SpoolFull

LOOK_S = 1.0  # how old the sum of the rows may be


class OverQuota(SpoolFull):
    """A source has as much on the disk as it may: this source is told to come later, others are not."""


def quotas_of(config: Config) -> dict[str, int]:
    """Return source -> bytes that it may have on the disk; a source without a quota is not in it."""
    site = config.spool.quota_gb
    peers = () if config.scp.peers == "any" else config.scp.peers
    clinics = () if config.inbox is None else tuple(config.inbox.clinics.values())
    named = [(each.source, each.quota_gb) for each in peers] + [(each.source, each.quota_gb) for each in clinics]
    wanted = dict.fromkeys(config.sources, site) | {source: gb for source, gb in named if gb is not None}
    return {source: int(gb * GiB) for source, gb in wanted.items() if gb is not None}


class Quotas:
    """Whether a source may send more. Its methods may be called from any thread.

    allowed  source -> bytes
    held     returns source -> bytes that the rows know of
    clock    seconds, monotonic
    """

    def __init__(
        self,
        allowed: Mapping[str, int],
        held: Callable[[], Mapping[str, int]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._held = held
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Mapping[str, int] = {}
        self._looked = float("-inf")
        self._since: Counter[str] = Counter()  # taken since the rows were asked, or not in them yet

    def demand_room(self, source: str, unrowed: Callable[[], Mapping[str, int]]) -> None:
        """Raise OverQuota if a source has as much as it may.

        unrowed  returns source -> bytes of this process's files that have no row yet
        """
        allowed = self._allowed.get(source)
        if allowed is None:
            return
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._looked < LOOK_S:
                self._since = Counter(unrowed())  # before the rows: what gets one meanwhile counts twice, not never
                self._known, self._looked = self._held(), now
            used = self._known.get(source, 0) + self._since[source]
        if used >= allowed:
            raise OverQuota(
                f"'{source}' has {used / GiB:.1f} GB on the disk, as much as its quota_gb allows: it is told to come "
                "later and keeps what it has; others go on. Look what of it waits (appliance queue), or raise quota_gb."
            )

    def took(self, source: str, size: int) -> None:
        """A file of this source was kept."""
        with self._lock:
            self._since[source] += size
