"""Taking back what was delivered by HTTP: a server is asked to delete an instance, and then whether it is gone.

A search that is not there, or that answers something else, proves nothing. Source: PS3.18 Section 10.6 (QIDO-RS). No
part of the Standard lets a DICOMweb client delete; ``DELETE`` on an instance is what several clouds offer, and Orthanc
offers its REST interface.
"""

import json
from collections.abc import Mapping
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from appliance import config
from appliance.lifecycle import RecallState
from appliance.model import Recall
from appliance.outlet.auth import Login, LoginFailed
from appliance.outlet.destination import Unavailable
from appliance.outlet.folder import is_uid
from appliance.outlet.stow import UNAUTHORIZED, AnswerTooLong, broke_off, login_to, new_session, whole_answer
from appliance.outlet.taken_back import BY_HAND, Asked, Gone, NotPossible, TakenBack, Unconfirmed

SERIES_INSTANCE_UID = "0020000E"
SOP_INSTANCE_UID = "00080018"

OK = 200
NO_CONTENT = 204
ACCEPTED = frozenset({200, 202, 204, 410})
BUSY = frozenset({408, 425, 429})


class WebRecall:
    """Takes back by HTTP: searches by QIDO-RS, deletes as ``recall.kind`` says."""

    def __init__(self, destination: config.Destination, session: requests.Session, login: Login) -> None:
        self._kind = destination.recall.kind
        self._url = destination.url
        self._rest = destination.rest_url
        self._timeout_s = destination.timeout_s
        self._session = session
        self._login = login

    def take_back(self, recall: Recall) -> TakenBack:
        try:
            return self._take_back(recall)
        except LoginFailed as failed:
            return Unavailable(None, str(failed))
        except (requests.RequestException, HTTPError, AnswerTooLong, OSError) as error:
            return broke_off(error, []).unavailable or Unavailable(None, "the request broke off.")

    def close(self) -> None:
        self._session.close()

    def _take_back(self, recall: Recall) -> TakenBack:
        seen = self._search(recall)
        if isinstance(seen, Unavailable | Gone):
            return seen
        asked = recall.state is RecallState.DELETED
        if seen is None and asked:
            return Unconfirmed("It accepted to delete it, and lets nobody search: look there whether it is gone.")
        if recall.state is RecallState.IMPOSSIBLE:
            return NotPossible("")  # as before: what was sent since must not be deleted
        if self._kind == "none":
            how = "lets nobody search" if seen is None else "has it"
            return NotPossible(f"It {how}, and no way to delete there is configured (recall). {BY_HAND}")
        deleted = self._delete(recall, recall.series or _first(seen or {}, SERIES_INSTANCE_UID))
        if asked and isinstance(deleted, Asked):
            return Unconfirmed(f"It accepted to delete it, and still has it. {BY_HAND}")
        return deleted

    def _search(self, recall: Recall) -> Mapping[str, Any] | Gone | Unavailable | None:
        """Return what it says of the instance; None if it does not let us search.

        By the UID alone and unencoded, because Orthanc 1.10 does not decode what it is asked for.
        """
        status, body = self._ask("GET", f"{self._url}/instances?SOPInstanceUID={recall.sop_instance}")
        if (trouble := _trouble(status)) is not None:
            return trouble
        if status == NO_CONTENT:
            return Gone()
        found = _items(body) if status == OK else None
        if found is None:
            return None
        named = [item for item in found if _first(item, SOP_INSTANCE_UID) == recall.sop_instance]
        if found and not named:
            return None  # it did not understand what was asked: this is a list of something else
        return named[0] if named else Gone()

    def _delete(self, recall: Recall, series: str) -> TakenBack:
        if self._kind == "orthanc":
            return self._delete_in_orthanc(recall)
        if not is_uid(series):  # what a server says becomes part of an address: it has to be a UID
            return NotPossible("Its series is not known any more, and it lets nobody search for it. " + BY_HAND)
        status, _ = self._ask(
            "DELETE", f"{self._url}/studies/{recall.study}/series/{series}/instances/{recall.sop_instance}"
        )
        return _trouble(status) or (Asked() if status in ACCEPTED else _refused(status))

    def _delete_in_orthanc(self, recall: Recall) -> TakenBack:
        """Delete every copy: one UID under two patients or studies are two for Orthanc."""
        status, body = self._ask("POST", f"{self._rest}/tools/lookup", recall.sop_instance)
        if (trouble := _trouble(status)) is not None:
            return trouble
        found = _items(body) if status == OK else None
        if found is None:
            return NotPossible(
                f"It answered {status} to tools/lookup. Check recall.rest_url and the rights of our login."
            )
        copies = [item for item in found if item.get("Type") == "Instance"]
        if not copies:
            return NotPossible("Its REST interface does not know the instance. Check recall.rest_url: another server?")
        for copy in copies:
            status, _ = self._ask("DELETE", f"{self._rest}/instances/{_orthanc_id(copy)}")
            if (trouble := _trouble(status)) is not None:
                return trouble
            if status not in ACCEPTED | {404}:
                return _refused(status)
        return Asked()

    def _ask(self, method: str, url: str, body: str | None = None) -> tuple[int, bytes]:
        """Make one request; after a 401 a second one, if the secret or token can be renewed."""
        header = self._login.header()
        status, answer = self._request(method, url, body, header.text if header else "")
        if status == UNAUTHORIZED and self._login.renew(header):
            header = self._login.header()
            status, answer = self._request(method, url, body, header.text if header else "")
        return status, answer

    def _request(self, method: str, url: str, body: str | None, authorization: str) -> tuple[int, bytes]:
        accept = {"Accept": "application/dicom+json" if method == "GET" else "*/*"}
        headers = accept | ({"Authorization": authorization} if authorization else {})
        with self._session.request(
            method, url, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
        ) as answer:
            return answer.status_code, whole_answer(answer, self._timeout_s)


def _trouble(status: int) -> Unavailable | None:
    """Return what is wrong with the destination as a whole, None if it answered this very request."""
    if status == UNAUTHORIZED:
        return Unavailable(None, "it answered 401 to our login. Renew the password or token named under auth.")
    if status in BUSY or (status >= 500 and status != 501):
        return Unavailable(None, f"it answered {status}.", sure=False)
    return None


def _refused(status: int) -> NotPossible:
    return NotPossible(
        f"It answered {status} to the deletion. Check recall.kind and the rights of our login. {BY_HAND}"
    )


def _items(body: bytes) -> list[dict[str, Any]] | None:
    """Return the objects of a JSON array; None if it is none: an empty body says nothing."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        return None
    return found


def _first(item: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute, "" without one. Source: PS3.18 Annex F.2."""
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _orthanc_id(copy: Mapping[str, Any]) -> str:
    """Return Orthanc's id as a path may hold it: letters, digits and dashes."""
    return "".join(character for character in str(copy.get("ID", "")) if character.isalnum() or character == "-")


def connect(destination: config.Destination) -> WebRecall:
    """Return a connection of its own for recalls, so that they neither wait for deliveries nor hold them up."""
    return WebRecall(destination, new_session(destination), login_to(destination))
