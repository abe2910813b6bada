"""What the audit says reaches the hospital's receiver as DICOM audit messages: whole, at least once, and no name."""

import base64
import json
import os

import pytest
from prometheus_client import CollectorRegistry

from appliance.auditing import Syslog
from appliance.spool.overview import Overview
from appliance.watch.audit import Audit
from appliance.watch.syslog import relay as relay_module
from appliance.watch.syslog import wire
from appliance.watch.syslog.lines import LARGEST
from appliance.watch.syslog.message import Message, Origin, Refused
from appliance.watch.syslog.relay import Relay
from appliance.watch.syslog.rows import Rows
from tests.make import spooled
from tests.make.audit_schema import valid
from tests.make.certificates import Authority
from tests.peers.audit_receiver import AuditReceiver
from tests.peers.ports import free_port

ORIGIN = Origin("st-elsewhere", "edge-1", "EDGE", "edge.hospital.example")


class House:
    """An audit, a relay that may be killed and started again, and a clock that only moves when told."""

    def __init__(self, folder, port, **settings):
        self.now = 1_800_000_000.0
        self.folder = folder
        self.refused = []
        self.audit = Audit(folder / "audit", clock=lambda: self.now)
        self.cursor = folder / "syslog.json"
        self.to = Syslog("127.0.0.1", port, **({"tls": False, "timeout_s": 2} | settings))
        self.begin()

    def begin(self):
        """Start the watch service, or start it again."""
        self.registry = CollectorRegistry()
        self.relay = Relay(
            self.to,
            ORIGIN,
            self.audit,
            Rows(Overview(self.folder), ORIGIN, [], gather_s=self.to.gather_s),
            lambda at: [each for each in self.refused if each.at > at],
            self.cursor,
            self.registry,
            clock=lambda: self.now,
            chance=lambda: 0.0,
        )

    def later(self, seconds=1.5):
        self.now += seconds
        return self.relay.step()

    def tell_all(self):
        while self.later():
            pass

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"appliance_syslog_{name}", labels)


@pytest.fixture
def receiver():
    with AuditReceiver() as found:
        yield found


@pytest.fixture
def house(tmp_path, receiver):
    return House(tmp_path, receiver.port)


def said(messages):
    """Return (event, event type, description) of each message."""
    found = []
    for message in messages:
        root = valid(message.partition(wire.BOM)[2])
        detail = root.find(".//ParticipantObjectDetail[@type='Alert Description']")
        words = "" if detail is None else base64.b64decode(detail.get("value")).decode()
        kind = root.find(".//EventTypeCode")
        found.append((root.find(".//EventID").get("originalText"), kind.get("originalText"), words))
    return found


def test_each_line_of_the_audit_is_told_once_and_in_order(house, receiver):
    house.tell_all()
    house.audit.write(who="anna", what="mapping reidentify", about="P-17", reason="Erika Mustermann called")
    house.audit.write(who="appliance", what="rules changed", about="SHA-256 00")

    house.tell_all()
    house.tell_all()

    assert said(receiver.arrived) == [
        ("Security Alert", "Audit Recording Started", f"audit messages begun: to 127.0.0.1 port {receiver.port}"),
        ("Application Activity", "Application Start", ""),
        ("Security Alert", "Use of Restricted Function", "mapping reidentify: P-17"),
        ("Security Alert", "Software Configuration", "rules changed: SHA-256 00"),
    ]
    assert b"Mustermann" not in b"".join(receiver.seen)


def test_a_message_has_the_header_and_the_frame_of_the_standards(house, receiver):
    house.audit.write(who="anna", what="before", about="the first start")
    house.tell_all()

    header, bom, body = receiver.arrived[0].partition(b"\xef\xbb\xbf")

    assert header == b"<85>1 2027-01-15T08:00:01.500Z edge.hospital.example appliance - DICOM+RFC3881 - "
    assert bom
    assert body.startswith(b"<?xml")
    assert b"the first start" not in b"".join(receiver.arrived)


def test_what_a_person_did_names_the_person_and_the_line_of_the_audit(house, receiver):
    house.tell_all()
    house.audit.write(who="änne", what="recall", about='1.2.3 <&">\x07\n')
    house.tell_all()

    root = valid(receiver.arrived[-1].partition(wire.BOM)[2])

    assert [each.get("UserID") for each in root.iter("ActiveParticipant")] == ["appliance-watch", "änne"]
    details = {
        each.get("type"): base64.b64decode(each.get("value")).decode() for each in root.iter("ParticipantObjectDetail")
    }
    line = json.loads(house.audit.file.read_text().splitlines()[-1])
    assert details == {"Alert Description": 'recall: 1.2.3 <&">  ', "Audit Line": line["hash"]}


def test_a_receiver_that_was_away_for_days_is_told_everything_later_and_meanwhile_asked_ever_more_rarely(tmp_path):
    with AuditReceiver() as away:
        port = away.port
    house = House(tmp_path, port)
    house.later()
    for day in range(3):
        house.audit.write(who="anna", what="discard", about=f"day {day}")
        for _ in range(24 * 60):
            house.later(60.0)

    failures = house.value("failures_total", why="unreachable")
    assert 3 * 24 * 60 / 6 < failures < 3 * 24 * 60 / 2
    assert house.value("waiting_seconds") == pytest.approx(3 * 86_400, abs=600)

    with AuditReceiver() as back:
        house.to = Syslog("127.0.0.1", back.port, tls=False)
        house.begin()
        house.tell_all()

        assert [words for _, _, words in said(back.arrived) if "day" in words] == [
            f"discard: day {day}" for day in range(3)
        ]
        assert house.value("waiting_seconds") == 0


@pytest.mark.parametrize(
    ("manner", "why"), [("closes", "unconfirmed"), ("cuts", "unreachable"), ("is silent", "timeout")]
)
def test_what_the_receiver_did_not_confirm_is_told_again(tmp_path, manner, why):
    authority = Authority(tmp_path / "ca")
    with AuditReceiver(tls=authority.sign("receiver")) as receiver:
        house = House(tmp_path, receiver.port, tls=True, ca=authority.certificate, timeout_s=0.2)
        receiver.manner = manner
        for number in range(50):
            house.audit.write(who="anna", what=f"before {number}")
        house.later()
        failed = sum(house.value("failures_total", why=each) for each in wire.KINDS)
        named = house.value("failures_total", why=why)

        receiver.manner = "ends"
        house.later(600.0)
        house.tell_all()

        assert failed == 1
        assert named == 1 or manner == "cuts"  # a reset may be met in a read or in a write
        assert [kind for _, kind, _ in said(receiver.arrived)] == ["Audit Recording Started", "Application Start"]


def test_a_receiver_that_is_not_trusted_is_told_nothing(tmp_path):
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with AuditReceiver(tls=other.sign("receiver")) as receiver:
        house = House(tmp_path, receiver.port, tls=True, ca=ours.certificate)

        house.later()

        assert house.value("failures_total", why="not-trusted") == 1
        assert receiver.seen == []


def test_a_receiver_that_wants_to_know_us_is_shown_our_certificate_by_a_credential_before_the_file(
    tmp_path, monkeypatch
):
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.sign("edge")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "edge.key").write_bytes(key.read_bytes())
    key.write_text("not the key")
    with AuditReceiver(tls=authority.sign("receiver"), client_ca=authority.certificate) as receiver:
        stranger = House(tmp_path / "stranger", receiver.port, tls=True, ca=authority.certificate)
        known = House(tmp_path, receiver.port, tls=True, ca=authority.certificate, certificate=certificate, key=key)
        monkeypatch.setitem(os.environ, "CREDENTIALS_DIRECTORY", str(credentials))

        stranger.later()
        known.later()

        # TLS 1.3: the receiver looks at it after our handshake, so its words may or may not come before the cut.
        assert sum(stranger.value("failures_total", why=why) for why in wire.KINDS) == 1
        assert stranger.value("messages_total") == 0
        assert known.value("messages_total") == 2
        assert len(receiver.arrived) == 2


@pytest.mark.parametrize("killed_after", ["deliver", "put_cursor"])
def test_a_crash_tells_a_page_again_at_most_and_leaves_none_out(house, receiver, monkeypatch, killed_after):
    house.tell_all()
    house.audit.write(who="anna", what="one")
    house.audit.write(who="anna", what="two")
    whole = getattr(relay_module, killed_after)

    def killed(*args, **more):
        whole(*args, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(relay_module, killed_after, killed)
        house.later()
    house.begin()
    house.tell_all()

    told = [words for _, _, words in said(receiver.arrived) if words in ("one", "two")]
    assert told == ["one", "two"] * (2 if killed_after == "deliver" else 1)


def test_while_the_disk_is_full_what_was_told_is_not_told_over_and_over(house, receiver, monkeypatch):
    house.tell_all()
    house.audit.write(who="anna", what="one")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(relay_module, "put_cursor", full)
        with pytest.raises(OSError, match="No space"):
            house.later()
        for _ in range(10):
            house.later()

    assert [words for _, _, words in said(receiver.arrived)].count("one") == 1


@pytest.mark.parametrize("damage", ["replaced", "cut", "gone"])
def test_an_audit_file_that_is_another_one_is_told_from_its_front_and_loudly(house, receiver, tmp_path, damage):
    house.audit.write(who="anna", what="before the first start")
    house.tell_all()
    house.audit.write(who="anna", what="old")
    house.tell_all()
    whole = house.audit.file.read_bytes()
    if damage == "replaced":
        other = Audit(tmp_path / "other", clock=lambda: house.now)
        for number in range(20):
            other.write(who="bert", what=f"other {number}")
        house.audit.file.write_bytes(other.file.read_bytes())
    elif damage == "cut":
        house.audit.file.write_bytes(b"".join(whole.splitlines(keepends=True)[:1]))
    else:
        house.audit.file.unlink()
    receiver.arrived.clear()

    house.tell_all()

    told = said(receiver.arrived)
    expected = {"replaced": [f"other {n}" for n in range(20)], "cut": ["before the first start"], "gone": []}[damage]
    assert [words for _, _, words in told][:-1] == expected
    assert told[-1][1] == "Audit Recording Started"
    assert "replaced, shortened or removed" in told[-1][2]
    assert receiver.arrived[-1].startswith(b"<84>")
    assert house.value("gaps_total") == 1


def test_a_gap_is_noted_once_however_long_the_receiver_is_away(tmp_path):
    with AuditReceiver() as receiver:
        house = House(tmp_path, receiver.port)
        sides = spooled.House(tmp_path, spooled.Clock(house.now - 7200))
        sides.pass_on(sides.receive(1))
        house.tell_all()
    house.audit.file.write_text("")
    sides.close()
    for file in tmp_path.glob("*side/*.db*"):
        file.unlink()
    sides.open()
    sides.pass_on(sides.receive(2))

    for _ in range(20):
        house.later(400.0)

    noted = [json.loads(line)["what"].partition(",")[0] for line in house.audit.file.read_text().splitlines()]
    assert noted == ["audit file replaced", "rows of a side begun again: told from their front"]
    assert house.value("gaps_total") == 2
    sides.close()


def test_rows_that_were_begun_again_are_told_from_their_front_and_loudly(house, receiver):
    sides = spooled.House(house.folder, spooled.Clock(house.now - 7200))
    sides.outbox.exports.keep(is_asked=True)
    sides.pass_on(sides.receive(1))
    house.tell_all()
    sides.close()
    for file in house.folder.glob("*side/*.db*"):
        file.unlink()
    sides.open()
    sides.outbox.exports.keep(is_asked=True)
    sides.pass_on(sides.receive(2, 3))
    sides.deliver()
    receiver.arrived.clear()

    house.later(61.0)
    house.tell_all()

    bodies = [valid(each.partition(wire.BOM)[2]) for each in receiver.arrived]
    counts = [
        (each.find(".//EventID").get("csd-code"), each.find(".//SOPClass").get("NumberOfInstances"))
        for each in bodies
        if each.find(".//SOPClass") is not None
    ]
    alerts = [each for each in receiver.arrived if each.startswith(b"<84>")]
    assert counts == [("110104", "2"), ("110106", "2")]
    assert [words.partition(":")[0] for _, _, words in said(alerts)] == ["rows of a side begun again"]
    assert house.value("gaps_total") == 1
    sides.close()


def test_a_node_that_was_not_let_in_is_told_once_as_a_failure_that_was_averted(house, receiver):
    house.tell_all()
    house.refused.append(Refused(house.now + 1, "10.9.9.9", "MALLORY", "Calling AE title not recognized.", 3))
    receiver.arrived.clear()

    house.later(61.0)
    house.later(61.0)
    house.begin()
    house.later(61.0)
    house.tell_all()

    [message] = [each for each in receiver.arrived if b"Node Authentication" in each]
    root = valid(message.partition(wire.BOM)[2])
    subject = root.find("ParticipantObjectIdentification")
    details = [base64.b64decode(each.get("value")).decode() for each in subject.iter("ParticipantObjectDetail")]
    assert message.startswith(b"<84>")
    assert root.find("EventIdentification").get("EventOutcomeIndicator") == "4"
    assert subject.get("ParticipantObjectID") == "10.9.9.9"
    assert details == ["Calling AE title not recognized. (3 times)", "MALLORY"]


@pytest.mark.parametrize(
    ("what", "kind", "priority"),
    [
        ("operator removed", "User Security Attributes Changed", b"<85>"),
        ("mapping rotate", "Security Configuration", b"<85>"),
        ("configuration first seen", "Software Configuration", b"<85>"),
    ],
)
def test_what_was_done_has_the_code_of_its_kind(house, receiver, what, kind, priority):
    house.tell_all()
    house.audit.write(who="anna", what=what, about="status page")
    house.tell_all()

    assert said(receiver.arrived)[-1] == ("Security Alert", kind, f"{what}: status page")
    assert receiver.arrived[-1].startswith(priority)


@pytest.mark.parametrize(
    ("what", "code", "meaning", "outcome", "priority"),
    [
        ("login", "110122", "Login", "0", b"<85>"),
        ("login refused", "110122", "Login", "4", b"<84>"),
        ("logout", "110123", "Logout", "0", b"<85>"),
    ],
)
@pytest.mark.parametrize(
    ("address", "access", "kind"), [("10.9.9.9", "10.9.9.9", "2"), ("", "edge.hospital.example", "1")]
)
def test_who_logs_in_or_out_or_is_refused_is_a_user_authentication_with_where_from(
    house, receiver, what, code, meaning, outcome, priority, address, access, kind
):
    house.tell_all()
    house.audit.write(who="anna", what=what, about="status page", address=address)
    house.tell_all()

    message = receiver.arrived[-1]
    root = valid(message.partition(wire.BOM)[2])
    event = root.find("EventIdentification")
    person, service = root.findall("ActiveParticipant")
    assert message.startswith(priority)
    assert (root.find(".//EventID").get("csd-code"), event.get("EventActionCode")) == ("110114", "E")
    assert (event.find("EventTypeCode").get("csd-code"), event.find("EventTypeCode").get("originalText")) == (
        code,
        meaning,
    )
    assert event.get("EventOutcomeIndicator") == outcome
    assert (person.get("UserID"), person.get("UserIsRequestor")) == ("anna", "true")
    assert (person.get("NetworkAccessPointID"), person.get("NetworkAccessPointTypeCode")) == (access, kind)
    assert (service.get("UserID"), service.get("UserIsRequestor")) == ("appliance-watch", "false")
    assert root.findall("ParticipantObjectIdentification") == []


def test_an_alert_says_where_the_person_asked_from(house, receiver):
    house.tell_all()
    house.audit.write(who="anna", what="ask forward: pause", address="10.9.9.9")
    house.tell_all()

    root = valid(receiver.arrived[-1].partition(wire.BOM)[2])
    [person] = [each for each in root.findall("ActiveParticipant") if each.get("UserID") == "anna"]
    assert person.get("NetworkAccessPointID") == "10.9.9.9"


def test_a_damaged_line_is_told_as_that_and_what_follows_it_is_told(house, receiver):
    house.tell_all()
    with house.audit.file.open("ab") as file:
        file.write(b"{broken \r line\n" + b"x" * (LARGEST + 10) + b"\n")
    house.audit.write(who="anna", what="after")
    receiver.arrived.clear()

    house.tell_all()

    told = [words for _, _, words in said(receiver.arrived)]
    assert told[0].startswith("A line of the audit cannot be read.")
    assert told[-1] == "after"


def test_half_a_line_waits_until_it_is_whole(house, receiver):
    house.tell_all()
    receiver.arrived.clear()
    house.audit.write(who="anna", what="whole")
    line = house.audit.file.read_bytes().splitlines(keepends=True)[-1]
    end = house.audit.file.stat().st_size
    os.truncate(house.audit.file, end - len(line) // 2)
    house.tell_all()
    before = list(receiver.arrived)
    with house.audit.file.open("ab") as file:
        file.write(line[-(len(line) // 2) :])

    house.tell_all()

    assert before == []
    assert [words for _, _, words in said(receiver.arrived)] == ["whole"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"audit": 7}', b"\xff\xfe"])
def test_a_cursor_that_says_nothing_tells_everything_again_and_says_so(house, receiver, content):
    house.audit.write(who="anna", what="before the first start")
    house.tell_all()
    house.cursor.write_bytes(content)
    receiver.arrived.clear()

    house.begin()
    house.tell_all()

    told = [words for _, _, words in said(receiver.arrived)]
    assert told[0] == "before the first start"
    assert any("it was not known any more how far they were" in words for words in told)
    assert house.value("gaps_total") == 1


def test_more_than_a_page_is_told_in_pages(house, receiver):
    house.tell_all()
    for number in range(250):
        house.audit.write(who="anna", what=f"n {number}")
    before = receiver.connections

    house.tell_all()

    assert [words for _, _, words in said(receiver.arrived)][2:] == [f"n {number}" for number in range(250)]
    assert receiver.connections - before == 3


def test_the_end_of_the_service_is_told_before_it_ends_or_when_it_begins_again(house, receiver):
    house.tell_all()
    house.relay.end()
    told = [kind for _, kind, _ in said(receiver.arrived)]

    assert told == ["Audit Recording Started", "Application Start", "Application Stop"]


def test_a_service_whose_receiver_is_away_ends_without_waiting_for_it(tmp_path):
    house = House(tmp_path, free_port())
    house.later()

    house.relay.end()

    assert house.value("failures_total", why="unreachable") == 1
    assert json.loads(house.audit.file.read_text().splitlines()[-1])["what"] == "service stopped"


def test_a_receiver_that_refuses_us_is_never_taken_for_one_that_has_read_everything(tmp_path):
    # ssl.SSLSocket.unwrap of Python 3.11 did so about once in eight times.
    authority = Authority(tmp_path)
    with AuditReceiver(tls=authority.sign("receiver"), client_ca=authority.certificate) as receiver:
        to = Syslog("127.0.0.1", receiver.port, ca=authority.certificate)
        for _ in range(100):
            with pytest.raises(OSError):
                wire.deliver(to, [b"5 hello"] * 2)

        assert receiver.seen == []


def test_a_slow_receiver_is_given_up_after_a_bound(tmp_path, monkeypatch, receiver):
    monkeypatch.setattr(wire, "MOST_S", -1.0)
    frames = [wire.frame(Message(0.0, "0", b"<a/>"), "host")]

    with pytest.raises(TimeoutError):
        wire.deliver(Syslog("127.0.0.1", receiver.port, tls=False), frames)


def test_a_name_in_the_header_is_plain(tmp_path):
    assert wire.header_name("edge 1\u00e9\n") == "edge1"
    assert wire.header_name("  ") == "-"
