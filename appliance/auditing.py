"""Whom a site wants told by DICOM audit messages, as its configuration says it; ``config`` holds the rest."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.yamlfile import demand

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Syslog:
    """The hospital's audit record repository: syslog over TLS. Source: PS3.15 A.6, RFC 5425."""

    host: str
    port: int = 6514  # RFC 5425 4.1
    tls: bool = True
    in_clear: bool = False  # true: with tls false, send over the network where whoever is on the way can read it
    ca: Path | None = None  # PEM bundle; left out: the system's
    certificate: Path | None = None  # PEM, the chain by which the receiver knows us
    key: Path | None = None  # PEM; a systemd credential of the file's name goes before the file
    source_id: str = ""  # AuditSourceID; left out: this machine's name
    gather_s: float = 60.0  # instances of a study that come or leave within this time are told together
    timeout_s: float = field(default=5.0)  # connect and between bytes

    def __post_init__(self) -> None:
        demand(bool(self.host), "host must name the receiver.")
        demand(1 <= self.port <= 65535, "port must be 1 to 65535.")
        demand((self.certificate is None) == (self.key is None), "certificate and key go together.")
        demand(
            self.tls or not (self.ca or self.certificate),
            "ca, certificate and key mean something with tls only: remove them, or tls: false.",
        )
        demand(
            self.tls or self.in_clear or self.host in LOOPBACK,
            "without tls whoever is on the way can read and change the messages. Remove tls: false; or, if the way is"
            " protected otherwise, write in_clear: true.",
        )
        demand(not (self.tls and self.in_clear), "in_clear means something with tls: false only.")
        demand(0 <= self.gather_s <= 3600, "gather_s must be 0 to 3600.")
        demand(0 < self.timeout_s <= 10, "timeout_s must be more than 0 and at most 10.")
        demand(
            self.source_id.isascii() and self.source_id.isprintable() and len(self.source_id) <= 64,
            "source_id must be at most 64 printable ASCII characters.",
        )


@dataclass(frozen=True, slots=True)
class Auditing:
    """Where else the audit goes. It is kept in the state folder whatever stands here."""

    syslog: Syslog | None = None  # left out: nowhere
