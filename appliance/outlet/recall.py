"""Taking back what was delivered by HTTP: a server is asked to delete an instance, and then whether it is gone.

No part of the Standard lets a DICOMweb client delete; ``DELETE`` on an instance is what several clouds offer, and
Orthanc offers its REST interface.
"""

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
from appliance.outlet.search import OK, SERIES_INSTANCE_UID, Search, first, items, trouble
from appliance.outlet.stow import AnswerTooLong, broke_off, login_to, new_session
from appliance.outlet.taken_back import BY_HAND, Asked, Gone, NotPossible, TakenBack, Unconfirmed

ACCEPTED = frozenset({200, 202, 204, 410})


class WebRecall:
    """Takes back by HTTP: searches by QIDO-RS, deletes as ``recall.kind`` says."""

    def __init__(self, destination: config.Destination, session: requests.Session, login: Login) -> None:
        self._kind = destination.recall.kind
        self._rest = destination.rest_url
        self._search = Search(destination, session, login)

    def take_back(self, recall: Recall) -> TakenBack:
        try:
            return self._take_back(recall)
        except LoginFailed as failed:
            return Unavailable(None, str(failed))
        except (requests.RequestException, HTTPError, AnswerTooLong, OSError) as error:
            return broke_off(error, []).unavailable or Unavailable(None, "the request broke off.")

    def close(self) -> None:
        self._search.close()

    def _take_back(self, recall: Recall) -> TakenBack:
        seen = self._search.instance(recall.sop_instance)
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
        deleted = self._delete(recall, recall.series or first(seen or {}, SERIES_INSTANCE_UID))
        if asked and isinstance(deleted, Asked):
            return Unconfirmed(f"It accepted to delete it, and still has it. {BY_HAND}")
        return deleted

    def _delete(self, recall: Recall, series: str) -> TakenBack:
        if self._kind == "orthanc":
            return self._delete_in_orthanc(recall)
        if not is_uid(series):  # what a server says becomes part of an address: it has to be a UID
            return NotPossible("Its series is not known any more, and it lets nobody search for it. " + BY_HAND)
        status, _ = self._search.ask(
            "DELETE", f"{self._search.url}/studies/{recall.study}/series/{series}/instances/{recall.sop_instance}"
        )
        return trouble(status) or (Asked() if status in ACCEPTED else _refused(status))

    def _delete_in_orthanc(self, recall: Recall) -> TakenBack:
        """Delete every copy: one UID under two patients or studies are two for Orthanc."""
        status, body = self._search.ask("POST", f"{self._rest}/tools/lookup", recall.sop_instance)
        if (in_trouble := trouble(status)) is not None:
            return in_trouble
        found = items(body) if status == OK else None
        if found is None:
            return NotPossible(
                f"It answered {status} to tools/lookup. Check recall.rest_url and the rights of our login."
            )
        copies = [item for item in found if item.get("Type") == "Instance"]
        if not copies:
            return NotPossible("Its REST interface does not know the instance. Check recall.rest_url: another server?")
        for copy in copies:
            status, _ = self._search.ask("DELETE", f"{self._rest}/instances/{_orthanc_id(copy)}")
            if (in_trouble := trouble(status)) is not None:
                return in_trouble
            if status not in ACCEPTED | {404}:
                return _refused(status)
        return Asked()


def _refused(status: int) -> NotPossible:
    return NotPossible(
        f"It answered {status} to the deletion. Check recall.kind and the rights of our login. {BY_HAND}"
    )


def _orthanc_id(copy: Mapping[str, Any]) -> str:
    """Return Orthanc's id as a path may hold it: letters, digits and dashes."""
    return "".join(character for character in str(copy.get("ID", "")) if character.isalnum() or character == "-")


def connect(destination: config.Destination) -> WebRecall:
    """Return a connection of its own for recalls, so that they neither wait for deliveries nor hold them up."""
    return WebRecall(destination, new_session(destination), login_to(destination))
