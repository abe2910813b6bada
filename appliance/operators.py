"""Where metrics and the status page are, and who may decide there, as the configuration says it."""

import re
from dataclasses import dataclass
from pathlib import Path

from appliance.yamlfile import demand

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,47}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def is_operator(name: str) -> bool:
    """Return whether ``name`` can be an operator's login: what the audit and the file of passwords hold."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Proxy:
    """A reverse proxy that knows who it is, and says so in a header."""

    secret_file: Path  # what it sends as X-Appliance-Proxy: whoever else reaches the port must not name a person
    header: str = "X-Remote-User"
    address_header: str = ""  # says where the person is, as X-Forwarded-For; left out: the proxy's address is kept

    def __post_init__(self) -> None:
        demand(_HEADER.fullmatch(self.header) is not None, "header must be the name of an HTTP header.")
        demand(
            not self.address_header or _HEADER.fullmatch(self.address_header) is not None,
            "address_header must be the name of an HTTP header.",
        )


@dataclass(frozen=True, slots=True)
class Login:
    """Who may release, discard, send again and pause on the status page; left out, it can only be read."""

    passwords: Path | None = None  # made by: appliance operator add NAME
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        demand(
            (self.passwords is None) != (self.proxy is None),
            "passwords or proxy: name a file of passwords, or the reverse proxy that knows who it is; not both.",
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """Metrics, health and the status page."""

    host: str = "127.0.0.1"
    port: int = 9112
    login: Login | None = None  # left out: the status page can only be read

    def __post_init__(self) -> None:
        demand(0 <= self.port <= 65535, "port must be 0 to 65535.")
