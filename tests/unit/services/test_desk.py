"""What is done on the status page: by whoever is logged in and no one else, asked of its owner, and audited."""

import http.client
import re
import threading
from urllib.parse import urlencode

import pytest

from appliance import config
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services.operator import Operator
from appliance.services.watch import Watch
from appliance.spool.overview import Overview
from appliance.spool.requests import Requests
from appliance.watch.audit import broken_at, last_lines
from appliance.watch.passwords import Passwords
from appliance.watch.web import Asked
from tests.make.spooled import Clock, House
from tests.peers.patience import until

PASSWORD = "correct horse battery"
SECRET = "a secret of the proxy"
STUDY = "2.25.329800735698586629295641978511506172918"


class Person:
    """A browser, as far as the server can tell."""

    def __init__(self, watch, **headers):
        self.watch = watch
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.seen = ""

    def get(self, path="/"):
        return self._ask("GET", path, None)

    def post(self, path, /, **form):
        return self._ask("POST", path, urlencode(form))

    def log_in(self, name="alice", password=PASSWORD):
        return self.post("/login", name=name, password=password)

    def press(self, path, **form):
        """A form of the page that was seen last, or of any page of this session."""
        token = re.search(r'name="token" value="(\w+)"', self.seen)
        return self.post(path, token=token[1] if token else "", **form)

    def _ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.watch.port, timeout=20)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        connection.request(method, path, body, {**self.headers, **kind})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        cookie = answer.getheader("Set-Cookie", "")
        if cookie:
            self.headers["Cookie"] = cookie.partition(";")[0]
        if method == "GET":
            self.seen = text
        return answer.status, text


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    Passwords(tmp_path / "operators").put("alice", PASSWORD)
    return tmp_path


@pytest.fixture
def house(place):
    """A site with a study that was delivered, and two images that wait for a person."""
    made = House(place / "var")
    waiting = made.receive(0, 1)
    for each in waiting:
        made.spool.quarantine(each, Reason.NO_PATIENT_ID, "")
    made.pass_on(made.receive(2, 3), study=STUDY)
    made.deliver()
    made.follow()
    yield made
    made.close()


@pytest.fixture
def served(place, house, clock):
    """Return the page's service with this ``login``."""
    services = []

    def make(login):
        file = place / "site.yaml"
        file.write_text(
            f"site: st-elsewhere\nstate: ./var\nspool: {{reserve_gb: 0}}\nwatch: {{port: 0, login: {login}}}\n"
            "destinations: [{name: research, folder: ./out}]\n"
        )
        watch = Watch(config.load(file), monotonic=clock)
        watch.start()
        services.append(watch)
        return watch

    yield make
    for each in services:
        each.stop()


@pytest.fixture
def watch(served):
    return served("{passwords: ./operators}")


@pytest.fixture
def operator(house, place):
    """The service that owns the inside, answering."""
    stop = threading.Event()
    inside = Operator(house.spool, Requests(place / "var" / "requests"))

    def run():
        while not stop.wait(0.01):
            inside.step()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def alice(watch):
    person = Person(watch)
    assert person.log_in()[0] == 303
    person.get()
    return person


def audit(place):
    return [(line["who"], line["what"], line["about"]) for line in last_lines(place / "var/audit/audit.jsonl", 100)]


def states(house):
    overview = Overview(house.root)
    try:
        return overview.tally().states
    finally:
        overview.close()


def asked(place, owner="deidentify"):
    return [(each.verb, each.args) for each in Requests(place / "var" / "requests").take(owner)]


def test_who_is_not_logged_in_sees_everything_and_no_button(watch):
    status, page = Person(watch).get()

    assert status == 200
    assert "no-patient-id" in page
    assert "Log in" in page
    assert "<button" not in page


def test_who_is_logged_in_has_buttons_beside_what_they_are_about(alice):
    for label in ("Process again no-patient-id", "Discard no-patient-id", f"Send again {STUDY}", "Pause research"):
        assert f'aria-label="{label}"' in alice.seen


def addresses(place):
    return [line.get("address") for line in last_lines(place / "var/audit/audit.jsonl", 100)]


@pytest.mark.parametrize(
    ("configured", "says", "written"),
    [
        ("", {}, "127.0.0.1"),
        ("", {"X-Forwarded-For": "10.1.2.3"}, "127.0.0.1"),
        (", address_header: X-Forwarded-For", {"X-Forwarded-For": "192.0.2.66, 10.1.2.3"}, "10.1.2.3"),
        (", address_header: X-Real-IP", {"X-Real-IP": "::ffff:10.1.2.3"}, "10.1.2.3"),
        (", address_header: X-Real-IP", {"X-Real-IP": "alice@example.org"}, "127.0.0.1"),
        (", address_header: X-Real-IP", {}, "127.0.0.1"),
    ],
)
def test_what_is_asked_is_audited_with_the_address_that_the_configured_proxy_names_else_the_callers(
    served, place, operator, configured, says, written
):
    watch = served(f"{{proxy: {{secret_file: ./secret{configured}}}}}")
    person = Person(watch, X_Remote_User="carol", X_Appliance_Proxy=SECRET, **says)
    person.get()

    assert person.press("/do", verb="discard", reason="no-patient-id")[0] == 303

    assert addresses(place) == [written]
    assert broken_at(place / "var/audit/audit.jsonl") is None


def test_a_login_by_password_is_audited_with_where_it_came_from_whatever_a_header_says(watch, place):
    person = Person(watch, X_Forwarded_For="10.1.2.3")
    person.log_in()
    person.log_in(password="wrong horse battery")

    assert addresses(place) == ["127.0.0.1", "127.0.0.1"]


def test_a_login_is_audited_by_name_and_a_refused_one_does_not_write_what_was_typed(watch, place, clock):
    person = Person(watch)
    person.log_in(name="correct horse battery", password="alice")
    clock.now += 60
    person.log_in(password="wrong password")
    clock.now += 60
    person.log_in()

    assert audit(place) == [
        ("somebody", "login refused", "status page"),
        ("alice", "login refused", "status page"),
        ("alice", "login", "status page"),
    ]


def test_who_guesses_waits_and_the_right_password_waits_too(watch, clock):
    person = Person(watch)
    assert person.log_in(password="wrong password")[0] == 403

    assert person.log_in()[0] == 429
    clock.now += 1
    assert person.log_in()[0] == 303


def test_discarding_is_asked_first_then_done_by_the_owner_audited_and_told(alice, operator, house, place):
    status, question = alice.press("/sure", verb="discard", reason="no-patient-id")
    assert status == 200
    assert "What waits for &#x27;no-patient-id&#x27; (2 images) is let go" in question
    assert asked(place) == []

    assert alice.press("/do", verb="discard", reason="no-patient-id")[0] == 303
    assert "Discarded: 2 images." in alice.get()[1]
    assert states(house)[State.DISCARDED] == 2
    assert audit(place)[-1] == ("alice", "ask deidentify: discard", "status page, reason no-patient-id")


def test_a_study_is_sent_again(alice, operator, house):
    _, question = alice.press("/sure", verb="replay", study=STUDY)
    assert f"What was delivered of the study {STUDY} and has its original here (2 images)" in question

    alice.press("/do", verb="replay", study=STUDY)
    assert "Processed and sent again: 2 images." in alice.get()[1]
    assert states(house)[State.RECEIVED] == 2


def test_pausing_is_asked_of_the_outside(served, place):
    person = Person(served("{passwords: ./operators}"))
    person.log_in()
    person.get()
    watcher = threading.Thread(target=person.press, args=("/do",), kwargs={"verb": "pause", "destination": "research"})
    watcher.start()

    assert until(lambda: asked(place, "forward"))
    ((verb, args),) = asked(place, "forward")
    assert (verb, args) == ("pause", {"destination": "research", "by": "alice"})
    requests = Requests(place / "var" / "requests")
    requests.answer("forward", requests.take("forward")[0].id, {"done": 1})
    watcher.join()
    assert "&#x27;research&#x27; is paused." in person.get()[1]


def test_what_is_not_answered_is_kept_and_the_page_says_so(alice, watch, place):
    watch._desk._wait_s = 0.01
    alice.press("/do", verb="release", reason="no-patient-id")

    assert "has not answered yet. The request is kept" in alice.get()[1]
    assert asked(place) == [("release", {"reason": "no-patient-id", "by": "alice"})]


@pytest.mark.parametrize(
    "form",
    [
        {"verb": "erase", "reason": "no-patient-id"},
        {"verb": "release"},
        {"verb": "release", "reason": "everything"},
        {"verb": "release", "reason": "no-patient-id", "study": "../x"},
        {"verb": "replay", "study": ""},
        {"verb": "pause", "destination": "elsewhere"},
    ],
)
def test_what_the_page_does_not_offer_is_not_done(alice, place, form):
    assert alice.press("/do", **form)[0] == 403
    assert asked(place) == asked(place, "forward") == []


def test_no_reason_can_be_accepted_there(alice, operator, house):
    alice.press("/do", verb="release", reason="no-patient-id", accept="no-patient-id")

    released = house.spool.claim(9, house.clock(), set())
    assert [each.accepted for each in released] == [frozenset(), frozenset()]


def test_nothing_is_done_without_a_session_or_with_another_ones_token(watch, alice, place):
    stranger, bob = Person(watch), Person(watch)
    bob.log_in()
    assert stranger.post("/do", verb="discard", reason="no-patient-id")[0] == 403

    bob.seen = alice.seen
    assert bob.press("/do", verb="discard", reason="no-patient-id")[0] == 403
    assert asked(place) == []


def test_a_form_that_another_sites_page_sends_does_nothing(alice, place):
    alice.headers["Sec-Fetch-Site"] = "cross-site"

    assert alice.press("/do", verb="discard", reason="no-patient-id")[0] == 403
    assert asked(place) == []


def test_who_logged_out_is_out(alice, place):
    cookie = alice.headers["Cookie"]
    alice.press("/logout")
    alice.headers["Cookie"] = cookie

    assert "Log in" in alice.get()[1]
    assert audit(place)[-1] == ("alice", "logout", "status page")


def test_who_is_taken_out_of_the_file_is_out_at_once(alice, place):
    Passwords(place / "operators").put("bob", PASSWORD)
    Passwords(place / "operators").remove("alice")

    assert alice.press("/do", verb="discard", reason="no-patient-id")[0] == 403
    assert "Log in" in alice.get()[1]


def test_a_new_password_ends_the_sessions_of_the_old_one(alice, place):
    Passwords(place / "operators").put("alice", PASSWORD + "!")

    assert "Log in" in alice.get()[1]


def test_a_form_that_is_too_large_or_none_is_refused(alice, watch):
    assert alice.press("/do", verb="x" * 20_000)[0] == 400
    connection = http.client.HTTPConnection("127.0.0.1", watch.port, timeout=20)
    connection.request("POST", "/do", b'{"verb": "discard"}', {"Content-Type": "application/json"})
    assert connection.getresponse().status == 400
    connection.close()


def test_without_a_login_in_the_configuration_there_is_nothing_to_post_to(served):
    person = Person(served("null"))

    assert person.log_in()[0] == 405
    assert "Log in" not in person.get()[1]


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_neither_password_nor_cookie_is_taken_from_another_machine(alice, watch, place, peer):
    """The port is not encrypted: what is typed or sent there, others read."""
    cookie = {"cookie": alice.headers["Cookie"]}
    far = Asked({"name": "alice", "password": PASSWORD}, cookie, peer)

    assert watch._desk.forms()["/login"](far).status == 403
    assert watch._desk.at_page(far).name == ""
    assert watch._desk.at_page(Asked({}, cookie, "::ffff:127.0.0.1")).name == "alice"


# --- behind a reverse proxy ---------------------------------------------------------------------------------------


@pytest.fixture
def behind(served):
    return served("{proxy: {secret_file: ./secret}}")


def test_whom_the_proxy_names_is_logged_in(behind, operator, house, place):
    person = Person(behind, X_Remote_User="carol@example.org", X_Appliance_Proxy=SECRET)
    assert "Logged in as carol@example.org" in person.get()[1]

    assert person.press("/do", verb="discard", reason="no-patient-id")[0] == 303
    assert states(house)[State.DISCARDED] == 2
    assert audit(place)[-1][0] == "carol@example.org"


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Remote_User": "carol"},
        {"X_Remote_User": "carol", "X_Appliance_Proxy": ""},
        {"X_Remote_User": "carol", "X_Appliance_Proxy": "another"},
        {"X_Remote_User": "carol, root", "X_Appliance_Proxy": SECRET},
        {"X_Appliance_Proxy": SECRET},
    ],
)
def test_who_is_not_the_proxy_names_nobody(behind, headers):
    _, page = Person(behind, **headers).get()

    assert "<button" not in page
    assert "Logged in" not in page


def test_a_proxy_whose_secret_is_empty_names_nobody(behind, place):
    (place / "secret").write_text("\n")

    assert "Logged in" not in Person(behind, X_Remote_User="carol", X_Appliance_Proxy="").get()[1]


def test_there_is_no_logging_in_or_out_behind_a_proxy(behind):
    assert Person(behind).log_in()[0] == 405
