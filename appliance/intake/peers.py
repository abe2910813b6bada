"""Who may send, and under which name: the configured peers, by AE title and address.

An AE title is whatever a caller says it is. It chooses among configured names here and travels on as text in
Provenance; no path, label or id is ever made of it.
"""

import ipaddress
from collections.abc import Callable

from appliance import config
from appliance.intake.associate import Rejection
from appliance.model import ONLY_PROJECT, UNLISTED, Provenance

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _only_project(_called_ae: str) -> str:
    return ONLY_PROJECT


class Peers:
    """The callers that the configuration lets in.

    project_of   called AE title -> project
    called       further called AE titles that are ours (those of projects)
    """

    def __init__(
        self,
        scp: config.Scp,
        *,
        project_of: Callable[[str], str] = _only_project,
        called: frozenset[str] = frozenset(),
    ) -> None:
        self._peers = scp.peers
        self._any_called = scp.any_called_ae
        self._called = called | {scp.ae_title.strip()}
        self._project_of = project_of

    def admit(self, calling_ae: str, called_ae: str, address: str) -> Provenance | Rejection:
        """Return how instances of this caller came, or why it is turned away.

        calling_ae, called_ae  as sent, stripped
        address                IP address of the other end; an IPv4 one mapped into IPv6 counts as IPv4
        """
        if not self._any_called and called_ae not in self._called:
            return Rejection.UNKNOWN_CALLED
        at = _address(address)
        source = self._source(calling_ae, at)
        if source is None:
            return Rejection.UNKNOWN_CALLER
        return Provenance(source, self._project_of(called_ae), calling_ae, called_ae, str(at))

    def peer_of(self, provenance: Provenance) -> config.Peer | None:
        """Return the configured peer that was admitted so; None where any caller is."""
        return self._peer(provenance.calling_ae, _address(provenance.peer))

    def _source(self, calling_ae: str, at: _Address) -> str | None:
        if self._peers == "any":
            return UNLISTED
        peer = self._peer(calling_ae, at)
        return None if peer is None else peer.source

    def _peer(self, calling_ae: str, at: _Address) -> config.Peer | None:
        peers = () if self._peers == "any" else self._peers
        return next(
            (peer for peer in peers if peer.ae_title == calling_ae and (peer.address is None or at in peer.address)),
            None,
        )


def _address(text: str) -> _Address:
    address = ipaddress.ip_address(text.partition("%")[0])  # a link-local IPv6 address carries its interface
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
