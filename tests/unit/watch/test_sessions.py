"""A session ends by itself, belongs to its cookie, and its token to it; who guesses passwords waits."""

import pytest

from appliance.watch.sessions import LASTS_S, LONGEST_WAIT_S, MOST, Guesses, Sessions
from tests.make.spooled import Clock


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def test_a_cookie_leads_to_its_session_and_no_other_one_does(sessions):
    cookie = sessions.begin("alice", "hash")

    assert sessions.of(cookie).name == "alice"
    assert sessions.of("") is None
    assert sessions.of(cookie + "x") is None


def test_a_session_ends_after_a_working_day(sessions, clock):
    cookie = sessions.begin("alice", "hash")
    clock.now += LASTS_S - 1
    assert sessions.of(cookie) is not None

    clock.now += 1
    assert sessions.of(cookie) is None


def test_a_session_that_was_ended_is_gone(sessions):
    cookie = sessions.begin("alice", "hash")
    sessions.end(sessions.of(cookie))

    assert sessions.of(cookie) is None


def test_the_oldest_session_ends_when_there_are_too_many(sessions):
    cookies = [sessions.begin(f"user{number}", "hash") for number in range(MOST + 1)]

    assert sessions.of(cookies[0]) is None
    assert all(sessions.of(cookie) for cookie in cookies[1:])


def test_a_token_is_of_one_session_of_one_process(sessions, clock):
    first, second = (sessions.of(sessions.begin("alice", "hash")) for _ in range(2))

    assert sessions.is_token(first, sessions.token(first))
    assert not sessions.is_token(second, sessions.token(first))
    assert not sessions.is_token(first, "")
    assert Sessions(clock).token(first) != sessions.token(first)


def test_what_came_of_an_action_is_told_for_a_while(sessions, clock):
    session = sessions.of(sessions.begin("alice", "hash"))
    sessions.tell(session, "Discarded: 2 images.")

    assert sessions.told(session) == "Discarded: 2 images."
    clock.now += 3600
    assert sessions.told(session) == ""


def test_each_wrong_password_doubles_the_wait_up_to_a_bound_and_a_right_one_ends_it(clock):
    guesses = Guesses(clock)
    waits = []
    for _ in range(20):
        guesses.missed()
        waits.append(guesses.wait_s)

    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == LONGEST_WAIT_S
    clock.now += LONGEST_WAIT_S
    assert guesses.wait_s == 0
    guesses.hit()
    guesses.missed()
    assert guesses.wait_s == 1
