"""Whether the appliance is ready, and if not, what is wrong and what to do: for a load balancer and for a person."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.spool.overview import Overview, Unreadable
from appliance.watch.scrape import Watched

STALE_S = 30.0  # a service that took no step for so long is not at work; systemd's watchdog ends it about then
MiB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``what`` happened to what, what became of the images; ``do`` what to do."""

    what: str
    do: str


def problems(watched: Watched, overview: Overview, clock: Callable[[], float]) -> list[Problem]:
    """Return everything that keeps the appliance from being ready, the gravest first."""
    return [*_space(watched), *_rows(overview), *idle_services(watched, clock())]


def _space(watched: Watched) -> list[Problem]:
    return [
        Problem(
            f"Only {free // MiB} MiB are free for the {side} side, less than spool.reserve_gb "
            f"({watched.reserve_bytes // MiB} MiB). Senders are told to retry later; nothing is lost.",
            "Free space on that file system, or look what waits: appliance queue",
        )
        for side, free in watched.free().items()
        if free < watched.reserve_bytes
    ]


def _rows(overview: Overview) -> list[Problem]:
    try:
        overview.tally()
    except Unreadable as error:
        return [Problem(str(error), "See the log of the service that owns the database, and run: appliance doctor")]
    return []


def idle_services(watched: Watched, now: float) -> list[Problem]:
    """Return those of the services that took no step lately."""
    beats = watched.heartbeats()
    found = []
    for service in watched.services:
        beat = beats.get(service)
        # A beat from the future is as good as a fresh one: the clock was set back.
        if beat is None or now - beat > STALE_S:
            when = "has not started yet" if beat is None else f"took its last step {now - beat:.0f} s ago"
            found.append(
                Problem(
                    f"The service '{service}' {when}. What was received is kept; what it would do waits.",
                    f"See its log, then start it: systemctl restart appliance-{service}, or: appliance run {service}",
                )
            )
    return found
