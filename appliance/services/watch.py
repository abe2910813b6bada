"""The watch service: metrics and health for whoever monitors, messages to whoever decides. No image is changed."""

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from appliance import __version__
from appliance.config import Config
from appliance.intake.quota import quotas_of
from appliance.services.desk import Desk
from appliance.services.status import sample, shown
from appliance.spool.overview import Overview
from appliance.watch.health import problems
from appliance.watch.scrape import Watched, scrape
from appliance.watch.status_page.page import FORMS_POLICY, POLICY, html
from appliance.watch.trend import Trend
from appliance.watch.web import Asked, Page, Web, as_json

TEXT = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' exposition format


class Chore(Protocol):
    """Something done now and then: ``step`` returns whether there was something to do, and never waits for long."""

    def step(self) -> bool: ...


class Ending(Chore, Protocol):
    """A chore that has something to say when the service stops. ``end`` takes some seconds at most."""

    def end(self) -> None: ...


class Watch:
    """Answers on ``watch.host`` and ``watch.port``, in the server's threads; the loop does the chores."""

    name = "watch"

    def __init__(
        self,
        config: Config,
        *,
        chores: Sequence[Chore] = (),
        relay: Ending | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._watched = watched_of(config)
        self._trend = Trend(lambda now: sample(self._watched, now), clock)
        self._relay = relay
        self._chores = (*chores, self._trend, *(() if relay is None else (relay,)))

    def start(self) -> None:
        """Open the port. Raises CannotStart when it cannot be had."""
        self._overview = Overview(self._config.state)
        self._desk = Desk(self._config, self._overview, monotonic=self._monotonic)
        looked_at = {
            "/metrics": self._metrics,
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/": self._index,
        }
        self._web = Web(
            *(self._config.watch.host, self._config.watch.port),
            {**looked_at, **self._desk.routes()},
            self._desk.forms(),
        )

    @property
    def port(self) -> int:
        """The port; useful when the configuration says 0."""
        return self._web.port

    def step(self) -> bool:
        """Give every chore its turn."""
        busy = [chore.step() for chore in self._chores]  # all of them, before anything is said
        return any(busy)

    def stop(self) -> None:
        """Close the port and the databases, and tell the audit's receiver."""
        self._web.close()
        self._overview.close()
        if self._relay is not None:
            self._relay.end()

    def _metrics(self, _: Asked) -> Page:
        return Page(scrape(self._watched, self._overview, self._clock), TEXT)

    def _live(self, _: Asked) -> Page:
        return as_json({"live": True, "version": __version__})

    def _ready(self, _: Asked) -> Page:
        found = problems(self._watched, self._overview, self._clock)
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        told = [{"what": problem.what, "do": problem.do} for problem in found]
        return as_json({"ready": not found, "site": self._config.site, "problems": told}, status)

    def _index(self, asked: Asked) -> Page:
        found = shown(self._config, self._watched, self._overview, self._trend, self._clock())
        at_page = self._desk.at_page(asked)
        policy = FORMS_POLICY if at_page.name else POLICY
        return Page(html(found, at_page).encode(), "text/html; charset=utf-8", policy=policy)


def services_of(config: Config) -> tuple[str, ...]:
    """Return the services without which the appliance does not do its work as configured."""
    return ("receive", *(("inbox",) if config.inbox is not None else ()), "deidentify", "forward")


def watched_of(config: Config) -> Watched:
    """Return where to look at the services of this configuration."""
    return Watched(
        config.state,
        config.site,
        config.spool.reserve_bytes,
        services_of(config),
        config.backup is not None,
        quotas_of(config),
    )
