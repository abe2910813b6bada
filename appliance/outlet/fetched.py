"""One instance asked back from a destination, whole: to look at what arrived there. For small ones only.

Source: PS3.18 Section 10.6 (QIDO-RS) and 10.4 (WADO-RS).
"""

from dataclasses import dataclass, field
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from appliance import config
from appliance.outlet import retrieve
from appliance.outlet.auth import LoginFailed
from appliance.outlet.destination import Unavailable
from appliance.outlet.search import SERIES_INSTANCE_UID, Search, first
from appliance.outlet.stow import AnswerTooLong, broke_off, login_to, new_session
from appliance.outlet.taken_back import Gone


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file as the destination gives it."""

    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotShown:
    """It has the instance, or says nothing of it, and does not let us fetch it. ``why``: in plain words."""

    why: str
    is_named: bool  # a search named the instance


FetchedBack = Fetched | NotShown | Gone | Unavailable


def fetch(destination: config.Destination, study: str, sop_instance: str) -> FetchedBack:
    """Search the destination for an instance, and fetch it. Never raises for what it or the way to it does wrong."""
    if destination.folder is not None:
        return _from_folder(destination.folder, study, sop_instance)
    try:
        search = Search(destination, new_session(destination), login_to(destination))
        try:
            return _from_web(search, study, sop_instance)
        finally:
            search.close()
    except LoginFailed as failed:
        return Unavailable(None, str(failed))
    except (requests.RequestException, HTTPError, AnswerTooLong, OSError) as error:
        return broke_off(error, []).unavailable or Unavailable(None, "the request broke off.")


def _from_web(search: Search, study: str, sop_instance: str) -> FetchedBack:
    found = search.instance(sop_instance)
    if found is None:
        return NotShown("it does not let us search (QIDO-RS)", is_named=False)
    if isinstance(found, Unavailable | Gone):
        return found
    series = first(found, SERIES_INSTANCE_UID)
    if not series:
        return NotShown("its search does not name the series", is_named=True)
    url = f"{search.url}/studies/{study}/series/{series}/instances/{sop_instance}"
    status, kind, body = search.whole(url, retrieve.ACCEPT)
    file = retrieve.first_part(kind, body) if status == requests.codes.ok else None
    if file is None:
        return NotShown(f"it answers {status} to WADO-RS, with no file for us", is_named=True)
    return Fetched(file)


def _from_folder(root: Path, study: str, sop_instance: str) -> FetchedBack:
    try:
        files = sorted(root.glob(f"{study}/*/{sop_instance}.dcm"))
        return Fetched(files[0].read_bytes()) if files else Gone()
    except OSError as error:
        return NotShown(f"its folder cannot be read ({error.strerror})", is_named=False)
