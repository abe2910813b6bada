"""``appliance peers``: what went wrong with each sender lately, in words that can be sent to its vendor."""

import difflib
import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import answer, load, say, with_config
from appliance.config import Config, Peer
from appliance.intake.callers import Caller, Failure, read_callers
from appliance.intake.troubles import Trouble
from appliance.services.receive import callers_file


@click.command("peers")
@with_config
def command(config_file: Path | None, as_json: bool) -> None:
    """Explain the last failed associations of each sender: what happened, and what to change at which end.

    It holds no patient data and can be sent to the sender's vendor as it is.
    """
    settings = load(config_file)
    found = [_content(settings, caller) for caller in reversed(read_callers(callers_file(settings))) if caller.failures]
    if as_json:
        answer({"receiver": _receiver(settings), "senders": found})
    else:
        _show(settings, found)


def _content(settings: Config, caller: Caller) -> dict[str, Any]:
    return {
        "calling_ae": caller.calling,
        "address": caller.address,
        "worked_at": _moment(caller.worked_at),
        "works_again": caller.worked_at > caller.failures[-1].at,
        "failures": [_failure(settings, caller, failure) for failure in reversed(caller.failures)],
    }


def _failure(settings: Config, caller: Caller, failure: Failure) -> dict[str, str]:
    words = failure.trouble.words
    return {
        "at": _moment(failure.at),
        "called_ae": failure.called,
        "trouble": failure.trouble.value,
        "what": " ".join(filter(None, (words.what, failure.facts))),
        "do": " ".join(filter(None, (_hint(settings, caller, failure), words.do))),
    }


def _receiver(settings: Config) -> dict[str, Any]:
    scp = settings.scp
    return {"ae_title": scp.ae_title, "port": scp.port, "tls_port": None if scp.tls is None else scp.tls.port}


def _hint(settings: Config, caller: Caller, failure: Failure) -> str:
    """Return what the configuration makes likely, "" if nothing."""
    scp = settings.scp
    if failure.trouble is Trouble.UNKNOWN_CALLED:
        return f"It called '{failure.called}'; this receiver is '{scp.ae_title}'."
    if failure.trouble is not Trouble.UNKNOWN_CALLER or scp.peers == "any":
        return ""
    same = [peer for peer in scp.peers if peer.ae_title == caller.calling]
    if same:
        listed = ", ".join(str(peer.address) for peer in same)
        return f"'{caller.calling}' is listed for {listed}, and called from {caller.address}."
    near = _nearest(caller, scp.peers)
    return f"It calls itself '{caller.calling}'; listed is '{near}'." if near else ""


def _nearest(caller: Caller, peers: tuple[Peer, ...]) -> str:
    """Return the listed AE title that was probably meant: one of that address, or one that looks like it."""
    address = ipaddress.ip_address(caller.address.partition("%")[0])
    for peer in peers:
        if peer.address is not None and peer.address.num_addresses == 1 and address in peer.address:
            return peer.ae_title
    titles = {peer.ae_title.casefold(): peer.ae_title for peer in peers}
    near = difflib.get_close_matches(caller.calling.casefold(), titles, n=1)
    return titles[near[0]] if near else ""


def _show(settings: Config, found: list[dict[str, Any]]) -> None:
    if not found:
        say("No association failed lately, as far as the receiver remembers.")
        return
    receiver = _receiver(settings)
    tls = f", with TLS port {receiver['tls_port']}" if receiver["tls_port"] else ""
    say(f"Receiver: AE title {receiver['ae_title']}, port {receiver['port']}{tls}. No patient data is in what follows.")
    for sender in found:
        name = f"'{sender['calling_ae']}' at {sender['address']}" if sender["calling_ae"] else sender["address"]
        works = "works again since" if sender["works_again"] else "last worked"
        say(f"\n{name} ({works} {sender['worked_at']})" if sender["worked_at"] else f"\n{name} (never worked)")
        for failure in sender["failures"]:
            say(f"  {failure['at']}  {failure['trouble']}")
            say(f"    What: {failure['what']}")
            say(f"    Do:   {failure['do']}")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at else ""
