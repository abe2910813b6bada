"""How a destination knows us: the Authorization header, and what to do when it stops believing it.

Secrets are read from files (or systemd credentials of the same name) when they are needed, so a renewed password or
token is taken without a restart. No secret is ever printed: its ``repr`` is ``***``.
"""

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote_plus

import requests

from appliance import config

AHEAD_S = 60.0  # a token is renewed this long before its end, or at a fifth of its life if that is shorter
LARGEST_SECRET = 64 * 1024  # bytes
WITHOUT_EXPIRY_S = 300.0  # a token that came without expires_in is used this long
TOKEN_ANSWER = 256 * 1024  # bytes


class LoginFailed(Exception):
    """There is nothing to log in with now; the message says what and what to do, never the secret."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that is never printed."""

    text: str

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


def read_secret(file: Path, environment: Mapping[str, str]) -> Secret:
    """Return the secret in ``file``, without the line end.

    A systemd credential of the file's name goes before the file: then nothing of it lies on the disk in clear.
    Raises LoginFailed when there is none.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials) / file.name if credentials else None
    source = credential if credential is not None and credential.is_file() else file
    try:
        with source.open("rb") as opened:
            text = opened.read(LARGEST_SECRET).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise LoginFailed(f"the secret in {source} can't be read ({why}). Make it readable for this service.") from None
    if not text or any(character < " " for character in text):
        raise LoginFailed(f"the secret in {source} is empty or has more than one line. Write one line into it.")
    return Secret(text)


class Login(Protocol):
    """A way to log in. Threads share it.

    header  Authorization's value, None for none; raises LoginFailed
    renew   the destination answered 401 to ``used``: whether another try with a new header makes sense
    """

    def header(self) -> Secret | None: ...

    def renew(self, used: Secret | None) -> bool: ...


class NoLogin:
    """Nothing is shown; the network or a client certificate says who we are."""

    def header(self) -> Secret | None:
        return None

    def renew(self, used: Secret | None) -> bool:
        return False


class Basic:
    """User and password. Source: RFC 7617."""

    def __init__(self, user: str, password: Callable[[], Secret]) -> None:
        self._user = user
        self._password = password

    def header(self) -> Secret | None:
        return _basic(self._user, self._password().text)

    def renew(self, used: Secret | None) -> bool:
        return self.header() != used


def _basic(user: str, password: str) -> Secret:
    return Secret("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))


class Bearer:
    """A token in a file, which somebody else renews. Source: RFC 6750."""

    def __init__(self, token: Callable[[], Secret]) -> None:
        self._token = token

    def header(self) -> Secret | None:
        return Secret("Bearer " + self._token().text)

    def renew(self, used: Secret | None) -> bool:
        return self.header() != used


class ClientCredentials:
    """A token of an OIDC provider, fetched with our client id and secret. Source: RFC 6749 Section 4.4.

    The token is kept in memory, shared by all connections, and renewed ahead of its end by whoever needs it first.
    """

    def __init__(
        self,
        session: requests.Session,
        url: str,
        client_id: str,
        secret: Callable[[], Secret],
        *,
        scope: str,
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._url = url
        self._client_id = client_id
        self._secret = secret
        self._scope = scope
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_at = 0.0

    def header(self) -> Secret | None:
        with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                self._fetch()
            return self._token

    def renew(self, used: Secret | None) -> bool:
        with self._lock:
            if self._token == used:
                self._token = None  # else another connection has renewed it meanwhile
        return True

    def _fetch(self) -> None:
        self._token = None
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        # RFC 6749 Section 2.3.1: every server takes the client's password by HTTP Basic, both parts form-encoded.
        ours = _basic(quote_plus(self._client_id), quote_plus(self._secret().text))
        try:
            with self._session.post(
                self._url,
                data=form,
                headers={"Authorization": ours.text, "Accept": "application/json"},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = answer.raw.read(TOKEN_ANSWER, decode_content=True) if answer.status_code == 200 else b""
                self._take(answer.status_code, body)
        except (requests.RequestException, OSError) as error:
            raise LoginFailed(
                f"the token service can't be reached ({type(error).__name__}). Check token_url."
            ) from None

    def _take(self, status: int, body: bytes) -> None:
        if status != 200:
            raise LoginFailed(
                f"the token service answered {status}. Check token_url, client_id and client_secret_file."
            )
        token, life = _token_in(body)
        self._token = Secret("Bearer " + token)
        self._renew_at = self._clock() + max(life - AHEAD_S, life * 0.8)


def _token_in(body: bytes) -> tuple[str, float]:
    """Return (access token, seconds it lives); raises LoginFailed when the answer holds none."""
    try:
        answer = json.loads(body)
        token = answer["access_token"]
        life = float(answer.get("expires_in", WITHOUT_EXPIRY_S))
    except (ValueError, KeyError, TypeError, AttributeError):
        token, life = None, 0.0
    if not isinstance(token, str) or not token or any(not "!" <= character <= "~" for character in token):
        raise LoginFailed("the token service's answer holds no token. Check token_url.")
    return token, max(life, 1.0)


def login(
    auth: config.Auth,
    session: requests.Session,
    *,
    timeout_s: float,
    clock: Callable[[], float],
    environment: Mapping[str, str] = os.environ,
) -> Login:
    """Return the way to log in that the configuration asks for. ``session`` serves the token service alone."""

    def read(file: Path | None) -> Callable[[], Secret]:
        return lambda: read_secret(file or Path(), environment)

    match auth.kind:
        case "none":
            return NoLogin()
        case "basic":
            return Basic(auth.user, read(auth.password_file))
        case "bearer":
            return Bearer(read(auth.token_file))
        case "oidc":
            return ClientCredentials(
                session,
                auth.token_url,
                auth.client_id,
                read(auth.client_secret_file),
                scope=auth.scope,
                timeout_s=timeout_s,
                clock=clock,
            )
