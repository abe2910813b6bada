import base64
import hashlib
import http.client
import json
import os
import re
import socket
import sqlite3
import time
from datetime import UTC, datetime

import pytest
from prometheus_client import Gauge
from prometheus_client.parser import text_string_to_metric_families

from appliance import config
from appliance.errors import CannotStart
from appliance.lifecycle import RecallState
from appliance.model import Arrival, Provenance
from appliance.reasons import Reason
from appliance.services.watch import Watch
from appliance.spool.inside import Spool
from appliance.spool.recalls import Moved, Wanted
from appliance.watch.published import Published
from tests.make.spooled import House

ID = "20261120T181522123Z-CT1-k7f3q9"


@pytest.fixture
def site(tmp_path):
    """A loaded configuration whose watch port is any free one."""
    file = tmp_path / "site.yaml"
    file.write_text(
        "site: st-elsewhere\nstate: ./var\nspool: {reserve_gb: 0}\nwatch: {port: 0}\n"
        "inbox: {path: ./inbox}\ndestinations: [{name: research, folder: ./out}]\n"
    )
    return config.load(file)


@pytest.fixture
def watch(site):
    service = Watch(site)
    service.start()
    yield service
    service.stop()


def get(watch, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", watch.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def beat(site, *services, ago=0.0):
    for service in services:
        side = "outside" if service == "forward" else "inside"
        Published(site.state / side / "metrics", service, lambda: time.time() - ago).beat()


def receive(site, spool_id=ID, *, quarantined=None):
    """An instance as the spool keeps it, without its file; with a reason it is quarantined."""
    spool = Spool(site.state / "inside", reserve_bytes=0)
    provenance = Provenance("CT1", calling_ae="MUSTERMANN")
    spool.arrived([Arrival(spool_id, datetime.now(UTC), provenance, "1.2.3", "1.2.3.4", "1.2.840.10008.1.2", 100)])
    if quarantined is not None:
        spool.layout.original(spool_id).write_bytes(b"x")
        (instance,) = spool.claim(1, time.time(), set())
        spool.quarantine(instance, quarantined, "(0010,0020) is empty.")
    spool.close()


def test_alive_is_the_process_that_answers(watch):
    answer, body = get(watch, "/health/live")

    assert answer.status == 200
    assert json.loads(body)["live"] is True


def test_not_ready_says_which_service_is_missing_and_what_to_do(watch, site):
    beat(site, "receive", "deidentify", "forward")

    answer, body = get(watch, "/health/ready")

    (problem,) = json.loads(body)["problems"]
    assert answer.status == 503
    assert "'inbox' has not started yet" in problem["what"]
    assert "appliance run inbox" in problem["do"]


def test_ready_when_every_service_takes_its_steps(watch, site):
    beat(site, "receive", "deidentify", "forward", "inbox")

    answer, body = get(watch, "/health/ready")

    assert (answer.status, json.loads(body)) == (200, {"ready": True, "site": "st-elsewhere", "problems": []})


def test_a_service_that_hangs_makes_it_not_ready(watch, site):
    beat(site, "receive", "deidentify", "inbox")
    beat(site, "forward", ago=120)

    answer, body = get(watch, "/health/ready")

    assert answer.status == 503
    assert "'forward' took its last step 120 s ago" in body


def test_a_clock_that_was_set_back_does_not_make_it_unready(watch, site):
    beat(site, "receive", "deidentify", "forward", "inbox", ago=-3600)

    assert get(watch, "/health/ready")[0].status == 200


def test_too_little_space_makes_it_not_ready_and_says_that_nothing_is_lost(site, tmp_path):
    file = tmp_path / "full.yaml"
    file.write_text(site.file.read_text().replace("reserve_gb: 0", "reserve_gb: 1000000"))
    full = Watch(config.load(file))
    full.start()
    beat(site, "receive", "deidentify", "forward", "inbox")

    try:
        answer, body = get(full, "/health/ready")
    finally:
        full.stop()

    assert answer.status == 503
    assert "nothing is lost" in body


def test_a_database_that_is_none_makes_it_not_ready_and_is_seen_in_the_metrics(watch, site):
    receive(site)
    beat(site, "receive", "deidentify", "forward", "inbox")
    (site.state / "inside" / "journal.db").unlink()
    (site.state / "inside" / "journal.db").symlink_to("/dev/null")

    answer, body = get(watch, "/health/ready")

    assert answer.status == 503
    assert "rebuilt from the files" in body
    assert "appliance_rows_readable 0.0" in get(watch, "/metrics")[1]


def test_the_metrics_hold_both_sides_rows_and_every_service_s_counts(watch, site):
    receive(site, quarantined=Reason.NO_PATIENT_ID)
    receive(site, ID[:-1] + "8")
    beat(site, "receive", "forward")

    answer, body = get(watch, "/metrics")

    assert answer.getheader("Content-Type").startswith("text/plain; version=0.0.4")
    assert 'appliance_instances{state="QUARANTINED"} 1.0' in body
    assert 'appliance_instances{state="RECEIVED"} 1.0' in body
    assert 'appliance_quarantined{reason="no-patient-id"} 1.0' in body
    assert 'appliance_heartbeat_timestamp_seconds{service="forward"}' in body
    assert 'appliance_free_bytes{side="inside"}' in body
    assert 'appliance_oldest_waiting_seconds{state="RECEIVED"}' in body
    assert len(list(text_string_to_metric_families(body))) > 8


def test_neither_metrics_nor_health_name_who_sent_or_which_instance(watch, site):
    receive(site, quarantined=Reason.NO_PATIENT_ID)

    shown = "".join(get(watch, path)[1] for path in ("/metrics", "/health/ready", "/health/live", "/"))

    assert "MUSTERMANN" not in shown
    assert ID not in shown
    assert "1.2.3.4" not in shown


def test_before_anything_was_received_the_metrics_say_so(watch):
    answer, body = get(watch, "/metrics")

    assert answer.status == 200
    assert 'appliance_instances{state="RECEIVED"} 0.0' in body


def test_an_unknown_path_is_told_what_there_is_and_is_not_repeated(watch):
    answer, body = get(watch, "/patients/MUSTERMANN")

    assert answer.status == 404
    assert "/metrics" in body
    assert "MUSTERMANN" not in body


def test_head_answers_without_a_body_and_other_methods_not_at_all(watch):
    head, body = get(watch, "/health/live", "HEAD")
    post, _ = get(watch, "/health/live", "POST")

    assert (head.status, body) == (200, "")
    assert post.status == 405


def test_an_answer_may_not_be_kept_nor_taken_for_a_page_and_names_no_version(watch):
    answer, _ = get(watch, "/metrics")

    assert answer.getheader("Cache-Control") == "no-store"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Server") == "appliance"


def test_the_status_page_counts_what_there_is_and_says_what_to_do(watch, site):
    receive(site, quarantined=Reason.NO_PATIENT_ID)
    receive(site, ID[:-1] + "8")

    answer, body = get(watch, "/")

    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert (
        "Received 2, of which waiting 1, ready 0, forwarded 0, discarded 0, held 0, quarantined 1, rejected 0" in body
    )
    assert "no-patient-id" in body
    assert "&#x27;forward&#x27; has not started yet" in body
    assert ID not in body
    assert "MUSTERMANN" not in body


def test_the_status_page_shows_a_reason_that_a_newer_version_left(watch, site):
    receive(site, quarantined=Reason.NO_PATIENT_ID)
    with sqlite3.connect(site.state / "inside" / "journal.db") as journal:
        journal.execute("UPDATE instance SET reason = 'of-tomorrow'")

    _, body = get(watch, "/")

    assert "of-tomorrow" in body
    assert "This version does not know the reason" in body


@pytest.mark.parametrize(("waits_s", "said"), [(0.0, "told"), (7200.0, "wait for their receiver for 2.0 h")])
def test_the_status_page_says_whether_audit_messages_wait(site, waits_s, said):
    site.file.write_text(site.file.read_text() + "audit: {syslog: {host: localhost, tls: false}}\n")
    told = Published(site.state / "outside" / "metrics", "watch", time.time)
    Gauge("appliance_syslog_waiting_seconds", "Age.", registry=told.registry).set(waits_s)
    told.write()
    service = Watch(config.load(site.file))
    service.start()

    _, body = get(service, "/")

    service.stop()
    assert "Audit messages" in body
    assert said in body


def test_each_table_of_the_status_page_has_a_name_and_heads_for_its_rows(watch, site):
    receive(site, quarantined=Reason.NO_PATIENT_ID)

    _, body = get(watch, "/")

    tables = body.count("<table>")
    assert tables >= 2
    assert body.count('role="region" tabindex="0" aria-label="') == tables
    assert len(re.findall(r'<tr><th scope="row">', body)) == body.count("<tr>") - tables


def test_the_status_page_says_that_the_rows_cannot_be_read(watch, site):
    receive(site)
    (site.state / "inside" / "journal.db").unlink()
    (site.state / "inside" / "journal.db").symlink_to("/dev/null")

    answer, body = get(watch, "/")

    assert answer.status == 200
    assert "cannot be read now" in body


def test_a_browser_loads_nothing_for_the_status_page_but_its_own_style(watch):
    answer, body = get(watch, "/")

    style = re.search("<style>(.*?)</style>", body, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.getheader("Content-Security-Policy")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert answer.getheader("X-Frame-Options") == "DENY"
    assert "<script" not in body
    assert "http:" not in body


def test_callers_that_say_nothing_hold_nobody_up(watch):
    silent = [socket.create_connection(("127.0.0.1", watch.port)) for _ in range(40)]
    try:
        assert get(watch, "/health/live")[0].status == 200
    finally:
        for connection in silent:
            connection.close()


def test_a_port_that_is_taken_is_told_with_what_to_do(site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        text = site.file.read_text().replace("port: 0", f"port: {other.getsockname()[1]}")
        site.file.write_text(text)

        with pytest.raises(CannotStart, match=r"cannot listen on 127\.0\.0\.1 port \d+: Address already in use"):
            Watch(config.load(site.file)).start()


def test_the_port_is_given_back(site):
    service = Watch(site)
    service.start()
    port = service.port
    service.stop()

    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        assert os.fstat(again.fileno())


def test_a_recall_that_a_person_has_to_carry_out_is_a_metric(watch, site):
    house = House(site.state)
    house.pass_on(house.receive(1))
    house.deliver()
    house.outbox.recall(Wanted(studies=("2.25.1",)), ["research"])
    moved = [
        Moved(each, RecallState.IMPOSSIBLE) for each in house.outbox.recalls.claim("research", 9, house.clock(), ())
    ]
    house.outbox.recalls.moved(moved, house.clock())
    house.close()

    _, body = get(watch, "/metrics")

    assert len(moved) == 1
    assert 'appliance_recalls{destination="research",state="impossible"} 1.0' in body
