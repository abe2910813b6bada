"""What becomes of ``doctor``'s phantom: looked at where it arrived, taken back, and gone from what waits for people.

It stays in the books like every image, so that the counts add up, and its original is purged like others.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.cli.audited import audited
from appliance.cli.checks import Finding, Severity
from appliance.cli.options import operator
from appliance.cli.phantom_made import PATIENT, Phantom, looked_at
from appliance.cli.recall import ask_recall
from appliance.cli.trusted import scopes_of, trusted
from appliance.config import Config
from appliance.config import Destination as There
from appliance.errors import CannotStart, RequestRefused
from appliance.lifecycle import RecallState, State
from appliance.mapping.forget import erase, person_behind
from appliance.outlet.destination import Unavailable
from appliance.outlet.fetched import Fetched, FetchedBack, NotShown, fetch
from appliance.outlet.taken_back import Gone
from appliance.spool.journal_view import Trace
from appliance.spool.overview import Overview
from appliance.spool.recalls import Wanted
from appliance.spool.requests import Requests

LOOKS, LOOK_S = 20, 0.5  # whether it can be found, or is gone again
ANSWER_S = 10.0  # for a service to answer

_REASON = "phantom of appliance doctor"
_DONE = frozenset({RecallState.ABSENT, RecallState.REPLACED})


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was found at one destination. ``pseudonym``: the phantom's there, "" if it was not shown."""

    there: There | None
    pseudonym: str
    findings: tuple[Finding, ...]


def arrived(settings: Config, name: str, destination: str, phantom: Phantom, trace: Trace) -> Arrived:
    """Look at what the destination has under the phantom's new UID."""
    there = next((each for each in settings.destinations if each.name == destination), None)
    if there is None:
        what = f"{destination} has it, and is not in the configuration any more."
        return Arrived(None, "", (Finding(name, Severity.WARNING, what),))
    found = fetch(there, trace.study, trace.sop_instance)
    for _ in range(LOOKS):
        if not isinstance(found, Gone):
            break
        time.sleep(LOOK_S)  # an archive may index what it took a moment later
        found = fetch(there, trace.study, trace.sop_instance)
    if not isinstance(found, Fetched):
        return Arrived(there, "", (_unseen(name, trace, found),))
    came = looked_at(phantom, found.body)
    has_it = f"{destination} names it by its new UID"
    if came.person:
        what = f"{has_it}, and it still holds the phantom's {', '.join(came.person + came.other)}."
        do = f"Patients fare the same. Pause: appliance destination pause {destination}. Then mend the rules."
        finding = Finding(name, Severity.ERROR, what, do)
    elif came.other:
        what = f"{has_it}, and it still holds the phantom's {', '.join(came.other)}; nothing else of it."
        finding = Finding(
            name, Severity.WARNING, what, "If your rules keep that on purpose, all is well. Else mend them."
        )
    else:
        what = f"{has_it}; what came out holds none of the phantom's identifiers."
        finding = Finding(name, Severity.OK, what)
    return Arrived(there, came.pseudonym, (finding,))


def _unseen(name: str, trace: Trace, found: FetchedBack) -> Finding:
    """It said that it stored it, and does not show it."""
    uid = trace.sop_instance
    match found:
        case NotShown(why, is_named):
            named = "names it by its new UID" if is_named else "said that it stored it"
            what = f"It {named}, and what came out was not looked at: {why}."
            return Finding(name, Severity.WARNING, what, "Give our login the right to read, or look there by hand.")
        case Unavailable(detail=detail):
            what = f"It said that it stored it, and could not be asked for it: {detail}"
            return Finding(name, Severity.WARNING, what, "As a user who may read its secret (sudo), run this again.")
        case _:
            what = f"It said that it stored SOP Instance UID {uid}, and a search there finds nothing."
            do = "Look there by hand. If it is lost: appliance reconcile finds what else is, and sends it again."
            return Finding(name, Severity.ERROR, what, do)


def put_away(settings: Config, trace: Trace, stored: Sequence[Arrived]) -> Iterator[Finding]:
    """Take the phantom back from where it is, if all of them let us, and discard it if it waits for a person."""
    here = f"study {trace.study}" + "".join({f", Patient ID {each.pseudonym}" for each in stored if each.pseudonym})
    try:
        if stored:
            yield _taken_back(settings, trace, stored, here)
        if trace.instance.state in (State.HELD, State.QUARANTINED) or trace.outside == State.REJECTED:
            yield _discarded(settings, trace.instance.id)
    except (RequestRefused, PermissionError, CannotStart) as error:
        what = f"The phantom could not be put away: {error}"
        yield Finding("through put away", Severity.WARNING, what, f"With sudo: appliance trace {trace.instance.id}")


def _taken_back(settings: Config, trace: Trace, stored: Sequence[Arrived], here: str) -> Finding:
    name = "through put away"
    by_hand = [each.there.name for each in stored if each.there and not _takes_back(each.there)]
    if by_hand:
        # A recall that only a person can carry out would stand open; deleted without one, it would be sent again.
        what = f"The phantom stays in {', '.join(by_hand)} as a study of a test: {here}."
        do = f"To have it deleted there: appliance recall {trace.study} --do --reason test. Then delete it by its UID."
        return Finding(name, Severity.OK, what, do)
    audited(settings, "recall", about=trace.study, reason=_REASON)
    done = ask_recall(settings, Wanted(studies=(trace.study,)))
    if done is None or not _is_gone(settings, trace.sop_instance):
        what = (
            f"The phantom is not yet gone from {', '.join(each.there.name for each in stored if each.there)}: {here}."
        )
        return Finding(name, Severity.WARNING, what, "It goes on by itself. How far it is: appliance recall --list")
    forgotten = _forgotten(settings, {each.pseudonym for each in stored} - {""})
    what = "The phantom was deleted there again, and searched for: it is gone."
    kept = "" if forgotten else f" The mapping keeps it, as {PATIENT}."
    return Finding(name, Severity.OK, f"{what}{kept}")


def _takes_back(there: There) -> bool:
    return there.folder is not None or there.recall.kind != "none"


def _is_gone(settings: Config, sop_instance: str) -> bool:
    overview = Overview(settings.state)
    try:
        for _ in range(LOOKS):
            states = {each.state for each in overview.recalls_of(sop_instance)}
            if states and states <= _DONE:
                return True
            time.sleep(LOOK_S)
        return False
    finally:
        overview.close()


def _discarded(settings: Config, spool_id: str) -> Finding:
    """Have it discarded, so that nobody takes it for a patient's image that waits; it can be looked at for its days."""
    name = "through put away"
    args = {"ids": [spool_id]}
    audited(settings, "ask deidentify: discard", about=spool_id, reason=_REASON)
    requests = Requests(settings.state / "requests")
    answer = requests.wait("deidentify", requests.ask("deidentify", "discard", {**args, "by": operator()}), ANSWER_S)
    if answer is None or not answer.get("done"):
        what = f"The phantom {spool_id} is still counted among what waits for a person."
        return Finding(name, Severity.WARNING, what, f"Let it go: appliance quarantine discard {spool_id}")
    days = settings.retention.discarded_days
    return Finding(
        name, Severity.OK, f"The phantom was discarded; for {days:g} days it can be tried again, as {spool_id}."
    )


def _forgotten(settings: Config, pseudonyms: set[str]) -> bool:
    """Remove the phantom from the mapping, for whoever may open it: what it leads to is gone. It is not refused."""
    try:
        with trusted(settings) as store:
            scopes = scopes_of(settings)
            people = [person_behind(store, pseudonym, scopes) for pseudonym in pseudonyms]
            ours = [person for person in people if person is not None and person.number == PATIENT]
            if ours:
                audited(settings, "mapping erase", about=", ".join(ours[0].pseudonyms), reason=_REASON)
            for person in ours:
                erase(store, person, scopes)
            return bool(ours)
    except (RequestRefused, CannotStart):
        return False
