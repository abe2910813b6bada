"""What ``doctor`` finds at our own door: an echo to the receiver that is at work, as a modality would send it."""

import socket
import ssl
from collections.abc import Iterator

from appliance.cli.checks import Finding, Severity, beating
from appliance.config import Config, Scp, Tls
from appliance.errors import CannotStart
from appliance.intake import tls
from appliance.intake.peers import Peers
from appliance.intake.scu import NotAccepted, echo
from appliance.model import Provenance

_CHECK = "echo"
ANYBODY = "DOCTOR"  # our AE title where every caller is let in, and where it is listed
_HERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to call who listens everywhere


def knock(settings: Config) -> Iterator[Finding]:
    """Echo at the plain and the encrypted port; nothing where no receiver is at work, or a port is any free one.

    Only a caller that is let in is played: any other would be told of as a stranger.
    """
    scp = settings.scp
    if "receive" not in beating(settings):
        return
    host = host_of(scp)
    calling = caller_of(settings, host)
    ports: list[tuple[str, int, Tls | None]] = [("scp.port", scp.port, None)]
    if scp.tls is not None:
        ports.append(("scp.tls.port", scp.tls.port, scp.tls))
    for name, port, encryption in ports:
        if port and calling:
            yield _echoed(f"{name} {port}", host, port, calling, scp.ae_title, encryption)
        elif port:
            yield _not_called(f"{name} {port}", scp.ae_title, f"scp.peers lets nobody call from here ({host})")


def host_of(scp: Scp) -> str:
    """Return where this machine calls its own receiver."""
    return _HERE.get(scp.host, scp.host)


def caller_of(settings: Config, host: str) -> str:
    """Return an AE title under which this machine is let in when it calls itself, "" if there is none.

    Ours if it is among them: what it sends has a source of its own then.
    """
    address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    peers = settings.scp.peers
    listed = [ANYBODY] if peers == "any" else [peer.ae_title for peer in peers]
    titles = sorted(listed, key=lambda title: title != ANYBODY)
    let_in = Peers(settings.scp)
    admitted = (
        title for title in titles if isinstance(let_in.admit(title, settings.scp.ae_title, address), Provenance)
    )
    return next(admitted, "")


def _echoed(place: str, host: str, port: int, calling: str, called: str, encryption: Tls | None) -> Finding:
    try:
        if encryption is not None and not tls.knows_itself(encryption):
            return _not_called(place, called, "scp.tls.client_ca does not know our own certificate")
        context = None if encryption is None else tls.own_context(encryption)
        shown = echo(host, port, calling=calling, called=called, encryption=context)
    except NotAccepted as error:
        do = "Modalities fare the same: they keep their images. See: journalctl -u appliance-receive, appliance peers."
        return Finding(_CHECK, Severity.ERROR, f"{place}: {error}", do)
    except CannotStart:
        what = f"{place} was not called: its certificate or key cannot be used by you."
        return Finding(_CHECK, Severity.WARNING, what, "Run this as the user of the receiver, or with sudo.")
    if encryption is not None and shown != _first(encryption):
        what = f"{place} answers, but shows another certificate than {encryption.certificate} holds."
        return Finding(_CHECK, Severity.WARNING, what, "It was renewed: systemctl reload appliance-receive")
    return Finding(_CHECK, Severity.OK, f"{place} answers {calling}{', encrypted' if encryption else ''}.")


def _not_called(place: str, called: str, why: str) -> Finding:
    return Finding(
        _CHECK, Severity.OK, f"{place} was not called: {why}.", f"Prove it by a C-ECHO of a modality to {called}."
    )


def _first(encryption: Tls) -> bytes:
    """Return the first certificate of our chain as DER."""
    text = encryption.certificate.read_text()
    end = ssl.PEM_FOOTER
    return ssl.PEM_cert_to_DER_cert(text[text.index(ssl.PEM_HEADER) : text.index(end) + len(end)])
