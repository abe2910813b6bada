"""Asking the service that owns a state to change it, and telling what became of that."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from appliance.cli.audited import audited
from appliance.cli.options import answer, counted, operator, say
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.model import is_spool_id
from appliance.spool.requests import Requests
from appliance.watch.audit import about

WAIT_S = 5.0  # for the service to answer; it takes requests with every step
AT_ONCE = 5000  # ids in one request, well below the size that one may have

PENDING = 3  # exit status: asked, and not answered yet


def ask(settings: Config, owner: str, verb: str, args: dict[str, Any], *, as_json: bool, done: str) -> int:
    """Ask ``owner``, audited, and print what became of it; return 0 done, 1 refused, 3 not answered yet.

    done  what happened to how many, in words with one ``{}`` for "3 instances"
    """
    request_id, found = asked(settings, owner, verb, args)
    if as_json:
        answer({"request": request_id, "answered": found is not None, **(found or {})})
        return status(found)
    return tell(owner, found, done)


def asked(settings: Config, owner: str, verb: str, args: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Ask ``owner``, audited; return the request's id and the answer, None if there is none within WAIT_S.

    Raises RequestRefused for who may not ask.
    """
    try:
        requests = Requests(settings.state / "requests")
        audited(settings, f"ask {owner}: {verb}", about=about(args))
        request_id = requests.ask(owner, verb, {**args, "by": operator()})
    except PermissionError:
        raise RequestRefused(
            "You may not leave requests in the state folder, so nothing was changed. "
            "Be a member of the group appliance-operators, or use sudo."
        ) from None
    return request_id, requests.wait(owner, request_id, WAIT_S)


def status(found: dict[str, Any] | None) -> int:
    """Return the exit status for an answer."""
    if found is None:
        return PENDING
    return 1 if found.get("error") or found.get("refused") else 0


def tell(owner: str, found: dict[str, Any] | None, done: str) -> int:
    """Print what became of a request, as ``ask`` does; return the exit status."""
    if found is None:
        say(
            f"The {owner} service has not answered within {WAIT_S:.0f} s. The request is kept and will be carried out "
            f"when it runs. Start it if it does not: systemctl start appliance-{owner}, or: appliance run {owner}"
        )
    else:
        _tell(found, done)
    return status(found)


def checked_ids(ids: Sequence[str]) -> list[str]:
    """Return ``ids``; raises RequestRefused if one is none, or if there are too many for one request."""
    wrong = [each for each in ids if not is_spool_id(each)]
    if wrong:
        raise RequestRefused(
            f"'{wrong[0][:80]}' is no spool id, so nothing was changed. Ids look like 20261120T181522123Z-CT1-k7f3q9 "
            "and are shown by: appliance quarantine list"
        )
    if len(ids) > AT_ONCE:
        raise RequestRefused(f"At most {AT_ONCE} ids at once; nothing was changed. Use --reason, or ask in several.")
    return list(ids)


def sure(question: str, *, yes: bool) -> None:
    """Ask the operator to confirm; without a terminal ``--yes`` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestRefused(f"{question} Nothing was changed: say --yes to confirm.")
    click.confirm(question, abort=True)


def _tell(found: dict[str, Any], done: str) -> None:
    if found.get("error"):
        say(f"Refused: {found['error']}")
        return
    say(done.format(counted(int(found.get("done", 0)))))
    refused = found.get("refused")
    if isinstance(refused, dict):
        for spool_id, why in refused.items():
            say(f"Not {spool_id}: {why}")
