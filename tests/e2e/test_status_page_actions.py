"""Deciding on the status page: a real browser, a real reverse proxy, and the service that carries it out."""

import threading

import pytest

from appliance import config
from appliance.reasons import Reason
from appliance.services.operator import Operator
from appliance.services.watch import Watch
from appliance.spool.requests import Requests
from appliance.watch.audit import last_lines
from appliance.watch.passwords import Passwords
from tests.make.certificates import Authority
from tests.make.spooled import House
from tests.peers.browser import Browser
from tests.peers.nginx import Nginx

PASSWORD = "correct horse battery"
SECRET = "what the proxy says"


@pytest.fixture
def site(tmp_path):
    """Two images that wait for a person, and the service that decides about them."""
    house = House(tmp_path / "var")
    for each in house.receive(0, 1):
        house.spool.quarantine(each, Reason.NO_PATIENT_ID, "")
    inside, stop = Operator(house.spool, Requests(tmp_path / "var" / "requests")), threading.Event()

    def run():
        while not stop.wait(0.01):
            inside.step()

    thread = threading.Thread(target=run)
    thread.start()
    yield house
    stop.set()
    thread.join()
    house.close()


@pytest.fixture
def served(site, tmp_path):
    """Return the page's service with this ``login``."""
    services = []

    def make(login):
        (tmp_path / "site.yaml").write_text(
            f"site: st-elsewhere\nstate: ./var\nspool: {{reserve_gb: 0}}\nwatch: {{port: 0, login: {login}}}\n"
            "destinations: [{name: research, folder: ./out}]\n"
        )
        watch = Watch(config.load(tmp_path / "site.yaml"))
        watch.start()
        services.append(watch)
        return f"http://127.0.0.1:{watch.port}"

    yield make
    for each in services:
        each.stop()


def audit(tmp_path):
    return [(line["who"], line["what"]) for line in last_lines(tmp_path / "var/audit/audit.jsonl", 100)]


def test_a_person_logs_in_through_tls_discards_what_waits_and_logs_out(served, tmp_path):
    Passwords(tmp_path / "operators").put("alice", PASSWORD)
    behind = served("{passwords: ./operators}")
    tls = Authority(tmp_path).sign("front")
    with (
        Nginx(tmp_path / "nginx", behind=behind, tls=tls, says={"X-Forwarded-Proto": "https"}) as proxy,
        Browser(tmp_path / "browser") as browser,
    ):
        browser.open(f"{proxy.root}/")
        browser.press("Log in")
        assert browser.shows("Password")
        browser.write("name", "alice")
        browser.write("password", PASSWORD)
        browser.press("Log in")
        assert browser.shows("Logged in as alice")
        picture = browser.picture()

        browser.press("Discard no-patient-id")
        assert browser.shows("What waits for 'no-patient-id' (2 images) is let go")
        browser.press("Discard no-patient-id")
        assert browser.shows("Discarded: 2 images.")
        assert "Discard" not in browser.text.replace("Discarded", "")

        browser.press("Log out")
        assert browser.shows("to release, discard, send again or pause")
        assert [each for each in browser.complaints if "favicon" not in each] == []

    assert len(picture.getcolors(1 << 24)) > 10
    assert audit(tmp_path) == [("alice", "login"), ("alice", "ask deidentify: discard"), ("alice", "logout")]


def test_whom_the_hospitals_proxy_knows_need_not_log_in(served, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    behind = served("{proxy: {header: X-Remote-User, secret_file: ./secret}}")
    says = {"X-Remote-User": "carol", "X-Appliance-Proxy": SECRET}
    with Nginx(tmp_path / "nginx", behind=behind, says=says) as proxy, Browser(tmp_path / "browser") as browser:
        browser.open(f"{proxy.root}/")
        assert browser.shows("Logged in as carol")

        browser.press("Process again no-patient-id")
        assert browser.shows("is processed again by today's rules")
        browser.press("Process again no-patient-id")
        assert browser.shows("Processed again by today's rules: 2 images.")

        browser.open(f"{behind}/")  # past the proxy
        assert "Logged in" not in browser.text

    assert audit(tmp_path) == [("carol", "ask deidentify: release")]
