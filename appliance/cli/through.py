"""``appliance doctor --through``: a phantom takes the whole way of an image, from our own door to each destination.

It is sent to the receiver that is at work, as a modality would, and followed by what the rows say: nothing is done for
it that is not done for every image. Where it stops, the finding says why, and what to do.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.cli.at_the_door import ANYBODY, caller_of, host_of
from appliance.cli.audited import audited
from appliance.cli.checks import Finding, Severity, beating
from appliance.cli.phantom_made import PATIENT, Phantom, made
from appliance.cli.put_away import arrived, put_away
from appliance.cli.queue import forwarding
from appliance.cli.trace import visible
from appliance.config import Config
from appliance.intake.scu import NotAccepted, send
from appliance.lifecycle import State
from appliance.outlet.probe import probe
from appliance.reasons import Reason
from appliance.spool.journal_view import Trace
from appliance.spool.outbox_view import Delivery
from appliance.spool.overview import GATED, Overview, Unreadable

WAIT_S = 60.0
LOOK_S = 0.2

_CHECK = "through"
_SUDO = "Run this with sudo: it needs the rows of both sides, the audit, and what the destinations are shown."
_Seen = tuple[Trace, list[Delivery]]


def go_through(settings: Config, *, wait_s: float, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Send a phantom through, and yield what came of it, stage by stage.

    wait_s  how long it may take from our door to the last destination
    tell    is told what is waited for
    """
    phantom = made()
    try:
        refusal = _sent(settings, phantom)
        if refusal is not None:
            yield refusal
            return
        yield Finding(_CHECK, Severity.OK, f"The receiver took a phantom (Patient ID {PATIENT}) and said Success.")
        overview = Overview(settings.state)
        try:
            seen = _followed(overview, phantom.sop_instance, time.monotonic() + wait_s, tell)
            paused = {name: pause.by for name, pause in overview.pauses().items()}
        finally:
            overview.close()
        yield from _told(settings, phantom, seen, paused, wait_s)
    except PermissionError as error:
        what = f"{error.filename or 'The state folder'} may not be used by you, so the phantom was not sent."
        yield Finding(_CHECK, Severity.WARNING, what, _SUDO)
    except Unreadable as error:
        yield Finding(_CHECK, Severity.WARNING, f"The phantom could not be followed: {error}", _SUDO)


def _sent(settings: Config, phantom: Phantom) -> Finding | None:
    """Send it as a caller that is let in; return why it was not taken, None if it was."""
    scp = settings.scp
    if "receive" not in beating(settings) or not scp.port:
        what = "The receiver is not at work, so no phantom was sent."
        return Finding(_CHECK, Severity.ERROR, what, "Start it: systemctl start appliance.target, or: appliance run")
    host = host_of(scp)
    calling = caller_of(settings, host)
    if not calling:
        what = f"scp.peers lets nobody call from this machine ({host}), so no phantom was sent."
        do = f"Add to scp.peers: {{ae_title: {ANYBODY}, address: {host}, source: {ANYBODY.lower()}}}. Then reload."
        return Finding(_CHECK, Severity.ERROR, what, do)
    audited(settings, "doctor --through", about=f"a phantom as {calling}")
    with tempfile.TemporaryDirectory(prefix="appliance-doctor-") as folder:
        file = Path(folder) / "phantom.dcm"
        file.write_bytes(phantom.body)
        try:
            send(host, scp.port, [file], calling=calling, called=scp.ae_title)
        except (NotAccepted, ValueError) as error:
            do = (
                "Modalities fare the same, and keep their images. See: appliance peers, journalctl -u appliance-receive"
            )
            return Finding(_CHECK, Severity.ERROR, f"The receiver did not take a phantom: {error}", do)
    return None


def _followed(overview: Overview, uid: str, end: float, tell: Callable[[str], None]) -> _Seen | None:
    """Return how far it came by ``end``, sooner if it goes no further; None: it has no row yet."""
    told = ""
    while True:
        seen = next(iter(overview.trace(uid)), None)
        words, is_over = _stage(seen, set(overview.pauses()))
        if is_over or time.monotonic() >= end:
            return seen
        if words != told:
            tell(words)
            told = words
        time.sleep(LOOK_S)


def _stage(seen: _Seen | None, paused: set[str]) -> tuple[str, bool]:
    """Return what is waited for, and whether there is nothing to wait for."""
    if seen is None:
        return "Waiting for its row in the journal …", False
    trace, deliveries = seen
    match visible(trace):
        case State.RECEIVED:
            return f"{trace.instance.id}: waiting to be de-identified …", False
        case State.READY:
            open_ = [each for each in deliveries if each.state in ("WAITING", GATED)]
            names = ", ".join(each.destination for each in open_)
            still = all(each.state == GATED or each.destination in paused for each in open_)
            return f"{trace.instance.id}: waiting for {names or 'its delivery'} …", bool(open_) and still
    return "", True


def _told(
    settings: Config, phantom: Phantom, seen: _Seen | None, paused: dict[str, str], wait_s: float
) -> Iterator[Finding]:
    """Yield a finding for each stage it came to; then it is put away."""
    if seen is None:
        what = f"The phantom was taken, and has no row after {wait_s:.0f} s. Its file lies in received; it is not lost."
        yield Finding(_CHECK, Severity.ERROR, what, "See: journalctl -u appliance-receive. Repeat with --wait SECONDS.")
        return
    trace, deliveries = seen
    spool_id = trace.instance.id
    state = visible(trace)
    if state == State.RECEIVED:
        yield _undecided(settings, trace, wait_s)
        return
    if state in (State.HELD, State.QUARANTINED, State.DISCARDED):
        yield _held_back(trace, state)
        yield from put_away(settings, trace, [])
        return
    yield Finding(_CHECK, Severity.OK, f"{spool_id} was de-identified.")
    stored = []
    for delivery in deliveries:
        name = f"{_CHECK} {delivery.destination}"
        if delivery.state == "STORED":
            came = arrived(settings, name, delivery.destination, phantom, trace)
            yield from came.findings
            stored.append(came)
        else:
            yield _not_there(settings, name, delivery, trace, paused)
    if state != State.READY:
        yield from put_away(settings, trace, stored)


def _undecided(settings: Config, trace: Trace, wait_s: float) -> Finding:
    spool_id = trace.instance.id
    what = (
        f"{spool_id} waits in received after {wait_s:.0f} s to be de-identified; it is not lost, and goes on by itself."
    )
    do = (
        f"Repeat with --wait SECONDS, or look later: appliance trace {spool_id}. What waits before it: appliance queue."
    )
    if "deidentify" not in beating(settings):
        do = "The de-identify service is not at work: systemctl start appliance-deidentify, or: appliance run"
    elif settings.identity.hold_study_s and not trace.instance.attempts:
        do = f"identity.hold_study_s has every image wait {settings.identity.hold_study_s:g} s: --wait more than that."
    return Finding(_CHECK, Severity.ERROR, what, do)


def _held_back(trace: Trace, state: str) -> Finding:
    """What keeps it in the house, as it would an image of this kind."""
    instance = trace.instance
    words, advice = _words(instance.reason, instance.id)
    what = f"{instance.id} is {state}: {instance.reason}. {words} {instance.detail}".rstrip()
    return Finding(_CHECK, Severity.ERROR, f"{what} Nothing of it left.", advice)


def _words(reason: str, spool_id: str) -> tuple[str, str]:
    """Return what happened, and what to do about it."""
    if not reason:
        return "", ""
    words = Reason(reason).words
    return words.what, words.advice.replace(" ID", f" {spool_id}")


def _not_there(settings: Config, name: str, delivery: Delivery, trace: Trace, paused: dict[str, str]) -> Finding:
    """Why a destination has it not."""
    spool_id, there = trace.instance.id, delivery.destination
    waits = f"{spool_id} waits in outside/ready for {there}; it is not lost, and leaves by itself"
    if delivery.state == GATED:
        source = trace.instance.provenance.source
        what = f"{spool_id} waits for leave: release is manual for '{source}'. Its way to {there} is unproved."
        do = f"Look at what would leave: appliance source show {source}. Then: appliance source open {source}"
        return Finding(name, Severity.WARNING, what, do)
    if delivery.state != "WAITING":
        words, advice = _words(delivery.reason, spool_id)
        what = f"{there} did not take {spool_id}: {delivery.state.lower()}. {words} {delivery.detail}"
        return Finding(name, Severity.ERROR, what.strip(), advice)
    if there in paused:
        what = f"{waits} when the pause is over: {paused[there] or 'somebody'} paused {there}."
        return Finding(name, Severity.WARNING, what, f"appliance destination resume {there}")
    later = (
        f"It will stay there as a study of a test: take it back then: appliance recall {trace.study} --do --reason test"
    )
    if not forwarding(settings, time.time())[1]:
        do = f"systemctl start appliance-forward, or: appliance run. {later}"
        return Finding(name, Severity.ERROR, f"{waits} when the forward service is at work, which it is not.", do)
    destination = next((each for each in settings.destinations if each.name == there), None)
    found = probe(destination) if destination is not None and destination.url else None
    why = f" {destination.url}: {found.words}" if found and destination else ""
    return Finding(name, Severity.ERROR, f"{waits} when {there} takes it.{why} {delivery.detail}".rstrip(), later)
