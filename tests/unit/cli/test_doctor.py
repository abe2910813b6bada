import base64
import http.server
import json
import os
import socket
import threading
import time

import pytest

from appliance.cli.main import main
from appliance.mapping.store import MappingStore
from appliance.watch.published import Published
from tests.make.certificates import Authority
from tests.make.site import configured
from tests.peers.audit_receiver import AuditReceiver
from tests.peers.committed import Modality
from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port
from tests.peers.receive_process import ReceiveProcess


@pytest.fixture
def examine(capsys):
    """Run doctor on a site; return the exit status and the findings by check."""

    def call(site):
        status = main(["doctor", "--json", "-c", str(site.file)])
        content = json.loads(capsys.readouterr().out)
        assert status == {"ok": 0, "warning": 1, "error": 2}[content["worst"]]
        found = {}
        for each in content["checks"]:
            found.setdefault(each["check"], []).append(each)
        return status, found

    return call


def beat(site, *roles):
    for role in roles or ("receive", "deidentify", "forward", "watch", "inbox"):
        side = "outside" if role in ("forward", "watch") else "inside"
        Published(site.state / side / "metrics", role, time.time).beat()


def quiet_scp(more=""):
    return "scp: {host: 127.0.0.1, port: 0" + more + "}\n"


def test_a_machine_on_which_all_is_well_ends_with_0(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    beat(site)

    status, found = examine(site)

    assert status == 0
    looked_at = {"configuration", "rules", "text search", "key", "disk", "clock", "ports", "destination research"}
    assert set(found) == looked_at | {"services"}


def test_services_that_do_not_run_are_a_warning(tmp_path, examine):
    status, found = examine(configured(tmp_path, quiet_scp()))

    assert status == 1
    assert found["services"][0]["severity"] == "warning"


def test_a_service_that_does_not_take_its_steps_beside_others_is_an_error(tmp_path, examine, monkeypatch):
    monkeypatch.setattr("appliance.cli.checks.STARTING_S", 0.0)
    site = configured(tmp_path, quiet_scp())
    beat(site, "receive", "forward")

    status, found = examine(site)

    assert status == 2
    assert [each["severity"] for each in found["services"]] == ["error"]
    assert "'deidentify' has not started yet" in found["services"][0]["what"]


def test_a_service_that_was_started_a_moment_ago_is_no_error(tmp_path, examine, monkeypatch):
    monkeypatch.setattr("appliance.cli.checks.STARTING_S", PATIENCE_S)
    site = configured(tmp_path, quiet_scp())
    beat(site, "receive", "forward")
    starting = threading.Timer(0.5, beat, (site, "receive", "forward", "deidentify"))
    starting.start()

    status, found = examine(site)

    starting.join()
    assert (status, [each["severity"] for each in found["services"]]) == (0, ["ok"])


def test_a_configuration_that_cannot_be_used_is_an_error_with_its_line(tmp_path, capsys):
    (tmp_path / "site.yaml").write_text("site: a b\nstate: v\ndestinations: [{name: a, folder: o}]\n")

    assert main(["doctor", "-c", str(tmp_path / "site.yaml")]) == 2
    assert "site.yaml line 1: site must be lower-case letters" in capsys.readouterr().out


def test_a_missing_key_is_an_error_and_none_is_made(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    site.mapping.key_file.unlink()

    status, found = examine(site)

    assert status == 2
    assert "does not exist" in found["key"][0]["what"]
    assert not site.mapping.key_file.exists()


def test_another_key_than_the_mapping_s_is_an_error(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    (site.state / "mapping").mkdir(parents=True)
    MappingStore(site.state / "mapping" / "mapping.db", b"another key of this very site").close()

    status, found = examine(site)

    assert status == 2
    assert "not the one that the mapping" in found["key"][0]["what"]


def test_a_key_that_others_may_read_is_a_warning_with_the_command(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    beat(site)
    site.mapping.key_file.chmod(0o644)

    status, found = examine(site)

    assert status == 1
    assert found["key"][0]["do"].endswith(f"chmod 600 {site.mapping.key_file}")


def test_too_little_space_is_an_error_that_says_nothing_is_lost(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    site.file.write_text(site.file.read_text().replace("reserve_gb: 0", "reserve_gb: 1000000"))

    status, found = examine(site)

    assert status == 2
    assert "nothing is lost" in found["disk"][0]["do"]


def test_a_port_that_another_program_has_is_an_error_and_ours_is_not(tmp_path, examine):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        site = configured(tmp_path, f"scp: {{host: 127.0.0.1, port: {other.getsockname()[1]}}}\n")

        foreign = examine(site)[1]["ports"][0]
        beat(site)
        ours = examine(site)[1]["ports"][0]

    assert foreign["severity"] == "error"
    assert "ss -ltnp" in foreign["do"]
    assert ours["severity"] == "ok"


def test_a_peer_that_is_promised_commitment_is_called_and_told_nothing(tmp_path, examine):
    with Modality() as there:
        gone = free_port()
        granted = "{{ae_title: {}, commitment: {{promise: in-custody, host: 127.0.0.1, port: {}, timeout_s: 5}}}}"
        peers = ", ".join(granted.format(*each) for each in (("CT1", there.port), ("CT2", gone)))
        found = examine(configured(tmp_path, quiet_scp(f", peers: [{peers}, {{ae_title: CT3}}]")))[1]
        assert until(lambda: there.released)

    assert {name for name in found if name.startswith("commitment")} == {"commitment CT1", "commitment CT2"}
    assert found["commitment CT1"][0]["severity"] == "ok"
    assert found["commitment CT2"][0]["severity"] == "warning"
    assert "Connection refused" in found["commitment CT2"][0]["what"]
    assert there.reports == []


def test_a_clock_behind_what_was_written_is_a_warning(tmp_path, examine):
    site = configured(tmp_path, quiet_scp())
    beat(site)
    database = site.state / "inside" / "journal.db"
    database.touch()
    os.utime(database, (time.time() + 7200,) * 2)

    _, found = examine(site)

    assert "behind what was written before" in found["clock"][0]["what"]


def test_certificates_that_cannot_be_used_are_an_error(tmp_path, examine):
    site = configured(tmp_path, quiet_scp(", tls: {port: 0, certificate: no.pem, key: no.key}"))

    status, found = examine(site)

    assert status == 2
    assert "no.pem or its key cannot be used: No such file or directory" in found["tls"][0]["what"]


def test_an_inbox_that_is_not_mounted_is_a_warning(tmp_path, examine):
    site = configured(tmp_path, quiet_scp() + "inbox: {path: ./inbox}\n")

    _, found = examine(site)

    assert found["inbox"][0]["severity"] == "warning"


@pytest.fixture
def server():
    """A web server that answers every GET with the status that it is told; remembers what it was asked."""
    state = {"status": 200, "asked": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["asked"].append((self.path, self.headers.get("Authorization")))
            self.send_response(state["status"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    state["url"] = f"http://127.0.0.1:{running.server_address[1]}/dicom-web"
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "severity", "says"),
    [
        (200, "ok", "it answers (200)"),
        (204, "ok", "it answers"),
        (404, "warning", "it answers, but finds no search (404)"),
        (401, "error", "it answered 401 to our login. Renew the password or token"),
        (302, "error", "a redirect, which is not followed"),
        (503, "error", "it answered 503"),
    ],
)
def test_a_destination_is_asked_and_judged_and_nothing_is_stored_there(
    tmp_path, examine, server, status, severity, says
):
    server["status"] = status
    (tmp_path / "password").write_text("s3cret\n")
    auth = "auth: {kind: basic, user: edge, password_file: ./password}"
    site = configured(tmp_path, quiet_scp(), destinations=f"[{{name: web, url: '{server['url']}', {auth}}}]")

    (found,) = examine(site)[1]["destination web"]

    assert found["severity"] == severity
    assert says in found["what"]
    ((path, authorization),) = server["asked"]
    assert path.startswith("/dicom-web/studies?")
    assert authorization.startswith("Basic ")
    assert "s3cret" not in str(found)


def test_a_destination_that_is_not_there_is_told_with_where_to_look(tmp_path, examine):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/dicom-web"
    site = configured(tmp_path, quiet_scp(), destinations=f"[{{name: web, url: '{url}'}}]")

    (found,) = examine(site)[1]["destination web"]

    assert found["severity"] == "error"
    assert "no connection" in found["what"]
    assert "none is lost" in found["do"]


def test_a_secret_that_is_missing_is_told(tmp_path, examine, server):
    auth = "auth: {kind: bearer, token_file: ./nowhere}"
    site = configured(tmp_path, quiet_scp(), destinations=f"[{{name: web, url: '{server['url']}', {auth}}}]")

    (found,) = examine(site)[1]["destination web"]

    assert found["severity"] == "error"
    assert "nowhere can't be read" in found["what"]
    assert server["asked"] == []


def test_for_a_person_each_finding_is_a_line_with_what_to_do_below(tmp_path, capsys):
    site = configured(tmp_path, quiet_scp())

    main(["doctor", "-c", str(site.file)])

    told = capsys.readouterr().out.splitlines()
    line = next(number for number, text in enumerate(told) if text.startswith("warning services: No service runs."))
    assert "appliance run" in told[line + 1]


@pytest.fixture
def audited(tmp_path):
    """A site that tells a receiver of audit messages over TLS, and the receiver."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.sign("edge")
    with AuditReceiver(tls=authority.sign("receiver"), client_ca=authority.certificate) as receiver:
        settings = f"host: 127.0.0.1, port: {receiver.port}, ca: {authority.certificate}, timeout_s: 2"
        known = f"certificate: {certificate}, key: {key}"
        yield configured(tmp_path, quiet_scp(f"}}\naudit: {{syslog: {{{settings}, {known}}}")), receiver


def test_a_receiver_of_audit_messages_is_greeted_and_told_nothing(audited, examine, monkeypatch):
    site, receiver = audited
    monkeypatch.setattr("appliance.cli.audit_receiver.NEAR_S", 3600.0)

    _, found = examine(site)

    assert [each["severity"] for each in found["audit messages"]] == ["ok"]
    assert receiver.connections == 1
    assert receiver.seen == []


def test_certificates_between_us_and_the_receiver_of_audit_messages_that_end_soon_are_a_warning(audited, examine):
    site, _ = audited

    _, found = examine(site)

    assert [each["severity"] for each in found["audit messages"]] == ["warning", "warning"]
    assert "ends" in found["audit messages"][0]["what"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("stranger", "not-trusted"), ("closes", "unconfirmed"), ("no key", "files"), ("away", "unreachable")],
)
def test_a_receiver_of_audit_messages_that_cannot_be_told_is_an_error_that_says_why(
    audited, examine, tmp_path, fault, said
):
    site, receiver = audited
    text = site.file.read_text()
    if fault == "stranger":
        text = text.replace(str(tmp_path / "ca" / "ca.pem"), str(Authority(tmp_path / "stranger").certificate))
    elif fault == "closes":
        receiver.manner = "closes"
    elif fault == "no key":
        (tmp_path / "ca" / "edge.key").unlink()
    else:
        text = text.replace(f"port: {receiver.port}", f"port: {free_port()}")
    site.file.write_text(text)

    status, found = examine(site)

    assert status == 2
    [finding] = found["audit messages"]
    assert said in finding["what"]
    assert "none is lost" in finding["do"]


@pytest.fixture
def at_work(tmp_path, examine):
    """Run a receiver with a section scp, and doctor beside it; return what it says of the echo."""
    running = []

    def call(*, before=lambda: None, **scp):
        edge = ReceiveProcess(tmp_path / "edge", scp={"port": free_port(), **scp})
        running.append(edge)
        edge.start()
        before()
        beat(edge, "receive")
        settings = json.loads((tmp_path / "edge" / "appliance.yaml").read_text())
        site = configured(tmp_path, f"scp: {json.dumps(settings['scp'])}\n")
        site.file.write_text(site.file.read_text().replace("state: ./var", f"state: {edge.state}"))
        return examine(site)[1].get("echo", [])

    yield call
    for edge in running:
        edge.kill()


@pytest.mark.parametrize(
    ("peers", "says"),
    [
        ("any", "answers DOCTOR"),
        ([{"ae_title": "CT1", "address": "10.1.2.3"}, {"ae_title": "CT2"}], "answers CT2"),
        ([{"ae_title": "CT1", "address": "10.1.2.3"}], "was not called: scp.peers lets nobody call from here"),
    ],
)
def test_the_receiver_is_called_as_somebody_whom_it_lets_in_or_not_at_all(at_work, peers, says):
    (found,) = at_work(peers=peers, any_called_ae=False)

    assert found["severity"] == "ok"
    assert says in found["what"]


def test_a_receiver_that_does_not_answer_though_it_beats_is_an_error(tmp_path, examine):
    site = configured(tmp_path, f"scp: {{host: 127.0.0.1, port: {free_port()}}}\n")
    beat(site)

    (found,) = examine(site)[1]["echo"]

    assert found["severity"] == "error"
    assert "did not accept" in found["what"]


@pytest.mark.parametrize("renewed", [False, True])
def test_an_echo_goes_to_the_encrypted_port_too_and_sees_a_certificate_that_was_not_taken_over(
    tmp_path, at_work, renewed
):
    ca = Authority(tmp_path / "ca")
    certificate, key = ca.sign("edge")
    tls = {"port": free_port(), "certificate": str(certificate), "key": str(key), "client_ca": str(ca.certificate)}

    plain, encrypted = at_work(tls=tls, before=lambda: renewed and ca.sign("edge"))

    assert plain["severity"] == "ok"
    assert encrypted["severity"] == ("warning" if renewed else "ok")
    assert ("systemctl reload" in encrypted["do"]) is renewed
    assert encrypted["what"].endswith("encrypted.") is not renewed


def test_a_port_that_would_not_let_our_own_certificate_in_is_not_called(tmp_path, at_work):
    certificate, key = Authority(tmp_path / "ours").sign("edge")
    theirs = Authority(tmp_path / "theirs").certificate
    tls = {"port": free_port(), "certificate": str(certificate), "key": str(key), "client_ca": str(theirs)}

    _, encrypted = at_work(tls=tls)

    assert "client_ca does not know our own certificate" in encrypted["what"]


def token(ends_in_s):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + ends_in_s}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.c2lnbmVk"


@pytest.mark.parametrize(
    ("secret", "mode", "severity", "says"),
    [
        (token(90 * 86400), 0o600, "ok", "ends at"),
        (token(3600), 0o600, "warning", "ends at"),
        (token(-60), 0o600, "error", "has ended at"),
        ("opaque", 0o600, "ok", "does not say when it ends"),
        (token(90 * 86400), 0o644, "warning", "Everybody on this machine"),
        ("", 0o600, "error", "is empty"),
    ],
)
def test_the_token_of_a_destination_is_looked_at_and_never_told(
    tmp_path, examine, server, secret, mode, severity, says
):
    file = tmp_path / "token"
    file.write_text(secret)
    file.chmod(mode)
    auth = "auth: {kind: bearer, token_file: ./token, in_clear: true}"
    site = configured(tmp_path, quiet_scp(), destinations=f"[{{name: web, url: '{server['url']}', {auth}}}]")

    (found,) = examine(site)[1]["login web"]

    assert found["severity"] == severity
    assert says in found["what"]
    assert not secret or secret not in str(found)


def test_what_the_system_does_not_let_doctor_look_at_is_a_warning_and_the_rest_is_told(tmp_path, examine, monkeypatch):
    def refused(_settings):
        raise PermissionError(13, "Permission denied", "/var/lib/appliance/inside/metrics")

    monkeypatch.setattr("appliance.cli.at_the_door.beating", refused)
    site = configured(tmp_path, quiet_scp())
    beat(site)

    status, found = examine(site)

    [echo] = found["echo"]
    assert (status, echo["severity"], "sudo" in echo["do"]) == (1, "warning", True)
    assert "/var/lib/appliance/inside/metrics could not be looked at" in echo["what"]
    assert found["services"][0]["severity"] == "ok"
