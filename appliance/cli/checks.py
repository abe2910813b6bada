"""What ``doctor`` looks at. Each check yields findings and changes nothing; it may run beside a working appliance."""

import os
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from appliance.config import Config, Destination
from appliance.deid.ruleset import load_rules
from appliance.delivery import is_covered
from appliance.errors import CannotLook, CannotStart, ConfigError
from appliance.intake.commitment_report import NotTaken, report
from appliance.intake.tls import client_context
from appliance.mapping.keys import key_place, load_key
from appliance.mapping.store import MappingStore
from appliance.outlet.probe import probe
from appliance.services.watch import watched_of
from appliance.spool.files import free_bytes
from appliance.spool.overview import Overview, Unreadable
from appliance.watch.health import STALE_S, idle_services, problems

MiB = 1024 * 1024
EARLIEST = 1_767_225_600.0  # 2026-01-01: a clock before that was never set
AHEAD_S = 300.0  # a file from the future by more says that the clock went back
LEAST_INSTANCES = 128
STARTING_S = 10.0  # while others are at work: for one that was started a moment ago to take its first step
LOOK_S = 0.2


class Severity(IntEnum):
    """How bad it is."""

    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it ("" when it is fine)."""

    check: str
    severity: Severity
    what: str
    do: str = ""


def examine(settings: Config) -> list[Finding]:
    """Return what every check found, in the order of the way of an image."""
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _configuration,
        _rules,
        _text_search,
        _key,
        _space,
        _clock,
        _ports,
        _certificates,
        _commitments,
        _inbox,
        _watches,
        _destinations,
        _services,
    )
    return [finding for check in checks for finding in looked(check, settings, check.__name__.strip("_"))]


def looked(check: Callable[[Config], Iterator[Finding]], settings: Config, name: str) -> Iterator[Finding]:
    """What ``check`` finds; where the system does not let it look it says so, and the others go on."""
    try:
        yield from check(settings)
    except OSError as error:
        what = f"{error.filename or 'Something'} could not be looked at: {error.strerror or type(error).__name__}."
        do = "Nothing was changed. Run this as the user of the service that needs it, or with sudo."
        yield Finding(name, Severity.WARNING, what, do)


def _configuration(settings: Config) -> Iterator[Finding]:
    yield _fine("configuration", f"{settings.file} can be used.")


def _rules(settings: Config) -> Iterator[Finding]:
    for path in {settings.rules, *(project.rules for project in settings.projects.values() if project.rules)}:
        try:
            load_rules(path)
            yield _fine("rules", f"{path or 'the packaged default'} can be used.")
        except ConfigError as error:
            yield Finding("rules", Severity.ERROR, str(error), "Nothing is de-identified until the rules are mended.")


def _text_search(settings: Config) -> Iterator[Finding]:
    del settings
    from appliance.deid.pixels.find_text import TextFinder  # half a second, which no other command need wait

    try:
        finder = TextFinder()
    except CannotLook as error:
        yield Finding(
            "text search", Severity.ERROR, str(error), "Images that must be looked at are quarantined so long."
        )
    else:
        yield _fine("text search", f"Text in images is looked for by {finder.name}, {finder.version}.")


def _key(settings: Config) -> Iterator[Finding]:
    place = key_place(settings.mapping)
    if place is not None and settings.mapping.key_file is not None and not place.exists():
        do = (
            "On a new site 'appliance run' makes one, or you do: "
            f"(umask 077; mkdir -p {place.parent}; openssl rand -hex 32 > {place}). Else put it back from its backup."
        )
        yield Finding("key", Severity.ERROR, f"The pseudonym key {place} does not exist; services do not start.", do)
        return
    if place is not None and place.exists() and not os.access(place, os.R_OK):
        what = f"The pseudonym key {place} may not be read by you, as it should be; it was not compared."
        yield Finding("key", Severity.WARNING, what, "To compare it, run this as the user of the de-identify service.")
        return
    try:
        key = load_key(settings.mapping, make=False)
        store = settings.state / "mapping" / "mapping.db"
        if store.exists():
            MappingStore(store, key).close()
    except CannotStart as error:
        yield Finding("key", Severity.ERROR, str(error), "")
        return
    if place is not None and stat.S_IMODE(place.stat().st_mode) & 0o077:
        what = f"The pseudonym key {place} may be read by others than its owner."
        yield Finding("key", Severity.WARNING, what, f"Whoever has it can undo the pseudonyms. Run: chmod 600 {place}")
    else:
        yield _fine("key", "The pseudonym key is there, and the one that the mapping was made with.")


def _space(settings: Config) -> Iterator[Finding]:
    folder = _nearest(settings.state)
    free, reserve = free_bytes(folder), settings.spool.reserve_bytes
    what = f"{free // MiB} MiB are free for {settings.state}, the reserve is {reserve // MiB} MiB."
    if not os.access(folder, os.W_OK):
        yield Finding("disk", Severity.WARNING, f"You may not write to {folder}.", "Services need to; check the owner.")
    if free < reserve:
        yield Finding(
            "disk", Severity.ERROR, what, "Senders are told to retry later; nothing is lost. Free space there."
        )
    elif free < 2 * reserve:
        yield Finding("disk", Severity.WARNING, what, "Free space there before senders have to be told to wait.")
    else:
        yield _fine("disk", what)


def _clock(settings: Config) -> Iterator[Finding]:
    now = time.time()
    newest = max((file.stat().st_mtime for file in settings.state.glob("*/*.db")), default=0.0)
    if now < EARLIEST:
        yield Finding("clock", Severity.ERROR, "The clock was never set.", "Set it, and let it be kept (NTP).")
    elif newest > now + AHEAD_S:
        what = f"The clock is {newest - now:.0f} s behind what was written before."
        yield Finding("clock", Severity.WARNING, what, "Ids sort by arrival: set the clock, and let it be kept (NTP).")
    else:
        yield _fine("clock", "The clock is plausible.")


def _ports(settings: Config) -> Iterator[Finding]:
    ours = beating(settings)
    wanted = [("receive", "scp.port", settings.scp.host, settings.scp.port)]
    if settings.scp.tls is not None:
        wanted.append(("receive", "scp.tls.port", settings.scp.host, settings.scp.tls.port))
    wanted.append(("watch", "watch.port", settings.watch.host, settings.watch.port))
    for role, name, host, port in wanted:
        problem = "" if port == 0 else _cannot_bind(host, port)
        if not problem:
            yield _fine("ports", f"{name} {port} is free.")
        elif role in ours:
            yield _fine("ports", f"{name} {port} is taken, and the {role} service was at work within {STALE_S:.0f} s.")
        else:
            what = f"{name} {port} on {host} cannot be had: {problem}; the {role} service does not run."
            yield Finding("ports", Severity.ERROR, what, f"See who has it (ss -ltnp), or change {name}.")


def _certificates(settings: Config) -> Iterator[Finding]:
    tls = settings.scp.tls
    if tls is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
        yield _fine("tls", f"{tls.certificate} and its key belong together.")
    except (OSError, ssl.SSLError) as error:
        what = f"The certificate {tls.certificate} or its key cannot be used: {error.strerror or error}."
        yield Finding("tls", Severity.ERROR, what, "The receiver does not start. Check scp.tls in the configuration.")


def _commitments(settings: Config) -> Iterator[Finding]:
    """Call each peer that is promised storage commitment, as for a report, and tell it nothing."""
    for peer in () if settings.scp.peers == "any" else settings.scp.peers:
        if peer.commitment is None:
            continue
        name = f"commitment {peer.ae_title}"
        place = f"{peer.commitment.ae_title} at {peer.commitment.host} port {peer.commitment.port}"
        try:
            encryption = client_context(settings.scp.tls) if peer.commitment.tls and settings.scp.tls else None
            list(report(peer.commitment, settings.scp.ae_title, [], encryption=encryption))
        except (NotTaken, CannotStart) as error:
            do = "Its images are kept and it keeps its own. Compare commitment in scp.peers with what it listens on."
            yield Finding(name, Severity.WARNING, f"{place} takes no reports of storage commitment: {error}.", do)
        else:
            yield _fine(name, f"{place} takes reports of storage commitment.")


def _inbox(settings: Config) -> Iterator[Finding]:
    if settings.inbox is None:
        return
    path = settings.inbox.path
    if not path.is_dir():
        what = f"The inbox {path} is not there."
        yield Finding("inbox", Severity.WARNING, what, "It is made at the start if it can be; else mount it.")
        return
    folders = [path, *(path / clinic for clinic in settings.inbox.clinics if (path / clinic).is_dir())]
    closed = [folder for folder in folders if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)]
    for folder in closed:
        what = f"{folder} may not be read and changed by you."
        yield Finding("inbox", Severity.WARNING, what, "The inbox service needs to: check owner, group and mode.")
    if not closed:
        yield _fine("inbox", f"{path} can be read and changed.")


def _watches(settings: Config) -> Iterator[Finding]:
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if settings.inbox is None or not limit.exists():
        return
    number = int(limit.read_text())
    what = f"A user may watch with {number} inotify instances on this machine."
    if number < LEAST_INSTANCES:
        do = "Files are found by scanning all the same, a little later. Raise fs.inotify.max_user_instances."
        yield Finding("inotify", Severity.WARNING, what, do)
    else:
        yield _fine("inotify", what)


def _destinations(settings: Config) -> Iterator[Finding]:
    for destination in settings.destinations:
        name = f"destination {destination.name}"
        if destination.folder is not None:
            folder = _nearest(destination.folder)
            if os.access(folder, os.W_OK | os.X_OK):
                yield _fine(name, f"{destination.folder} can be written.")
            else:
                what = f"{destination.folder} cannot be written by you."
                yield Finding(name, Severity.ERROR, what, "The forward service needs to: check the owner and mode.")
            continue
        yield from _web(name, destination)


def _web(name: str, destination: Destination) -> Iterator[Finding]:
    if not is_covered(destination.url):
        what = f"{destination.url} is not encrypted: images and credentials can be read on the way."
        yield Finding(name, Severity.WARNING, what, "Use https.")
    found = probe(destination)
    if found.fine and found.sure:
        yield _fine(name, f"{destination.url}: {found.words}")
    elif found.fine:
        do = (
            "A server that only stores answers so too; then all is well. What is sent in vain stays here; none is lost."
        )
        yield Finding(name, Severity.WARNING, f"{destination.url}: {found.words}", do)
    else:
        do = "What waits for it stays in the spool; none is lost."
        yield Finding(name, Severity.ERROR, f"{destination.url}: {found.words}", do)


def _services(settings: Config) -> Iterator[Finding]:
    if not beating(settings):
        yield Finding(
            "services", Severity.WARNING, "No service runs.", "Start them: appliance run, or appliance.target"
        )
        return
    _wait_for_first_steps(settings)
    overview = Overview(settings.state)
    try:
        found = problems(watched_of(settings), overview, time.time)
    except Unreadable as error:
        yield Finding("services", Severity.WARNING, str(error))
        return
    finally:
        overview.close()
    for problem in found:
        yield Finding("services", Severity.ERROR, problem.what, problem.do)
    if not found:
        yield _fine("services", "Every service takes its steps.")


def _wait_for_first_steps(settings: Config) -> None:
    """Give services that were just started the time to take one, so that nobody is sent to look for a fault."""
    end = time.monotonic() + STARTING_S
    while idle_services(watched_of(settings), time.time()) and time.monotonic() < end:
        time.sleep(LOOK_S)


def beating(settings: Config) -> set[str]:
    """Return the services that took a step lately."""
    now = time.time()
    return {role for role, beat in watched_of(settings).heartbeats().items() if now - beat < STALE_S}


def _cannot_bind(host: str, port: int) -> str:
    """Return why the port cannot be had, "" if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return ""


def _nearest(path: Path) -> Path:
    """Return the folder itself or, before it is made, the nearest one above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _fine(check: str, what: str) -> Finding:
    return Finding(check, Severity.OK, what)
