"""Storage Commitment as a site grants it to a peer; ``config`` holds the rest. Source: PS3.4 Annex J."""

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Literal

from appliance.yamlfile import Network, demand

Promise = Literal["in-custody", "delivered"]

AE_TITLE_WORDS = "ae_title must be 1 to 16 characters without backslash, not starting or ending with a blank."

_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")  # PS3.5 Table 6.2-1, AE: no backslash, no control characters


def is_ae_title(text: str) -> bool:
    """Whether ``text`` is an AE title without blanks about it."""
    return _AE_TITLE.fullmatch(text) is not None and text.strip() == text


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a peer is promised that asks for storage commitment, and where the report goes."""

    promise: Promise  # in-custody: durably kept here; delivered: every destination named it as stored
    port: int  # where the peer takes reports
    host: str = ""  # an IP address, since the receiver asks no name server; left out: the peer's, if it is a single one
    ae_title: str = ""  # left out: the peer's
    tls: bool = False  # true: reports go encrypted, by certificate, key and client_ca of scp.tls
    deliver_hours: float = 72.0  # delivered: what is not delivered by then is reported as failed
    report_hours: float = 72.0  # a report that the peer does not take is repeated for this long, then given up
    timeout_s: float = 30.0  # for connecting, and for each answer

    def __post_init__(self) -> None:
        demand(1 <= self.port <= 65535, "port must be 1 to 65535.")
        demand(not self.host or _is_address(self.host), "host must be an IP address: the receiver asks no name server.")
        demand(not self.ae_title or is_ae_title(self.ae_title), AE_TITLE_WORDS)
        for name in ("deliver_hours", "report_hours", "timeout_s"):
            demand(getattr(self, name) > 0, f"{name} must be more than 0.")

    def of_peer(self, ae_title: str, address: Network | None) -> "Commitment":
        """Return it with what was left out taken from the peer. Raises ValueError if that has no single address."""
        single = address is not None and address.num_addresses == 1
        demand(
            bool(self.host) or single,
            "commitment needs a host: the peer has no single address that reports could go to.",
        )
        host = self.host or str(address.network_address if address is not None else "")
        return replace(self, host=host, ae_title=self.ae_title or ae_title)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
