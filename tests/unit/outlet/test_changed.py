"""A changed version at a destination that keeps what it has: only the bytes themselves are proof."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.model import Parcel
from appliance.outlet.destination import (
    Later,
    Receipt,
    RefusedForGood,
    Stored,
    There,
    deliver_changed,
    deliver_replacing,
)
from appliance.reasons import Reason

PARCEL = Parcel(1, "out", "1.2", "2.25.1", "2.25.2", "2.25.3", "1.2.840.10008.1.2", "d", 10, Path("nowhere"), 1)


class Liar:
    """Answers a delivery as told, and lets us see what it is told to show."""

    def __init__(self, receipt: Receipt, *shows: There) -> None:
        self.receipt = receipt
        self.shows = list(shows)
        self.delivered = 0

    def deliver(self, parcels: Sequence[Parcel]) -> Receipt:
        self.delivered += 1
        return self.receipt

    def look(self, parcel: Parcel) -> There:
        return self.shows.pop(0)

    def close(self) -> None:
        pass


NAMED = Receipt({"out": Stored()})


def test_the_very_bytes_there_are_stored_without_sending():
    destination = Liar(NAMED, There.SAME)

    assert deliver_changed(destination, PARCEL) == NAMED
    assert destination.delivered == 0


@pytest.mark.parametrize("seen", [There.DIFFERENT, There.UNKNOWN])
def test_another_version_or_an_unknown_one_there_is_a_refusal_without_sending(seen):
    destination = Liar(NAMED, seen)

    verdict = deliver_changed(destination, PARCEL).verdicts["out"]

    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT
    assert destination.delivered == 0


@pytest.mark.parametrize("afterwards", [There.ABSENT, There.DIFFERENT, There.UNKNOWN])
def test_a_destination_that_names_it_and_does_not_show_it_is_not_believed(afterwards):
    """A server without WADO-RS answers 404 to every look: that is no proof that the old one is gone."""
    destination = Liar(NAMED, There.ABSENT, afterwards)

    assert isinstance(deliver_changed(destination, PARCEL).verdicts["out"], RefusedForGood)


def test_what_is_not_acknowledged_is_tried_again():
    later = Receipt({"out": Later(None, "500")})

    assert deliver_changed(Liar(later, There.ABSENT), PARCEL) == later


def test_a_destination_that_is_said_to_replace_and_kept_the_old_version_is_found_out():
    destination = Liar(NAMED, There.DIFFERENT)

    verdict = deliver_replacing(destination, PARCEL).verdicts["out"]

    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT


@pytest.mark.parametrize("seen", [There.SAME, There.ABSENT, There.UNKNOWN])
def test_a_destination_that_replaced_or_does_not_let_us_look_is_believed_as_its_site_says(seen):
    assert deliver_replacing(Liar(NAMED, seen), PARCEL) == NAMED


def test_what_a_replacing_destination_did_not_store_is_not_looked_at():
    refused = Receipt({"out": Later(None, "503")})

    assert deliver_replacing(Liar(refused), PARCEL) == refused


@pytest.mark.parametrize(
    ("deliver", "shows"),
    [
        (deliver_changed, [There.AWAY]),
        (deliver_changed, [There.ABSENT, There.AWAY]),
        (deliver_replacing, [There.AWAY]),
    ],
)
def test_a_destination_that_is_away_when_it_is_looked_at_refused_nothing(deliver, shows):
    verdict = deliver(Liar(NAMED, *shows), PARCEL).verdicts["out"]

    assert isinstance(verdict, Later)
