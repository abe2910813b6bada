"""The life of an installation on a booted Debian host, told in order: each test goes on where the one before ended."""

import json
import re
import socket
import ssl
import subprocess
from pathlib import Path

import pyrage
import pytest

from appliance.watch.syslog.wire import BOM
from tests.install.conftest import PASSWORD
from tests.make import make
from tests.make.audit_schema import valid
from tests.peers.booted import Booted, play
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.orthanc import Orthanc
from tests.peers.patience import until
from tests.peers.steady_caller import SteadyCaller

HERE = Path(__file__).parent
SERVICES = ("receive", "inbox", "deidentify", "forward", "purge-inside", "purge-outside", "watch")
PATIENT, PATIENT_ID, FOLDER = "Zwirnlein^Quasimodo", "00QX4711", "Zwirnlein_Quasimodo_1950"
PLANTED = ("zwirnlein", "quasimodo", PATIENT_ID.lower(), "acc4711", "lane 7")
MOST_EXPOSED = 2.0
INSIDE, OUTSIDE, MAPPING = (f"/var/lib/appliance/{name}" for name in ("inside", "outside", "mapping"))
KEY = "/etc/appliance/credentials/pseudonym-key"
TEMPORARY = "/tmp"


def image(seed):
    """A function from number to image, each number another study of one patient."""

    def made(number):
        return make.ct(seed=f"{seed}-{number}", number=number, patient=PATIENT, patient_id=PATIENT_ID)

    return made


def scanner(site, seed):
    return SteadyCaller(site.host.address, 11112, image(seed), calling=b"CT1")


def release(site):
    return site.host.run("basename $(readlink /opt/appliance/current)").strip()


def listing(host):
    """What lies where the appliance installs, but for what others change by themselves."""
    return host.run(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /root"
        " -o -path /home -o -path /var/log -o -path /var/lib/systemd -o -path /var/cache -o -path /dev \\) -prune"
        " -o -print | sort"
    )


def nothing_lost_nothing_twice(site, caller):
    """Of all that was ever acknowledged each is in the cloud once; nobody was refused for good."""
    assert caller.given_up == []
    assert len(caller.acknowledged) > 0
    site.acknowledged += caller.acknowledged
    expected = len(site.acknowledged)
    site.host.wait_until(lambda: site.counts()["FORWARDED"] >= expected)
    # What was acknowledged and the answer lost on the way is sent again, and recognised.
    assert {state: n for state, n in site.counts().items() if n and state != "DISCARDED"} == {"FORWARDED": expected}
    assert site.orthanc.count() == expected


# --- installing


def test_check_mode_on_a_bare_host_finds_its_way_and_touches_nothing(site):
    before = listing(site.host)

    played = play("site", site.inventory, "--check")

    assert played.ok, played.output[-3000:]
    assert played.changed > 0
    assert listing(site.host) == before


def test_one_playbook_makes_a_bare_host_an_appliance_without_any_network_but_the_administrator_s(site):
    assert "unreachable" in site.host.run("ip route get 203.0.113.9 2>&1", check=False)

    played = play("site", site.inventory)

    assert played.ok, played.output[-3000:]
    for service in SERVICES:
        assert site.host.is_active(f"appliance-{service}.service")
    assert site.host.is_active("appliance.target")
    assert site.host.is_active("appliance-dicom.socket")


def test_a_second_run_changes_nothing(site):
    played = play("site", site.inventory)

    assert played.ok, played.output[-3000:]
    assert played.changes() == []


def test_check_mode_on_an_installed_host_has_nothing_to_change(site):
    played = play("site", site.inventory, "--check", "--diff")

    assert played.ok, played.output[-3000:]
    assert played.changes() == []


def test_nothing_keeps_its_units_from_starting_with_the_host(site):
    """A cycle in the order of the boot makes systemd leave one of its units out, any one."""
    assert "cycle" not in site.host.run("systemd-analyze verify --man=no default.target 2>&1", check=False)


def test_the_verify_playbook_is_content_with_it(site):
    played = play("verify", site.inventory)

    assert played.ok, played.output[-3000:]
    assert played.changed == 0


# --- its work


def test_what_a_scanner_sends_and_what_a_clinic_drops_arrives_de_identified(site, tmp_path):
    with scanner(site, "first") as caller:
        site.host.wait_until(lambda: len(caller.acknowledged) >= 3)
    # The second has its pixels searched and cleaned, with everything that this loads, shut in as the service is.
    dropped = image("dropped")(1), make.us(size=128, patient=PATIENT, patient_id=PATIENT_ID, seed="dropped")
    folder = tmp_path / FOLDER
    folder.mkdir()
    for number, each in enumerate(dropped):
        make.stored(folder / f"{number}.dcm", each)
    (folder / "READY").touch()
    site.host.push(folder, f"/srv/appliance/inbox/clinic-a/{FOLDER}")
    site.host.run(f"chown -R appliance-inbox: /srv/appliance/inbox/clinic-a/{FOLDER}")
    site.acknowledged += [each.SOPInstanceUID for each in dropped]

    nothing_lost_nothing_twice(site, caller)
    for name in site.orthanc.instances():
        assert name not in site.acknowledged, "its UID is a new one"
        body = site.orthanc.file(name).lower()
        assert [word for word in PLANTED if word.encode() in body] == []


def test_the_encrypted_port_takes_from_whoever_shows_a_certificate_of_the_hospital(site):
    encrypted = ssl.create_default_context(cafile=site.authority.certificate)
    encrypted.check_hostname = False  # it is called by its address
    encrypted.load_cert_chain(*site.authority.sign("ct1"))
    data = image("encrypted")(1)

    with Caller(2762, host=site.host.address, tls=encrypted) as caller:
        assert caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1").rejected is None
        assert caller.store(1, CT, data.SOPInstanceUID, make.data_set(data)) == 0

    site.acknowledged.append(data.SOPInstanceUID)


def test_a_modality_that_is_promised_commitment_is_called_back_by_the_shut_in_receiver(site):
    data = image("committed")(1)
    uid = str(data.SOPInstanceUID)
    with Caller(11112, host=site.host.address) as caller:
        assert caller.request({1: (CT, [EXPLICIT])}, calling=b"CT2").rejected is None
        assert caller.store(1, CT, uid, make.data_set(data)) == 0
    site.acknowledged.append(uid)

    assert site.committed.ask(11112, "2.25.1", [(CT, uid)], edge=site.host.address) == 0

    assert site.committed.report("2.25.1").committed == [uid]


def test_a_person_who_logs_in_on_the_status_page_pauses_a_destination_as_the_shut_in_service_lets_him(site):
    site.host.run(f"printf '%s\\n' '{PASSWORD}' | appliance operator add alice")
    site.host.push(HERE / "at_page.py", "/opt/at_page.py")

    told = site.host.run(f"/opt/appliance/current/venv/bin/python /opt/at_page.py alice {PASSWORD} research")

    site.host.run("rm /opt/at_page.py")
    assert told == "&#x27;research&#x27; is paused.\n"
    (found,) = json.loads(site.host.run("appliance destination list --json"))["destinations"]
    assert found["paused_by"] == "alice"
    site.host.run("appliance destination resume research")
    audited = json.loads(site.host.run("appliance audit show --json"))["lines"]
    assert [(line["who"], line["what"]) for line in audited][-3:-1] == [
        ("alice", "login"),
        ("alice", "ask forward: pause"),
    ]


def test_the_hospital_s_receiver_hears_of_what_came_and_left_from_the_shut_in_watch_service(site):
    def told(event):
        bodies = [valid(each.partition(BOM)[2]) for each in site.auditor.arrived]
        of_it = [each for each in bodies if each.find(".//EventID").get("csd-code") == event]
        return sum(int(count.get("NumberOfInstances")) for each in of_it for count in each.iter("SOPClass"))

    assert until(lambda: told("110104") >= len(site.acknowledged) and told("110106") >= len(site.acknowledged))
    text = b"".join(site.auditor.seen).lower()
    assert b"110120" in text, "it started"
    assert [word for word in PLANTED if word.encode() in text] == []
    assert [uid for uid in site.acknowledged if uid.encode() in text] == []
    said = site.host.run("appliance doctor --json", check=False)
    [found] = [each for each in json.loads(said)["checks"] if each["check"] == "audit messages"][:1]
    assert found["severity"] in ("ok", "warning"), "its certificates end in two days"


def test_a_caller_from_elsewhere_is_refused_by_firewall_and_socket(site):
    elsewhere = "203.0.113.77"
    site.host.run(f"ip route add {elsewhere} via {site.host.gateway}")
    link = json.loads(_here("ip", "-json", "route", "get", site.host.address))[0]["dev"]
    _here("ip", "address", "add", f"{elsewhere}/32", "dev", link)

    try:
        assert not _reached(site.host.address, elsewhere)
        site.host.run("systemctl stop nftables-appliance")
        assert not _reached(site.host.address, elsewhere)
        site.host.run("systemctl start nftables-appliance")
        assert _reached(site.host.address, site.host.gateway)
    finally:
        _here("ip", "address", "del", f"{elsewhere}/32", "dev", link)


# --- how it is shut in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_calls_every_service_well_shut_in(site, service):
    said = site.host.run(f"systemd-analyze security --no-pager appliance-{service}.service")

    assert float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1]) <= MOST_EXPOSED, said


READS = (KEY, f"{MAPPING}/mapping.db", f"{INSIDE}/journal.db", f"{INSIDE}/received", f"{OUTSIDE}/outbox.db")
TIMED = ("backup", "backup-verify", "purge", "reconcile", "audit-check")
MAY_READ = {
    "receive": {f"{INSIDE}/journal.db", f"{INSIDE}/received"},
    "inbox": {f"{INSIDE}/journal.db", f"{INSIDE}/received"},
    "deidentify": set(READS) - {KEY},
    "forward": {f"{OUTSIDE}/outbox.db"},
    "purge-inside": {f"{INSIDE}/journal.db", f"{INSIDE}/received"},
    "purge-outside": {f"{OUTSIDE}/outbox.db"},
    "watch": {f"{INSIDE}/journal.db", f"{OUTSIDE}/outbox.db"},
}
WRITES = (
    *("/", "/etc", "/etc/appliance", "/usr/lib", "/opt/appliance", "/opt/appliance/current/venv", "/home", "/root"),
    *("/srv", "/var/lib", "/var/lib/appliance", "/var/log", "/run", "/dev/shm", "/srv/appliance/inbox", TEMPORARY),
    *(INSIDE, f"{INSIDE}/received", OUTSIDE, f"{OUTSIDE}/ready", MAPPING, "/var/lib/appliance/audit"),
    *("/var/lib/appliance/requests/deidentify", "/var/lib/appliance/requests/forward"),
)
ASKS = {"deidentify": "/var/lib/appliance/requests/deidentify", "forward": "/var/lib/appliance/requests/forward"}
# The temporary folder is the service's own, and gone with it.
MAY_WRITE = {
    "receive": {INSIDE, f"{INSIDE}/received"},
    "inbox": {INSIDE, f"{INSIDE}/received", "/srv/appliance/inbox"},
    "deidentify": {INSIDE, f"{INSIDE}/received", OUTSIDE, f"{OUTSIDE}/ready", MAPPING, *ASKS.values()},
    "forward": {OUTSIDE, f"{OUTSIDE}/ready", ASKS["forward"]},
    "purge-inside": {INSIDE, f"{INSIDE}/received", ASKS["deidentify"]},
    "purge-outside": {OUTSIDE, f"{OUTSIDE}/ready", ASKS["forward"]},
    "watch": {INSIDE, OUTSIDE, f"{OUTSIDE}/ready", "/var/lib/appliance/audit", *ASKS.values()},
}
MAY_CALL_ITSELF = {"forward", "watch"}  # this machine's loopback, where Orthanc is


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_open_write_and_reach_what_is_its_own_and_nothing_else(site, service):
    loopback, denied = f"127.0.0.1:{site.orthanc.port}", f"{site.host.address}:{site.orthanc.port}"

    # It asked for storage commitment, so it gets reports; and the receiver of audit messages is there.
    peer = f"{site.host.gateway}:{site.committed.port}"
    could = probe(site.host, service, {"read": READS, "write": WRITES, "connect": [loopback, denied, peer]})

    done = {act for act, outcome in could.items() if outcome == "done"}
    assert done == {
        *(f"read {path}" for path in MAY_READ[service]),
        *(f"write {folder}" for folder in {*MAY_WRITE[service], TEMPORARY, "/dev/shm"}),
        *([f"connect {loopback}"] if service in MAY_CALL_ITSELF else []),
        *([f"connect {peer}"] if service in ("receive", "watch") else []),
    }


def probe(host, service, asked):
    """Run probe.py in the place of a service: the same unit, but for what it starts."""
    host.push(HERE / "probe.py", "/opt/probe.py")
    words = json.dumps({kind: list(which) for kind, which in asked.items()}).replace('"', '\\"')
    host.run(
        f"cd /etc/systemd/system && sed -e 's/^Type=.*/Type=oneshot/; /^Restart=/d; /^WatchdogSec=/d; /^PartOf=/d;"
        f" /^Requires=/d; /^After=/d' -e 's|^ExecStart=.*|ExecStart=/usr/bin/python3 /opt/probe.py \"{_sed(words)}\"|'"
        f" appliance-{service}.service > /run/systemd/system/appliance-probe.service"
        f" && rm -rf /run/systemd/system/appliance-probe.service.d"
        f" && if test -d appliance-{service}.service.d; then cp -r appliance-{service}.service.d"
        f" /run/systemd/system/appliance-probe.service.d; fi"
        f" && systemctl daemon-reload && systemctl start appliance-probe.service"
    )
    said = host.run("journalctl -b --no-pager -o cat -u appliance-probe _COMM=python3 | tail -n 1")
    host.run("rm -r /opt/probe.py /run/systemd/system/appliance-probe.service*; systemctl daemon-reload")
    return json.loads(said)


# --- under load


def test_a_restart_of_everything_under_load_loses_nobody(site):
    with scanner(site, "restart") as caller:
        site.host.wait_until(lambda: len(caller.acknowledged) >= 3)
        site.host.run("systemctl restart appliance.target")
        sent = len(caller.acknowledged)
        site.host.wait_until(lambda: len(caller.acknowledged) >= sent + 3)

    nothing_lost_nothing_twice(site, caller)
    assert caller.refused == 0, "who called while it restarted waited in the socket"


def test_a_stop_of_everything_under_load_closes_the_ports_until_the_start(site):
    with scanner(site, "stop") as caller:
        site.host.wait_until(lambda: len(caller.acknowledged) >= 3)
        site.host.run("systemctl stop appliance.target")
        site.host.wait_until(lambda: not site.host.is_active("appliance-dicom.socket"))
        site.host.run("systemctl start appliance.target")
        sent = len(caller.acknowledged)
        site.host.wait_until(lambda: len(caller.acknowledged) >= sent + 3)

    nothing_lost_nothing_twice(site, caller)


def test_a_reload_under_load_takes_a_change_over_and_a_bad_file_not_and_loses_nobody(site):
    config = "/etc/appliance/appliance.yaml"
    with scanner(site, "reload") as caller:
        site.host.wait_until(lambda: len(caller.acknowledged) >= 3)
        receiver = site.host.run("systemctl show -p MainPID --value appliance-receive")
        site.host.run(
            f"cp {config} /run/good.yaml; echo 'nonsense: 1' >> {config}; systemctl reload 'appliance-*.service'"
        )
        site.host.wait_until(lambda: site.host.journal().count("configuration refused") >= len(SERVICES))
        site.host.run(f"sed 's/^scp:/scp:\\n  max_associations: 63/' /run/good.yaml > {config}")
        site.host.run("systemctl reload 'appliance-*.service'")
        site.host.wait_until(lambda: "configuration taken over" in site.host.journal())
        site.host.run(f"cp /run/good.yaml {config}; systemctl reload appliance-receive")
        for service in SERVICES:  # those that hold nobody's association start anew
            site.host.wait_until(lambda service=service: site.host.is_active(f"appliance-{service}.service"))
        sent = len(caller.acknowledged)
        site.host.wait_until(lambda: len(caller.acknowledged) > sent + 2)

    assert site.host.run("systemctl show -p MainPID --value appliance-receive") == receiver
    nothing_lost_nothing_twice(site, caller)


def test_an_upgrade_under_load_loses_nobody(site):
    with scanner(site, "upgrade") as caller:
        played = play("upgrade", site.inventory, variables={"appliance_bundle": str(site.bundles["next"])})

    assert played.ok, played.output[-3000:]
    assert release(site) == "1.0.1"
    assert '"version": "1.0.1"' in site.host.run(_ASK_LIVE)
    nothing_lost_nothing_twice(site, caller)


def test_a_release_that_does_not_come_up_is_taken_back_under_load(site):
    with scanner(site, "broken") as caller:
        played = play(
            "upgrade",
            site.inventory,
            variables={"appliance_bundle": str(site.bundles["broken"]), "appliance_start_s": 6},
        )

    assert not played.ok
    assert "Release 1.0.1 works again" in played.output
    assert release(site) == "1.0.1"
    nothing_lost_nothing_twice(site, caller)


def test_a_rollback_under_load_loses_nobody(site):
    with scanner(site, "rollback") as caller:
        played = play("rollback", site.inventory, variables={"appliance_version": "1.0.0"})

    assert played.ok, played.output[-3000:]
    assert '"version": "1.0.0"' in site.host.run(_ASK_LIVE)
    nothing_lost_nothing_twice(site, caller)


def test_two_releases_are_kept(site):
    assert len(site.host.run("ls /opt/appliance/releases").split()) == 2


# --- trouble


def test_a_killed_service_comes_back_and_loses_nothing(site):
    with scanner(site, "killed") as caller:
        for service in SERVICES:
            site.host.run(f"systemctl kill --signal=KILL appliance-{service}.service")
        for service in SERVICES:
            site.host.wait_until(lambda service=service: site.host.is_active(f"appliance-{service}.service"))
        sent = len(caller.acknowledged)
        site.host.wait_until(lambda: len(caller.acknowledged) > sent)

    nothing_lost_nothing_twice(site, caller)


def test_a_crash_of_the_host_and_a_reboot_lose_nothing(site):
    with scanner(site, "crash") as caller:
        site.host.wait_until(lambda: len(caller.acknowledged) >= 3)
        site.host.crash()
        site.orthanc.kill()  # its network is gone with the host
        site.host.boot()
        site.orthanc.within = site.host.within()
        site.orthanc.start()
        site.host.wait_until(lambda: all(site.host.is_active(f"appliance-{each}.service") for each in SERVICES))
        sent = len(caller.acknowledged)
        site.host.wait_until(lambda: len(caller.acknowledged) > sent)

    nothing_lost_nothing_twice(site, caller)


def test_a_backup_brings_a_lost_mapping_back_with_the_same_pseudonyms(site, tmp_path):
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"{identity}\n")
    patients = {each["MainDicomTags"]["PatientID"] for each in site.orthanc.get("/patients?expand")}

    backed_up = play(
        "backup",
        site.inventory,
        variables={"appliance_backup_recipient": str(identity.to_public()), "appliance_backup_folder": str(tmp_path)},
    )
    assert backed_up.ok, backed_up.output[-3000:]
    (backup,) = tmp_path.glob("*.age")
    site.host.run(f"systemctl stop appliance-deidentify && rm {MAPPING}/mapping.db*")
    restored = play(
        "restore",
        site.inventory,
        variables={"appliance_backup": str(backup), "appliance_identity": str(tmp_path / "identity")},
    )
    assert restored.ok, restored.output[-3000:]
    with scanner(site, "restored") as caller:
        site.host.wait_until(lambda: caller.acknowledged)

    nothing_lost_nothing_twice(site, caller)
    assert {each["MainDicomTags"]["PatientID"] for each in site.orthanc.get("/patients?expand")} == patients
    assert site.host.run(f"ls {MAPPING} | grep -c restore; true").strip() == "0"


def test_the_timers_make_a_backup_and_look_at_it(site):
    for timer in ("appliance-backup", "appliance-backup-verify"):
        assert site.host.is_active(f"{timer}.timer")
        site.host.run(f"systemctl start {timer}.service")

    told = json.loads(site.host.run("appliance backup list --json"))["backups"]
    metrics = site.host.run("cat /var/lib/appliance/inside/metrics/backup*.prom")

    assert len(told) == 1
    assert site.host.run("stat -c '%U %a' /var/backups/appliance/*.age").split() == ["appliance-backup", "600"]
    assert "appliance_backups_damaged 0.0" in metrics
    assert "appliance_backup_timestamp_seconds 1." in metrics


def test_the_timers_of_the_night_are_listed_and_do_what_they_say(site):
    listed = site.host.run("systemctl list-timers --all --no-pager --plain 'appliance-*'")
    assert {f"appliance-{timer}.timer" for timer in TIMED} <= set(listed.split())

    site.host.run("systemctl start appliance-purge.service appliance-reconcile.service appliance-audit-check.service")

    said = site.host.run(
        "journalctl --no-pager -o cat -u appliance-purge -u appliance-reconcile -u appliance-audit-check"
    )
    assert "Originals, discarded images, reports and rows that are over their days are being removed." in said
    assert "Rows of deliveries that are over their days are being forgotten." in said
    assert "Every destination with a url is being asked." in said
    assert "The audit is whole" in said
    asked = [line["what"] for line in json.loads(site.host.run("appliance audit show --json"))["lines"]]
    assert {"ask purge-inside: purge", "ask purge-outside: purge", "ask forward: reconcile"} <= set(asked)


@pytest.mark.parametrize("service", TIMED)
def test_what_timers_start_is_shut_in_as_the_services_are(site, service):
    shown = site.host.run(f"systemd-analyze security --no-pager appliance-{service}.service")

    assert float(re.search(r"exposure level for .*: ([0-9.]+)", shown)[1]) <= MOST_EXPOSED


def test_a_backup_makes_a_second_bare_host_the_same_appliance(site, tmp_path, request):
    """The first host is gone; the second has nothing but the inventory, the backup and the hospital's key."""
    fetched = play("backup", site.inventory, variables={"appliance_backup_folder": str(tmp_path)})
    assert fetched.ok, fetched.output[-3000:]
    (backup,) = tmp_path.glob("*.age")
    known = json.loads(site.host.run("appliance queue --json"))["states"]
    patients = {each["MainDicomTags"]["PatientID"] for each in site.orthanc.get("/patients?expand")}
    suite = request.node.callspec.params["site"]
    (tmp_path / "hosts").mkdir()
    with Booted(tmp_path / "hosts", suite, name="second") as host:
        cloud = Orthanc(tmp_path / "cloud", user="edge", password=PASSWORD, within=host.within(), address=host.address)
        with cloud:
            inventory = json.loads(site.inventory.read_text())["appliance"]["vars"]
            inventory["appliance_config"]["destinations"][0]["url"] = f"http://127.0.0.1:{cloud.port}/dicom-web"
            played = play(
                "site",
                host.inventory(inventory),
                variables={"appliance_backup": str(backup), "appliance_identity": str(site.identity)},
            )
            assert played.ok, played.output[-3000:]
            states = json.loads(host.run("appliance queue --json"))["states"]
            assert {name: n for name, n in states.items() if n} == {name: n for name, n in known.items() if n}
            with SteadyCaller(host.address, 11112, image("second"), calling=b"CT1") as caller:
                host.wait_until(lambda: cloud.count() >= 1)
            assert caller.given_up == []
            assert {each["MainDicomTags"]["PatientID"] for each in cloud.get("/patients?expand")} <= patients
            assert host.run("ls /run/appliance-restore 2>&1; true").endswith("No such file or directory\n")
            again = play("site", host.inventory(inventory))
            assert again.ok, again.output[-3000:]
            assert again.changes() == []


def test_a_phantom_goes_the_whole_way_through_the_shut_in_services(site):
    before = site.orthanc.count()

    said = site.host.run("appliance doctor --through --json", check=False)

    way = [each for each in json.loads(said)["checks"] if each["check"].startswith("through")]
    assert {each["severity"] for each in way} == {"ok"}, way
    assert "holds none of the phantom's identifiers" in way[2]["what"]
    assert site.orthanc.count() == before + 1, "nobody deletes there for us"


def test_no_patient_is_in_the_journal_of_the_host(site):
    journal = site.host.run("journalctl --no-pager -o json --all").lower()

    assert "deidentified" in journal
    assert [word for word in PLANTED if word in journal] == []


# --- the end


def test_uninstalling_leaves_the_data_and_nothing_else(site):
    site.host.run("systemctl stop appliance.target")
    data = "find /var/lib/appliance /etc/appliance /srv/appliance -type f | sort"
    before = site.host.run(data).split()

    played = play("uninstall", site.inventory)

    assert played.ok, played.output[-3000:]
    assert set(before) - set(site.host.run(data).split()) == {"/etc/appliance/firewall.nft"}
    left = [line for line in listing(site.host).split() if "appliance" in line]
    kept = (
        *("/var/lib/appliance", "/etc/appliance", "/srv/appliance", "/var/backups/appliance"),
        "/usr/lib/sysusers.d/appliance.conf",
    )
    assert [path for path in left if not path.startswith(kept)] == []
    assert site.host.run("nft list tables").find("appliance") == -1
    assert "appliance" not in site.host.run("systemctl list-units --all --no-legend --plain", check=False)


_ASK_LIVE = "python3 -c \"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9112/health/live').read().decode())\""


def _sed(text):
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("&", "\\&")


def _here(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _reached(address, source):
    try:
        socket.create_connection((address, 11112), timeout=3, source_address=(source, 0)).close()
    except OSError:
        return False
    return True
