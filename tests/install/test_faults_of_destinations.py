"""A booted host under load while its destination is in trouble, and the sum afterwards.

The destination is a real Orthanc behind a front, by name and https, with a timeout of two seconds.
"""

from datetime import timedelta

import pytest

from tests.peers.fake_cloud import Act, ok, omits, status, truncated
from tests.peers.troubled import NAME

TIMEOUT_S = 2.0  # as the configuration of this host says

REFUSES = {
    "401": status(401, WWW_Authenticate="Bearer"),
    "429": status(429, Retry_After="1"),
    "503": status(503, Retry_After="1"),
    "slow": Act(before_s=TIMEOUT_S + 1.5),  # it stores, and says so too late
}


def pauses(troubled, caller):
    """The switch is thrown, and what comes meanwhile is taken and waits."""
    troubled.host.wait_until(troubled.is_paused, seconds=60)
    sent = len(caller.acknowledged)
    troubled.host.wait_until(lambda: len(caller.acknowledged) >= sent + 4)


@pytest.mark.parametrize("name", REFUSES)
def test_what_comes_while_the_destination_refuses_is_delivered_once_when_it_takes_again(troubled, name):
    with troubled.load(f"refuses-{name}") as caller:
        troubled.front.does(REFUSES[name])
        pauses(troubled, caller)
        troubled.front.does(ok)

    troubled.settles()


def test_what_comes_while_the_destination_is_down_for_longer_than_its_timeout_is_delivered_once(troubled):
    with troubled.load("down") as caller:
        troubled.front.stop()
        pauses(troubled, caller)
        sent = len(caller.acknowledged)
        troubled.host.wait_until(lambda: len(caller.acknowledged) >= sent + 3 * TIMEOUT_S / 0.3)
        troubled.front.start()

    troubled.settles()


@pytest.mark.parametrize("name", ["half", "omits"])
def test_what_the_destination_did_not_name_is_not_called_delivered_and_is_sent_again(troubled, name):
    act = {"half": truncated, "omits": omits(0)}[name]
    with troubled.load(f"answer-{name}"):
        troubled.front.does(act)
        troubled.host.wait_until(lambda: troubled.front.met >= 3, seconds=60)
        assert troubled.states().get("FORWARDED", 0) <= troubled.orthanc.count()
        troubled.front.does(ok)

    troubled.settles()


def test_what_is_too_large_waits_for_a_person_and_is_delivered_once_when_he_releases_it(troubled):
    with troubled.load("413"):
        troubled.front.does(status(413))
        troubled.host.wait_until(lambda: troubled.states().get("REJECTED", 0) >= 3)
        troubled.front.does(ok)

    troubled.host.wait_until(lambda: set(troubled.states()) == {"REJECTED", "FORWARDED"})
    troubled.host.run("appliance quarantine release --reason too-large-for-destination --yes")
    troubled.settles()


def test_while_the_name_of_the_destination_is_not_known_everything_waits(troubled):
    with troubled.load("dns") as caller:
        troubled.host.run(
            f"sed '/{NAME}/d' /etc/hosts > /run/hosts; cp /etc/hosts /run/good && cp /run/hosts /etc/hosts"
        )
        pauses(troubled, caller)
        troubled.host.run("cp /run/good /etc/hosts")

    troubled.settles()


def test_nothing_goes_to_a_destination_whose_certificate_has_expired(troubled):
    good = troubled.authority.sign("good", host=NAME)
    with troubled.load("expired") as caller:
        troubled.front.show(*troubled.authority.sign("expired", host=NAME, ends=-timedelta(minutes=1)))
        pauses(troubled, caller)
        stored = troubled.orthanc.count()
        sent = len(caller.acknowledged)
        troubled.host.wait_until(lambda: len(caller.acknowledged) >= sent + 4)
        assert troubled.orthanc.count() == stored
        assert "certificate" in troubled.host.run("appliance doctor", check=False)
        troubled.front.show(*good)

    troubled.settles()
