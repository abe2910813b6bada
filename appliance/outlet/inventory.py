"""Asking a destination what it has of a study: what it named as stored, and has not.

An absence is believed only when a search for the very instance works and finds nothing: a list of a study can be cut,
and an archive may have moved the instance to another study. Source: PS3.18 Section 10.6 (QIDO-RS).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import requests
from urllib3.exceptions import HTTPError

from appliance import config
from appliance.outlet.auth import LoginFailed
from appliance.outlet.destination import Unavailable
from appliance.outlet.search import SOP_INSTANCE_UID, Search, first
from appliance.outlet.stow import AnswerTooLong, broke_off, login_to, new_session
from appliance.outlet.taken_back import Gone

PAGE = 200  # instances asked for at a time: no server of the field refuses so few


@dataclass(frozen=True, slots=True)
class Absent:
    """These SOP Instance UIDs, of those that were asked for, the destination has not. Often none."""

    instances: frozenset[str]


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """It does not let us search, or answered something else: nothing is known."""


Answer = Absent | NotAnswered | Unavailable


class Inventory(Protocol):
    """One destination's stock. Used by one thread at a time.

    absent  never raises for what the destination or the way to it does wrong
    close   lets go of idle connections
    """

    def absent(self, study: str, instances: Collection[str]) -> Answer: ...

    def close(self) -> None: ...


class WebInventory:
    """Asks by QIDO-RS."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def absent(self, study: str, instances: Collection[str]) -> Answer:
        try:
            return self._absent(study, instances)
        except LoginFailed as failed:
            return Unavailable(None, str(failed))
        except (requests.RequestException, HTTPError, AnswerTooLong, OSError) as error:
            return broke_off(error, []).unavailable or Unavailable(None, "the request broke off.")

    def close(self) -> None:
        self._search.close()

    def _absent(self, study: str, instances: Collection[str]) -> Answer:
        left = set(instances)
        seen: set[str] = set()
        while left:
            url = f"{self._search.url}/studies/{study}/instances?limit={PAGE}&offset={len(seen)}"
            found = self._search.found(url)
            if isinstance(found, Unavailable):
                return found
            new = {first(item, SOP_INSTANCE_UID) for item in found or ()} - seen
            if not new:  # the end, or no such search there: each of the rest is searched for by itself
                break
            seen |= new
            left -= new
        return self._each(left)

    def _each(self, instances: Collection[str]) -> Answer:
        absent = set()
        for uid in instances:
            match self._search.instance(uid):
                case Gone():
                    absent.add(uid)
                case Unavailable() as unavailable:
                    return unavailable
                case None:
                    return NotAnswered()
        return Absent(frozenset(absent))


def connect(destination: config.Destination) -> WebInventory:
    """Return a connection of its own for questions, so that they neither wait for deliveries nor hold them up."""
    return WebInventory(Search(destination, new_session(destination), login_to(destination)))
