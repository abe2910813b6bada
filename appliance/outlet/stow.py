"""A DICOMweb destination: one STOW-RS request a delivery, judged instance by instance.

Redirects are never followed, because credentials could travel to another host with them; the 3xx pauses the
destination and says so. Nothing the size of an instance is ever in memory. Source: PS3.18 Section 10.5.
"""

import email.utils
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from appliance import __version__, config
from appliance.model import Parcel
from appliance.outlet import retrieve
from appliance.outlet.auth import Login, LoginFailed, Secret, login
from appliance.outlet.destination import (
    FileLost,
    FileSpoilt,
    Later,
    Receipt,
    RefusedForGood,
    Stored,
    There,
    Unavailable,
    Verdict,
)
from appliance.outlet.intact import is_intact
from appliance.outlet.multipart import MultipartBody
from appliance.outlet.receipt import judge, read_answer
from appliance.reasons import Reason

ACCEPT = "application/dicom+json, application/dicom+xml;q=0.5"
LARGEST_ANSWER = 16 * 1024 * 1024  # bytes; a thousand instances named by XML take one
ANSWER_CHUNK = 64 * 1024
UNAUTHORIZED = 401
TROUBLED = frozenset({UNAUTHORIZED, 408, 425, 429, 500, 502, 503, 504})  # it is the destination's state, not its answer


class LocalTrouble(Exception):
    """A file in ready can't be sent; nothing was. ``receipt`` judges it alone."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__("a file in ready can't be sent")
        self.receipt = receipt


class AnswerTooLong(Exception):
    """The answer is larger, or takes longer, than any honest one."""


class Stow:
    """One HTTP connection to a DICOMweb root. Used by one thread; ``close`` by any.

    now       aware UTC, for a Retry-After that is a date
    boundary  gives the separator of a body: random, so that no file holds it
    """

    def __init__(
        self,
        url: str,
        session: requests.Session,
        login: Login,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        boundary: Callable[[], str] = lambda: os.urandom(24).hex(),
    ) -> None:
        self._url = f"{url}/studies"
        self._session = session
        self._login = login
        self._timeout_s = timeout_s
        self._clock = clock
        self._now = now
        self._boundary = boundary

    def deliver(self, parcels: Sequence[Parcel]) -> Receipt:
        """Make one request with these parcels; after a 401 a second one, if the secret or token can be renewed."""
        try:
            with _opened(parcels, self._boundary()) as body:
                return self._deliver(body, parcels)
        except LocalTrouble as trouble:
            return trouble.receipt
        except LoginFailed as failed:
            return Receipt(unavailable=Unavailable(None, str(failed)))
        except (requests.RequestException, HTTPError, AnswerTooLong, OSError) as error:
            return broke_off(error, parcels)

    def look(self, parcel: Parcel) -> There:
        """Fetch the instance back and compare its Data Set. Source: PS3.18 Section 10.4."""
        url = f"{self._url}/{parcel.study}/series/{parcel.series}/instances/{parcel.sop_instance}"
        try:
            authorization = self._login.header()
            headers = {"Accept": retrieve.ACCEPT} | (
                {} if authorization is None else {"Authorization": authorization.text}
            )
            with self._session.get(
                url, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
            ) as answer:
                if answer.status_code in (404, 410):
                    return There.ABSENT
                if answer.status_code in TROUBLED:
                    return There.AWAY
                if answer.status_code != 200:
                    return There.UNKNOWN
                chunks = answer.iter_content(retrieve.CHUNK)
                digest = retrieve.digest_of(answer.headers.get("Content-Type", ""), chunks)
        except (LoginFailed, requests.RequestException, HTTPError, OSError):
            return There.AWAY
        if digest is None:
            return There.UNKNOWN
        return There.SAME if digest == parcel.digest else There.DIFFERENT

    def close(self) -> None:
        self._session.close()

    def _deliver(self, body: MultipartBody, parcels: Sequence[Parcel]) -> Receipt:
        header = self._login.header()
        status, after_s, answer = self._post(body, header)
        if status == UNAUTHORIZED and self._login.renew(header):
            status, after_s, answer = self._post(body, self._login.header())
        receipt = judge(status, after_s, read_answer(answer), parcels)
        return replace(receipt, verdicts=self._compared(receipt.verdicts, parcels))

    def _compared(self, verdicts: Mapping[str, Verdict], parcels: Sequence[Parcel]) -> dict[str, Verdict]:
        """Look at what the destination says it has already: our own, of a try whose answer was lost, is stored."""
        compared = dict(verdicts)
        for parcel in parcels:
            verdict = compared.get(parcel.out)
            if isinstance(verdict, RefusedForGood) and verdict.reason is Reason.ALREADY_THERE_DIFFERENT:
                match self.look(parcel):
                    case There.SAME:
                        compared[parcel.out] = Stored()
                    case There.ABSENT:
                        compared[parcel.out] = Later(None, "said to be a duplicate, but not there")
                    case There.AWAY:
                        compared[parcel.out] = Later(None, "said to be a duplicate, and could not be looked at")
        return compared

    def _post(self, body: MultipartBody, authorization: Secret | None) -> tuple[int, float | None, bytes]:
        headers = {"Content-Type": body.content_type, "Content-Length": str(len(body)), "Accept": ACCEPT}
        if authorization is not None:
            headers["Authorization"] = authorization.text
        with self._session.post(
            self._url, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
        ) as answer:
            after_s = retry_after(answer.headers.get("Retry-After"), self._now())
            return answer.status_code, after_s, whole_answer(answer, self._timeout_s, self._clock)


def whole_answer(answer: requests.Response, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> bytes:
    """Return the body, bounded in size and in time: the time-out of requests is between bytes only.

    Raises AnswerTooLong.
    """
    deadline = clock() + timeout_s
    read = bytearray()
    # read1, because iter_content(n) of requests 2.34 comes back only with n bytes, however slowly they drip.
    while chunk := answer.raw.read1(ANSWER_CHUNK, decode_content=True):
        read += chunk
        if len(read) > LARGEST_ANSWER or clock() > deadline:
            raise AnswerTooLong
    return bytes(read)


@contextmanager
def _opened(parcels: Sequence[Parcel], boundary: str) -> Iterator[MultipartBody]:
    """The body of these parcels; raises LocalTrouble when a file of theirs is not there, or not what it was."""
    with ExitStack() as stack:
        try:
            body = stack.enter_context(MultipartBody([parcel.file for parcel in parcels], boundary))
            spoilt = [
                parcel.out for file, parcel in zip(body.files, parcels, strict=True) if not is_intact(file, parcel)
            ]
        except OSError as error:
            verdict = FileLost() if isinstance(error, FileNotFoundError) else Later(None, "it can't be read in ready")
            named = [parcel.out for parcel in parcels if str(parcel.file) == str(error.filename)]
            raise LocalTrouble(Receipt(dict.fromkeys(named, verdict))) from error
        if spoilt:
            raise LocalTrouble(Receipt(dict.fromkeys(spoilt, FileSpoilt())))
        yield body


def broke_off(error: Exception, parcels: Sequence[Parcel]) -> Receipt:
    """Judge a request that got no whole answer: whether anything was stored is not known, so all go again."""
    if isinstance(error, requests.exceptions.SSLError):
        return Receipt(
            unavailable=Unavailable(
                None, "the TLS connection failed. Check ca, client_certificate and the destination's certificate."
            )
        )
    if isinstance(error, requests.exceptions.ConnectTimeout) or _never_connected(error):
        return Receipt(unavailable=Unavailable(None, "it can't be reached. Check url and the network."))
    if not isinstance(error, requests.RequestException | HTTPError | AnswerTooLong):
        # requests 2.34 says so by a bare OSError, at the first request and not at configuration.
        return Receipt(
            unavailable=Unavailable(None, "a file named by ca or client_certificate can't be read. Check both.")
        )
    what = type(error).__name__
    return Receipt(
        {parcel.out: Later(None, f"broken off: {what}") for parcel in parcels},
        Unavailable(None, f"the request broke off ({what}).", sure=False),
        too_much=True,
    )


def _never_connected(error: Exception) -> bool:
    """Whether not even a connection came about, so that no instance can be the cause."""
    if not isinstance(error, requests.exceptions.ConnectionError):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"} or isinstance(
        error, requests.exceptions.ProxyError
    )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After asks for, by number or by date; None if it cannot be read.

    Source: RFC 9110 Section 10.2.3.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def new_session(destination: config.Destination) -> requests.Session:
    """Return a session for one connection: the destination's certificates, the environment's proxies, nothing else.

    ``trust_env`` is off because a .netrc would silently replace our Authorization header (requests 2.34).
    """
    session = requests.Session()
    session.trust_env = False
    session.proxies = requests.utils.get_environ_proxies(destination.url, no_proxy=None)
    session.verify = True if destination.ca is None else str(destination.ca)
    if destination.client_certificate is not None:
        session.cert = (str(destination.client_certificate.certificate), str(destination.client_certificate.key))
    session.headers["User-Agent"] = f"appliance/{__version__}"
    one = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
    session.mount("https://", one)
    session.mount("http://", one)
    return session


def login_to(destination: config.Destination, environment: Mapping[str, str] = os.environ) -> Login:
    """Return the login of a destination, which its connections share."""
    token_session = requests.Session()
    token_session.trust_env = False
    token_session.proxies = requests.utils.get_environ_proxies(destination.auth.token_url, no_proxy=None)
    token_session.verify = True if destination.ca is None else str(destination.ca)
    return login(
        destination.auth, token_session, timeout_s=destination.timeout_s, clock=time.monotonic, environment=environment
    )


def connect(destination: config.Destination, environment: Mapping[str, str] = os.environ) -> list[Stow]:
    """Return one Stow for each of the destination's connections; they share the login."""
    shared = login_to(destination, environment)
    return [
        Stow(destination.url, new_session(destination), shared, timeout_s=destination.timeout_s)
        for _ in range(destination.connections)
    ]
