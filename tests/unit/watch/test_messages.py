"""Whoever decides is told what is new, once, and nothing of a patient."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry

from appliance.notification import Mail, Notify, Webhook
from appliance.reasons import Reason
from appliance.watch.messages import Messages
from appliance.watch.metrics import DeidentifyMetrics, ForwardMetrics, InboxMetrics
from tests.make.certificates import Authority
from tests.peers.mail_server import MailServer
from tests.peers.ports import free_port


class House:
    """The counts of all services, and a clock that only moves when told."""

    def __init__(self, notify, folder):
        self.registries = [CollectorRegistry() for _ in range(4)]
        self.deidentify = DeidentifyMetrics(self.registries[0], ["CT1"])
        self.forward = ForwardMetrics(self.registries[1], ["research"], ["CT1"])
        self.inbox = InboxMetrics(self.registries[2], ["clinic_a"])
        self.now = 1_000_000.0
        self.file = folder / "told.json"
        self.notify = notify
        self.begin()

    def begin(self):
        """Start the watch service, or start it again."""
        self.registries[3] = CollectorRegistry()
        self.messages = Messages(
            self.notify,
            "st-elsewhere",
            self.file,
            lambda: [family for registry in self.registries[:3] for family in registry.collect()],
            self.registries[3],
            clock=lambda: self.now,
        )

    def later(self, seconds=3600.0):
        self.now += seconds
        return self.messages.step()

    def failures(self, by):
        return self.registries[3].get_sample_value("appliance_messages_failed_total", {"by": by})


class Hook:
    """A web server that keeps what is posted to it."""

    def __init__(self, status=204, location=""):
        self.posts = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.posts.append((body, self.headers.get("Authorization")))
                self.send_response(hook.status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.status = status
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook():
    with Hook() as found:
        yield found


@pytest.fixture
def house(hook, tmp_path):
    house = House(Notify(webhook=Webhook(hook.url)), tmp_path)
    house.later()  # the first start takes note of what there is
    return house


def test_what_came_into_quarantine_is_told_with_its_source_its_reason_and_what_to_do(house, hook):
    for _ in range(3):
        house.deidentify.withheld("CT1", Reason.IDENTIFIER_LEFT)

    assert house.later()

    (body, _), *others = hook.posts
    assert others == []
    assert body["site"] == "st-elsewhere"
    (told,) = body["news"]
    assert told["count"] == 3
    assert "from CT1: identifier-left" in told["what"]
    assert told["do"] == Reason.IDENTIFIER_LEFT.words.advice
    assert "3 instances from CT1" in body["text"]


def test_rejected_instances_and_inbox_items_that_were_not_wholly_taken_are_told(house, hook):
    house.forward.refused("research", Reason.DESTINATION_REFUSED)
    house.inbox.item("clinic_a", "partial", 1.0)
    house.inbox.item("clinic_a", "success", 1.0)

    house.later()

    ((body, _),) = hook.posts
    assert sorted(each["what"].partition(".")[0] for each in body["news"]) == [
        "inbox item of clinic_a not wholly taken",
        "instance refused by research: destination-refused",
    ]


@pytest.mark.parametrize("reason", [Reason.DUPLICATE, Reason.EXCLUDED_BY_RULE, Reason.OPTED_OUT, Reason.FORGOTTEN])
def test_nobody_is_told_what_needs_nobody(house, hook, reason):
    house.deidentify.withheld("CT1", reason)

    assert not house.later()
    assert hook.posts == []


def test_what_was_told_is_not_told_again_not_even_after_a_restart(house, hook):
    house.deidentify.withheld("CT1", Reason.RULE)
    house.later()

    assert not house.later()
    house.begin()
    assert not house.later()

    assert len(hook.posts) == 1


def test_what_is_new_soon_after_a_message_waits_and_is_told_together(house, hook):
    house.deidentify.withheld("CT1", Reason.RULE)
    house.later()
    house.deidentify.withheld("CT1", Reason.RULE)
    assert not house.later(60.0)
    house.deidentify.withheld("CT1", Reason.RULE)

    house.later(900.0)

    assert [body["news"][0]["count"] for body, _ in hook.posts] == [1, 2]


def test_while_a_server_is_away_what_is_new_adds_up(house, hook):
    hook.status = 503
    house.deidentify.withheld("CT1", Reason.RULE)
    assert not house.later()
    hook.status = 200
    house.deidentify.withheld("CT1", Reason.RULE)

    assert house.later()

    assert house.failures("webhook") == 1
    assert hook.posts[-1][0]["news"][0]["count"] == 2


def test_counts_that_begin_anew_after_a_power_cut_are_news(house, hook):
    for _ in range(5):
        house.deidentify.withheld("CT1", Reason.RULE)
    house.later()
    house.registries[0] = CollectorRegistry()
    house.deidentify = DeidentifyMetrics(house.registries[0], ["CT1"])
    house.deidentify.withheld("CT1", Reason.RULE)

    house.later()

    assert [body["news"][0]["count"] for body, _ in hook.posts] == [5, 1]


def test_a_clock_that_was_set_back_does_not_silence_it(house, hook):
    house.deidentify.withheld("CT1", Reason.RULE)

    assert house.later(-86_400.0)


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    with Hook() as other, Hook(307, other.url) as first:
        house = House(Notify(webhook=Webhook(first.url, token_file=tmp_path / "token")), tmp_path)
        house.later()
        house.deidentify.withheld("CT1", Reason.RULE)

        assert not house.later()

        assert [login for _, login in first.posts] == ["Bearer s3cret"]
        assert other.posts == []


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def mail_to(server, authority, folder, **more):
    (folder / "password").write_text("s3cret\n")
    return Mail(
        host="127.0.0.1",
        port=server.port,
        to=("pacs-team@example.org", "it@example.org"),
        sender="edge@example.org",
        ca=authority.certificate,
        user="edge",
        password_file=folder / "password",
        **more,
    )


def test_a_mail_goes_to_everybody_encrypted_with_a_login(authority, tmp_path):
    with MailServer(*authority.sign("mail"), password="s3cret") as server:
        house = House(Notify(mail=mail_to(server, authority, tmp_path)), tmp_path)
        house.later()
        house.deidentify.withheld("CT1", Reason.RULE)

        assert house.later()

        ((to, letter),) = server.letters
        assert to == ["pacs-team@example.org", "it@example.org"]
        assert "Subject: st-elsewhere: 1 new, waiting for a person" in letter
        assert "1 instance from CT1: rule." in letter
        assert server.logins == ["edge"]


def test_a_mail_that_the_server_refuses_is_tried_again(authority, tmp_path):
    with MailServer(*authority.sign("mail"), password="s3cret", refuses=True) as server:
        house = House(Notify(mail=mail_to(server, authority, tmp_path)), tmp_path)
        house.later()
        house.deidentify.withheld("CT1", Reason.RULE)
        assert not house.later()
        server.refuses = False

        assert house.later()

        assert len(server.letters) == 1


def test_a_mail_server_with_a_strange_certificate_gets_no_password(authority, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    with MailServer(*stranger.sign("mail"), password="s3cret") as server:
        house = House(Notify(mail=mail_to(server, authority, tmp_path)), tmp_path)
        house.later()
        house.deidentify.withheld("CT1", Reason.RULE)

        assert not house.later()

        assert (server.logins, server.letters) == ([], [])


def test_nobody_listening_ends_nothing(tmp_path):
    house = House(Notify(mail=Mail(host="127.0.0.1", port=free_port(), to=("a@b.c",), sender="d@e.f")), tmp_path)
    house.later()
    house.deidentify.withheld("CT1", Reason.RULE)

    assert not house.later()

    assert house.failures("mail") == 1
