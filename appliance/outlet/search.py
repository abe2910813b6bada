"""Asking a DICOMweb server beyond STOW-RS: one request with our login, and a search for an instance.

A search that is not there, or that answers something else, proves nothing. Source: PS3.18 Section 10.6 (QIDO-RS).
"""

import json
from collections.abc import Mapping
from typing import Any

import requests

from appliance import config
from appliance.outlet.auth import Login
from appliance.outlet.destination import Unavailable
from appliance.outlet.stow import UNAUTHORIZED, whole_answer
from appliance.outlet.taken_back import Gone

SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"

OK = 200
NO_CONTENT = 204
BUSY = frozenset({408, 425, 429})


class Search:
    """A destination that is asked; ``url`` is its DICOMweb root. Used by one thread at a time.

    Every method raises what the way to the destination raises: LoginFailed, requests' and urllib3's errors,
    AnswerTooLong, OSError.
    """

    def __init__(self, destination: config.Destination, session: requests.Session, login: Login) -> None:
        self.url = destination.url
        self._timeout_s = destination.timeout_s
        self._session = session
        self._login = login

    def close(self) -> None:
        """Let go of idle connections."""
        self._session.close()

    def ask(self, method: str, url: str, body: str | None = None) -> tuple[int, bytes]:
        """Make one request; after a 401 a second one, if the secret or token can be renewed."""
        header = self._login.header()
        status, answer = self._asked(method, url, body, header.text if header else "")
        if status == UNAUTHORIZED and self._login.renew(header):
            header = self._login.header()
            status, answer = self._asked(method, url, body, header.text if header else "")
        return status, answer

    def instance(self, sop_instance: str) -> Mapping[str, Any] | Gone | Unavailable | None:
        """Return what it says of an instance; None if it does not let us search.

        By the UID alone and unencoded, because Orthanc 1.10 does not decode what it is asked for.
        """
        found = self.found(f"{self.url}/instances?SOPInstanceUID={sop_instance}")
        if found is None or isinstance(found, Unavailable):
            return found
        named = [item for item in found if first(item, SOP_INSTANCE_UID) == sop_instance]
        if found and not named:
            return None  # it did not understand what was asked: this is a list of something else
        return named[0] if named else Gone()

    def found(self, url: str) -> list[dict[str, Any]] | Unavailable | None:
        """Return what a search finds; None if it does not let us search, or answers something else."""
        status, body = self.ask("GET", url)
        if (in_trouble := trouble(status)) is not None:
            return in_trouble
        if status == NO_CONTENT:
            return []
        return items(body) if status == OK else None

    def whole(self, url: str, accept: str) -> tuple[int, str, bytes]:
        """GET something small; return status, Content-Type and body."""
        header = self._login.header()
        return self._request("GET", url, None, header.text if header else "", accept)

    def _asked(self, method: str, url: str, body: str | None, authorization: str) -> tuple[int, bytes]:
        accept = "application/dicom+json" if method == "GET" else "*/*"
        status, _, answer = self._request(method, url, body, authorization, accept)
        return status, answer

    def _request(
        self, method: str, url: str, body: str | None, authorization: str, accept: str
    ) -> tuple[int, str, bytes]:
        headers = {"Accept": accept} | ({"Authorization": authorization} if authorization else {})
        with self._session.request(
            method, url, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
        ) as answer:
            kind = answer.headers.get("Content-Type", "")
            return answer.status_code, kind, whole_answer(answer, self._timeout_s)


def trouble(status: int) -> Unavailable | None:
    """Return what is wrong with the destination as a whole, None if it answered this very request."""
    if status == UNAUTHORIZED:
        return Unavailable(None, "it answered 401 to our login. Renew the password or token named under auth.")
    if status in BUSY or (status >= 500 and status != 501):
        return Unavailable(None, f"it answered {status}.", sure=False)
    return None


def items(body: bytes) -> list[dict[str, Any]] | None:
    """Return the objects of a JSON array; None if it is none: an empty body says nothing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return None
    return found


def first(item: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute, "" without one. Source: PS3.18 Annex F.2."""
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""
