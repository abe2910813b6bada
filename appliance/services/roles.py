"""Every role of ``appliance run``, made from the configuration, with its metrics beside it."""

import queue
import random
import socket
import time
from collections.abc import Callable
from functools import partial

from appliance.config import Config
from appliance.errors import CannotStart
from appliance.intake.inbox_observed import InboxObserved
from appliance.intake.observed import Observed
from appliance.services.alone import Alone
from appliance.services.carrier import Delivered
from appliance.services.deidentify import Deidentify
from appliance.services.forward import Forward, lane_to
from appliance.services.inbox import InboxService
from appliance.services.loop import Service
from appliance.services.outside_operator import OutsideOperator
from appliance.services.purge import Purge, PurgeInside, PurgeOutside
from appliance.services.recalling import Recalling, courier_to
from appliance.services.receive import Receive, callers_file
from appliance.services.reconciling import DAY_S, Reconciling, asker_to
from appliance.services.strangers import refused_since
from appliance.services.watch import Chore, Watch, watched_of
from appliance.spool.outbox import Outbox
from appliance.spool.overview import Overview
from appliance.spool.requests import Requests
from appliance.watch.audit import Audit
from appliance.watch.audit_check import AuditCheck
from appliance.watch.changes import Changes
from appliance.watch.expiry import Expiry
from appliance.watch.messages import Messages
from appliance.watch.metrics import DeidentifyMetrics, ForwardMetrics, InboxMetrics, PurgeMetrics, ReceiveMetrics
from appliance.watch.published import Published
from appliance.watch.recall_audit import RecallAudit
from appliance.watch.syslog.message import Origin
from appliance.watch.syslog.relay import Relay
from appliance.watch.syslog.rows import Rows

INSIDE, OUTSIDE = "inside", "outside"
SIDES = {
    "receive": INSIDE,
    "inbox": INSIDE,
    "deidentify": INSIDE,
    "forward": OUTSIDE,
    "purge-inside": INSIDE,
    "purge-outside": OUTSIDE,
    "purge": INSIDE,
    "watch": OUTSIDE,
}
ROLES = tuple(SIDES)
# A side each, as users of their own: what 'purge' does in one process.
HALVES = frozenset({"purge-inside", "purge-outside"})
# Several may receive on one socket, each in a folder of its own; watch decides nothing, and its port is its lock.
SEVERAL = frozenset({"receive", "watch"})


def roles_of(config: Config) -> tuple[str, ...]:
    """Return the roles that this configuration has work for."""
    return tuple(role for role in ROLES if role not in HALVES and (role != "inbox" or config.inbox is not None))


def published(role: str, config: Config) -> Published:
    """Return where a role's metrics go: a file on the side that it may write to."""
    return Published(config.state / SIDES[role] / "metrics", role, time.time)


def build(role: str, config: Config, to: Published, *, development: bool) -> Alone:
    """Return the service of ``role``, not started. Raises CannotStart for a role that there is none of; starting it
    raises CannotStart while another runs.

    development  a missing pseudonym key is made
    """
    builders: dict[str, Callable[[], Service]] = {
        "receive": partial(_receive, config, to),
        "inbox": partial(_inbox, config, to),
        "deidentify": partial(_deidentify, config, to, development=development),
        "forward": partial(_forward, config, to),
        "purge-inside": lambda: PurgeInside(config, PurgeMetrics(to.registry).books),
        "purge-outside": partial(PurgeOutside, config),
        "purge": lambda: Purge(config, PurgeMetrics(to.registry).books),
        "watch": partial(_watch, config, to),
    }
    if role not in builders:
        raise CannotStart(f"There is no role '{role}'. Roles: {', '.join(ROLES)}.")
    return Alone(role, builders[role], None if role in SEVERAL else config.state / SIDES[role] / f"{role}.lock")


def _receive(config: Config, to: Published) -> Service:
    metrics = ReceiveMetrics(to.registry, config.sources)
    Expiry(to.registry, certificates={} if config.scp.tls is None else {"scp": config.scp.tls.certificate})
    return Receive(
        config,
        Observed(
            accepted=metrics.accepted,
            ended=metrics.ended,
            rejected=metrics.rejected,
            refused_connection=metrics.refused_connection,
            stored=metrics.stored,
            refused=metrics.refused,
            echoed=metrics.echoed,
            rows_waiting=metrics.rows_waiting,
            commitments=metrics.commitments,
        ),
        knows=metrics.knows,
    )


def _inbox(config: Config, to: Published) -> Service:
    metrics = InboxMetrics(to.registry, config.sources)
    return InboxService(
        config,
        InboxObserved(
            taken=metrics.taken,
            refused=metrics.refused,
            item=metrics.item,
            standing=metrics.standing,
            strays=metrics.strays,
            root_unreachable=metrics.root_unreachable,
        ),
    )


def _deidentify(config: Config, to: Published, *, development: bool) -> Service:
    return Deidentify(config, DeidentifyMetrics(to.registry, config.sources), make_key=development)


def _forward(config: Config, to: Published) -> Service:
    _ends_of_logins(config, to)
    outbox = Outbox(config.state / OUTSIDE)
    outbox.exports.keep(is_asked=config.audit.syslog is not None)
    done: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
    chance = random.SystemRandom().random
    lanes = [lane_to(destination, done, chance=chance) for destination in config.destinations]
    reconciling = Reconciling(
        outbox,
        [
            asker_to(each, clock=time.monotonic, chance=chance)
            for each in config.destinations
            if each.url and each.reconciliation.days
        ],
        kept_s=config.retention.originals_days * DAY_S,
        clock=time.time,
    )
    return Forward(
        outbox,
        lanes,
        done,
        operator=OutsideOperator(
            outbox, Requests(config.state / "requests"), {lane.name: lane.breaker for lane in lanes}, reconciling
        ),
        reconciling=reconciling,
        recalling=Recalling(
            outbox,
            [courier_to(destination, clock=time.monotonic, chance=chance) for destination in config.destinations],
            clock=time.time,
            chance=chance,
        ),
        observer=ForwardMetrics(to.registry, [each.name for each in config.destinations], config.sources),
        chance=chance,
    )


def _watch(config: Config, to: Published) -> Service:
    folder = config.state / SIDES["watch"] / "metrics"
    audit = Audit(config.state / "audit")
    files = {"rules": config.rules, **{f"rules of {name}": each.rules for name, each in config.projects.items()}}
    named = {"configuration": config.file, **{name: file for name, file in files.items() if file is not None}}
    chores: list[Chore] = [
        AuditCheck(audit.file, to.registry, clock=time.time),
        Changes(named, folder / "noted.json", audit, clock=time.time),
        RecallAudit(config.state, folder / "recalls.json", audit, clock=time.time),
    ]
    if config.notify is not None:
        told, families = folder / "told.json", watched_of(config).families
        chores.append(Messages(config.notify, config.site, told, families, to.registry, clock=time.time))
    return Watch(config, chores=chores, relay=_relay(config, to, audit))


def _relay(config: Config, to: Published, audit: Audit) -> Relay | None:
    syslog = config.audit.syslog
    if syslog is None:
        return None
    if syslog.certificate is not None:
        Expiry(to.registry, certificates={"audit.syslog": syslog.certificate})
    node = socket.gethostname()
    origin = Origin(config.site, syslog.source_id or node, config.scp.ae_title, node)
    return Relay(
        syslog,
        origin,
        audit,
        Rows(Overview(config.state), origin, config.destinations, gather_s=syslog.gather_s),
        partial(refused_since, callers_file(config)),
        config.state / SIDES["watch"] / "metrics" / "syslog.json",
        to.registry,
        clock=time.time,
        chance=random.SystemRandom().random,
    )


def _ends_of_logins(config: Config, to: Published) -> None:
    """Have it told when what the destinations know us by ends."""
    certificates = {
        each.name: each.client_certificate.certificate
        for each in config.destinations
        if each.client_certificate is not None
    }
    tokens = {each.name: each.auth.token_file for each in config.destinations if each.auth.token_file is not None}
    Expiry(to.registry, certificates=certificates, tokens=tokens)
