"""What a changed configuration asks of each service, told before any service is."""

import pytest

from appliance import config
from appliance.services.effects import Effect, changed_between, effects
from appliance.services.roles import ROLES

SITE = "site: st\nstate: /var/lib/appliance\ndestinations: [{name: a, folder: /srv/o}]\n"
INBOX = "inbox: {path: /srv/inbox}\n"


@pytest.fixture
def asked(tmp_path):
    """What is asked of the services whose effect is not NOTHING, when one text becomes another."""

    def of(before, after):
        for name, text in (("old.yaml", before), ("new.yaml", after)):
            (tmp_path / name).write_text(SITE + text)
        old, new = (config.load(tmp_path / name) for name in ("old.yaml", "new.yaml"))
        return {role: effect.value for role, effect in effects(old, new).items() if effect is not Effect.NOTHING}

    return of


def test_a_file_that_says_the_same_in_other_words_asks_nothing_of_anybody(asked):
    assert asked("scp: {port: 104}\n", "# our port\nscp:\n  port: 104\n") == {}


@pytest.mark.parametrize("setting", ["max_associations: 3", "idle_s: 9", "drain_s: 9", "max_pdu_kb: 64"])
def test_what_the_receiver_takes_over_is_nobody_else_s_concern(asked, setting):
    assert asked(INBOX, f"{INBOX}scp: {{{setting}}}\n") == {"receive": "reload"}


@pytest.mark.parametrize("setting", ["port: 104", "host: 127.0.0.1", "tls: {certificate: /c, key: /k}"])
def test_what_the_receiver_listens_on_makes_it_alone_start_anew(asked, setting):
    assert asked("", f"scp: {{{setting}}}\n") == {"receive": "restart"}


def test_a_new_sender_is_taken_over_by_the_receiver_and_all_who_name_senders_start_anew(asked):
    found = asked("scp: {peers: [{ae_title: CT1}]}\n", "scp: {peers: [{ae_title: CT1}, {ae_title: CT2}]}\n")

    assert found.pop("receive") == "reload"
    assert set(found) == set(ROLES) - {"receive", "inbox", "purge"}
    assert set(found.values()) == {"restart"}


def test_a_promise_of_commitment_makes_the_receiver_start_anew(asked):
    before = "scp: {peers: [{ae_title: CT1, address: 10.0.0.1}]}\n"
    after = "scp: {peers: [{ae_title: CT1, address: 10.0.0.1, commitment: {promise: delivered, port: 104}}]}\n"

    assert asked(before, after)["receive"] == "restart"


def test_what_only_watch_reads_makes_only_watch_start_anew(asked):
    assert asked("", "watch: {port: 9113}\n") == {"receive": "reload", "watch": "restart"}


def test_an_inbox_that_is_no_more_is_not_asked(asked):
    assert "inbox" not in asked(INBOX, "")
    assert asked("", INBOX)["inbox"] == "restart"


def test_where_the_files_lie_is_no_difference(tmp_path):
    for name in ("appliance.yaml", "appliance.yaml.7.2026-11-27@10:00:00~"):
        (tmp_path / name).write_text(SITE)
    old, new = (config.load(file) for file in sorted(tmp_path.iterdir()))

    assert changed_between(old, new) == []
