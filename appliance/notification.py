"""Whom a site wants told by message, as its configuration says it; ``config`` holds the rest."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from appliance.yamlfile import demand


@dataclass(frozen=True, slots=True)
class Mail:
    """Messages by mail, through the hospital's own server."""

    host: str
    to: tuple[str, ...]
    sender: str  # the address that the mail comes from
    port: int = 25
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    ca: Path | None = None  # PEM bundle; left out: the system's
    user: str = ""
    password_file: Path | None = None

    def __post_init__(self) -> None:
        demand(bool(self.host), "host must name the mail server.")
        demand(bool(self.to), "to must name at least one address.")
        demand(all(_is_address(each) for each in (*self.to, self.sender)), "to and sender are addresses: name@domain.")
        demand(1 <= self.port <= 65535, "port must be 1 to 65535.")
        demand(bool(self.user) == (self.password_file is not None), "user and password_file go together.")
        demand(
            not self.user or self.encryption != "none",
            "a password must not go over a connection that is not encrypted.",
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """Messages as JSON, by HTTP POST."""

    url: str
    token_file: Path | None = None  # sent as Bearer token
    ca: Path | None = None  # PEM bundle; left out: the system's

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        demand(
            parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and parts.port != 0,
            "url must begin http:// or https:// and name a host.",
        )
        demand(
            self.token_file is None or parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1"),
            "a token must not go over a connection that is not encrypted: use https.",
        )


@dataclass(frozen=True, slots=True)
class Notify:
    """What needs a person is told: quarantined or rejected instances, and inbox items that were not wholly taken."""

    mail: Mail | None = None
    webhook: Webhook | None = None
    every_s: float = 900.0  # at most one message in this time; what is new meanwhile is told together
    timeout_s: float = field(default=10.0)  # connect and between bytes

    def __post_init__(self) -> None:
        demand(self.mail is not None or self.webhook is not None, "notify needs mail or webhook.")
        demand(self.every_s > 0, "every_s must be more than 0.")
        demand(0 < self.timeout_s <= 20, "timeout_s must be more than 0 and at most 20.")


def _is_address(text: str) -> bool:
    name, at, domain = text.partition("@")
    return bool(name and at and domain) and text.isascii() and text.isprintable() and not set(text) & set(' ,;<>"')
