"""``appliance mapping opt-out`` and ``forget``: patients of whom nothing leaves any more, and what has left already."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import AT_ONCE, PENDING, WAIT_S, sure
from appliance.cli.audited import audited
from appliance.cli.left import as_rows, show_left
from appliance.cli.options import answer, load, operator, say, show_table, with_config
from appliance.cli.recall import NOT_STARTED, ask_recall, recalled_words
from appliance.cli.trusted import (
    left_of,
    list_file,
    place_of,
    reason_option,
    scopes_of,
    trusted,
)
from appliance.config import Config, MiB
from appliance.deid.instance import patient_of
from appliance.dicom import part10
from appliance.errors import Malformed, NotDicom, RequestRefused, Unsafe
from appliance.mapping.csv_list import read_list
from appliance.mapping.forget import Person, erase, person_behind, refuse_for_good
from appliance.mapping.place import Conflicts
from appliance.mapping.refused import OptedOut
from appliance.mapping.refused import opt_out as take_opt_outs
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.spool.files import open_regular
from appliance.spool.layout import Inside
from appliance.spool.outbox_view import Left
from appliance.spool.overview import Overview
from appliance.spool.recalls import Wanted
from appliance.spool.requests import Requests

PAGE = 500
TRIES, PAUSE_S = 8, 0.5  # what is on its way at this moment is asked for again


recall_option = click.option(
    "--recall", is_flag=True, help="Take back what has left already; left out, a person at a terminal is asked."
)


@click.command("opt-out")
@with_config
@click.argument("file", metavar="LIST.csv")
@click.option("--domain", default="site", show_default=True, help="Identity domain of the numbers.")
@click.option("--preview", is_flag=True, help="Say what would happen; nothing is changed.")
@click.option("--withdraw", is_flag=True, help="Take these patients off the list again.")
@recall_option
def opt_out(
    config_file: Path | None, as_json: bool, file: str, domain: str, preview: bool, withdraw: bool, recall: bool
) -> int:
    """Refuse every patient of a list from now on: columns MRN, and if needed issuer, domain. Tells what left already.

    What waits to be forwarded is stopped; what left is taken back if that is said.
    """
    settings = load(config_file)
    if recall and (preview or withdraw):
        raise RequestRefused("--recall means nothing with --preview or --withdraw; nothing was changed.")
    lines, problems = read_list(list_file(file), with_ids=False)
    place = place_of(settings, domain, "")
    try:
        if problems:
            raise Conflicts(problems)
        with trusted(settings, may_make=not preview) as store:
            if not preview:
                audited(settings, f"mapping opt-out{' --withdraw' if withdraw else ''}", about=f"{len(lines)} lines")
            done = take_opt_outs(store, lines, place, withdraw=withdraw, preview=preview)
            deliveries = left_of(settings, store, [pseudonym for _, pseudonym in done.known])
    except Conflicts as conflicts:
        return _conflicts(conflicts, as_json=as_json)
    stopped = None if preview else _stop(settings, deliveries, Reason.OPTED_OUT)
    now = deliveries if preview else _again(settings, deliveries)
    rows = as_rows(now)
    wants = not preview and _wants_recall(now, recall=recall, as_json=as_json)
    recalled = _recall(settings, now, f"opt-out, {len(lines)} lines", "opted-out") if wants else None
    if as_json:
        left_lines = sorted({line for line, _ in done.known})
        counts = {"new": done.new, "same": done.same, "withdrawn": done.gone, "stopped": stopped}
        answer({"preview": preview, **counts, "known_lines": left_lines, "left": rows, "recalled": recalled})
    else:
        _tell_opt_out(done, rows, preview=preview, withdraw=withdraw, stopped=stopped)
        _tell_recall(rows, recalled, wants=wants)
    return PENDING if not preview and (stopped is None or (wants and recalled is None)) else 0


def _tell_opt_out(
    done: OptedOut, rows: list[dict[str, object]], *, preview: bool, withdraw: bool, stopped: int | None
) -> None:
    begin = "Preview, nothing was changed: " if preview else ""
    if withdraw:
        say(f"{begin}{done.gone} patients taken off the opt-out list.")
        return
    say(f"{begin}{done.new} patients new on the opt-out list, {done.same} refused already.")
    if stopped:
        say(f"{stopped} deliveries that waited were stopped.")
    elif stopped is None and not preview:
        say(_NOT_STOPPED)
    show_left(rows)


_NOT_STOPPED = (
    "What waits to be forwarded was not stopped yet: the forward service has not answered. The request is kept and "
    "carried out when it runs. See what left then: repeat this command."
)


@click.command("forget")
@with_config
@click.argument("pseudonym")
@reason_option
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
@recall_option
def forget(config_file: Path | None, as_json: bool, pseudonym: str, reason: str, yes: bool, recall: bool) -> int:
    """Erase a patient: originals in the house and every mapping entry. From then on the patient is refused.

    What has left is listed with its destination; it is taken back if that is said.
    """
    settings = load(config_file)
    scopes = scopes_of(settings)
    with trusted(settings) as store:
        person = person_behind(store, pseudonym, scopes)
        if person is None:
            raise RequestRefused(f"The mapping knows no patient {pseudonym}. Nothing was changed.")
        sure("Erase this patient for good? The pseudonyms will lead nowhere, and originals are removed.", yes=yes)
        audited(settings, "mapping forget", about=pseudonym, reason=reason)
        refuse_for_good(store, person, scopes)
        found = left_of(settings, store, list(person.pseudonyms))
        stopped = _stop(settings, found, Reason.FORGOTTEN)
        now = _again(settings, found)
        left = as_rows(now)
        wants = _wants_recall(now, recall=recall, as_json=as_json)
        # Before the entries go: what it names outside are pseudonymous UIDs, which stay known there.
        recalled = _recall(settings, now, pseudonym, reason) if wants else None
        house = _House(settings, person)
        remaining = None if stopped is None else house.erase(found)
        entries = 0 if remaining is None or remaining else erase(store, person, scopes)
    content = {
        "erased": remaining is not None and not remaining,
        "entries": entries,
        "originals": sorted(house.ids - set(remaining or ())) if remaining is not None else [],
        "remaining": sorted(remaining if remaining is not None else house.ids),
        "unreadable": sorted(house.unreadable),
        "inbox_items": sorted(house.items),
        "left": left,
        "recalled": recalled,
    }
    if as_json:
        answer(content)
    else:
        _tell_forget(content, left)
        _tell_recall(left, recalled, wants=wants)
    return 0 if content["erased"] and (recalled is not None or not wants) else PENDING


def _tell_forget(content: dict[str, Any], left: list[dict[str, object]]) -> None:
    if content["erased"]:
        say(f"Erased: {content['entries']} entries, {len(content['originals'])} originals. The patient is refused now.")
    else:
        say(
            "Not finished: the services have not removed everything yet. New images of the patient are refused "
            "already. Start the services if they do not run, then repeat this command."
        )
    if content["unreadable"]:
        say(f"Whose these are cannot be read; look at them: {', '.join(content['unreadable'])}")
    if content["inbox_items"]:
        items = ", ".join(str(item) for item in content["inbox_items"])
        say(f"Came through the inbox: items {items}. What the inbox keeps of them (processed) is to be removed there.")
    show_left(left)


def _wants_recall(deliveries: list[Left], *, recall: bool, as_json: bool) -> bool:
    """Whether what left is to be taken back: said, or asked of the person at the terminal."""
    if not any(each.has_left for each in deliveries):
        return recall and bool(deliveries)  # something may be under way
    if recall or as_json or not sys.stdin.isatty():
        return recall
    show_left(as_rows(deliveries))
    return click.confirm("Take back what has left?")


def _recall(settings: Config, deliveries: list[Left], about: str, reason: str) -> dict[str, int] | None:
    """Have what left taken back; return what was begun, None without an answer."""
    audited(settings, "recall", about=about, reason=reason)
    return ask_recall(settings, Wanted(studies=tuple(sorted({each.study for each in deliveries}))))


def _tell_recall(left: list[dict[str, object]], recalled: dict[str, int] | None, *, wants: bool) -> None:
    if recalled is not None:
        say(recalled_words(recalled))
    elif wants:
        say(NOT_STARTED)
    elif left:
        say("It stays where it is until it is recalled: appliance recall STUDY, or this command with --recall.")


class _House:
    """What of a patient is in the house. After ``erase`` its lists say what was found."""

    def __init__(self, settings: Config, person: Person) -> None:
        self._settings = settings
        self._person = person
        self.ids: set[str] = set()
        self.items: set[int] = set()
        self.unreadable: set[str] = set()

    def erase(self, deliveries: Iterable[Left]) -> set[str] | None:
        """Have every original of the patient removed; return those that could not be yet, None without an answer."""
        overview = Overview(self._settings.state)
        try:
            for out in dict.fromkeys(each.out for each in deliveries):
                for trace, _ in overview.trace(out):
                    self._found(trace.instance)
            for instance in self._waiting(overview):
                if instance.id not in self.ids and self._is_his(instance):
                    self._found(instance)
        finally:
            overview.close()
        waiting = sorted(self.ids)
        for attempt in range(TRIES):
            time.sleep(PAUSE_S if attempt else 0)
            refused: list[str] = []
            for start in range(0, len(waiting), AT_ONCE):
                said = _asked(self._settings, "deidentify", "erase", {"ids": waiting[start : start + AT_ONCE]})
                if said is None:
                    return None
                refused += list(said.get("refused", {}))
            waiting = refused
            if not waiting:
                break
        return set(waiting)

    def _found(self, instance: Instance) -> None:
        self.ids.add(instance.id)
        if instance.provenance.item:
            self.items.add(instance.provenance.item)

    def _waiting(self, overview: Overview) -> Iterator[Instance]:
        """Every original that waits, was discarded or rejected."""
        for reason in Reason:
            after = ""
            while page := overview.waiting_for(reason, after=after, limit=PAGE):
                yield from page
                after = page[-1].id

    def _is_his(self, instance: Instance) -> bool:
        path = Inside(self._settings.state / "inside").find(instance.id)
        if path is None:
            return False  # purged
        came = instance.provenance
        domain = self._settings.domain_of(came.source, came.clinic)
        try:
            with open_regular(path) as file:
                limit = self._settings.deidentify.max_header_mb * MiB
                data = part10.read(file, max_header=limit).dataset
                found = patient_of(data, domain, self._settings.identity.issuers)
        except (NotDicom, Malformed, Unsafe):
            self.unreadable.add(instance.id)
            return False
        return found == (self._person.domain, self._person.number)


def _stop(settings: Config, deliveries: list[Left], reason: Reason) -> int | None:
    """Stop what waits to be forwarded; return how many deliveries did, None without an answer."""
    outs = sorted({each.out for each in deliveries if each.delivery in ("GATED", "WAITING")})
    count = 0
    for start in range(0, len(outs), AT_ONCE):
        args = {"outs": outs[start : start + AT_ONCE], "reason": reason.value}
        said = _asked(settings, "forward", "stop", args)
        if said is None:
            return None
        count += int(said.get("done", 0))
    return count


def _again(settings: Config, deliveries: list[Left]) -> list[Left]:
    """Return the deliveries as they are now."""
    overview = Overview(settings.state)
    try:
        return overview.left(sorted({each.study for each in deliveries}))
    finally:
        overview.close()


def _asked(settings: Config, owner: str, verb: str, args: dict[str, Any]) -> dict[str, Any] | None:
    requests = Requests(settings.state / "requests")
    return requests.wait(owner, requests.ask(owner, verb, {**args, "by": operator()}), WAIT_S)


def _conflicts(conflicts: Conflicts, *, as_json: bool) -> int:
    problems = [(problem.line, problem.what) for problem in conflicts.problems]
    if as_json:
        answer({"conflicts": [{"line": line, "what": what} for line, what in problems]})
    else:
        say(f"{conflicts} Correct the list, then take it again.")
        show_table(("line", "what"), problems[:20])
    return 1
