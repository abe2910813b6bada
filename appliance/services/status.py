"""What the status page shows, gathered from where each part knows it. Nothing is changed by looking."""

from appliance import __version__
from appliance.config import Config
from appliance.intake.callers import Caller, read_callers
from appliance.model import UNLISTED
from appliance.services.receive import callers_file
from appliance.spool.overview import Overview, Unreadable
from appliance.watch.health import problems
from appliance.watch.scrape import Watched
from appliance.watch.status_page.shown import Machine, Rows, Sender, Shown
from appliance.watch.told import Told
from appliance.watch.trend import Sample, Trend

STUDIES = 25  # shown
SENDERS = 10

RECEIVED, FORWARDED = "appliance_received", "appliance_forwarded"


def shown(config: Config, watched: Watched, overview: Overview, trend: Trend, now: float) -> Shown:
    """Return the page's content as of now (POSIX seconds)."""
    try:
        rows = _rows(overview, now)
    except Unreadable:
        rows = None
    return Shown(
        site=config.site,
        version=__version__,
        now=now,
        rows=rows,
        machine=_machine(config, watched, trend),
        senders=_senders(config),
        problems=[(each.what, each.do) for each in problems(watched, overview, lambda: now)],
    )


def sample(watched: Watched, now: float) -> Sample:
    """Return what the trend is made of."""
    told = Told(watched)
    counted = {f"to {name}": n for name, n in told.by_label(FORWARDED, "destination").items()}
    counted["received"] = sum(told.by_label(RECEIVED, "source").values())
    return Sample(now, counted, watched.free())


def _rows(overview: Overview, now: float) -> Rows:
    tally = overview.tally()
    missing = {
        destination: states.get("MISSING", 0) + states.get("SENT_AGAIN", 0)
        for destination, states in overview.missing_counts().items()
    }
    return Rows(
        tally=tally,
        oldest=overview.oldest_waiting(now),
        ages=overview.by_age(tally, now),
        destinations=overview.destinations(),
        missing=missing,
        asked=overview.reconciled(),
        pauses={name: pause.at for name, pause in overview.pauses().items()},
        studies=overview.newest_studies(STUDIES),
        rules=overview.newest_rules(),
    )


def _machine(config: Config, watched: Watched, trend: Trend) -> Machine:
    told = Told(watched)
    certificates = told.by_label("appliance_certificate_expiry_timestamp_seconds", "of")
    tokens = told.by_label("appliance_token_expiry_timestamp_seconds", "destination")
    open_ = told.by_label("appliance_breaker_open", "destination")
    return Machine(
        free={side: (free, trend.hours_left(side, watched.reserve_bytes)) for side, free in watched.free().items()},
        received=trend.per_hour("received"),
        forwarded={each.name: trend.per_hour(f"to {each.name}") for each in config.destinations},
        paused=frozenset(name for name, is_open in open_.items() if is_open),
        backup=told.value("appliance_backup_timestamp_seconds"),
        verified=told.value("appliance_backup_verified_timestamp_seconds"),
        damaged=int(told.value("appliance_backups_damaged") or 0),
        backs_up=watched.backs_up,
        audit_waits=None if config.audit.syslog is None else told.value("appliance_syslog_waiting_seconds"),
        ends={f"certificate of {name}": at for name, at in certificates.items()}
        | {f"token for {name}": at for name, at in tokens.items()},
    )


def _senders(config: Config) -> list[Sender]:
    """Return who failed lately, by configured name: what a stranger calls himself is not shown."""
    failed = [each for each in read_callers(callers_file(config)) if each.failures]
    failed.sort(key=lambda each: each.failures[-1].at, reverse=True)
    return [
        Sender(
            _source(config, each),
            each.failures[-1].at,
            each.worked_at > each.failures[-1].at,
            each.failures[-1].trouble.words.what,
            each.failures[-1].trouble.words.do,
        )
        for each in failed[:SENDERS]
    ]


def _source(config: Config, caller: Caller) -> str:
    peers = () if config.scp.peers == "any" else config.scp.peers
    return next((peer.source for peer in peers if peer.ae_title == caller.calling), UNLISTED)
