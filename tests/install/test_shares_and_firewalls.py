"""What a host has beside the appliance: shares that clinics drop into, and firewalls of its own."""

import socket

import pyrage
import pytest

from tests.install.conftest import PASSWORD, SUITES, variables
from tests.make import make
from tests.make.certificates import Authority
from tests.peers.booted import Booted, play
from tests.peers.orthanc import Orthanc

A, B = "drop-4711", "drop-0815"


class Shared:
    """A host with Samba, two clinics, and an Orthanc in its own network."""

    def __init__(self, host, orthanc, said):
        self.host, self.orthanc, self.said = host, orthanc, said

    def play(self, **more):
        return play("site", self.host.inventory(self.said | more))

    def smb(self, clinic, password, share, command):
        """Have a clinic do something in a share; return status and words."""
        told = self.host.run(
            f"cd /run && smbclient //127.0.0.1/{share} -m SMB3 -U 'inbox-{clinic}%{password}' -c '{command}' 2>&1;"
            " echo =$?",
            check=False,
        )
        words, _, status = told.rpartition("=")
        return int(status), words


@pytest.fixture(scope="module", params=SUITES)
def shared(tmp_path_factory, request, bundles):
    folder = tmp_path_factory.mktemp("shared")
    (folder / "hosts").mkdir()
    with Booted(folder / "hosts", request.param, "shared", packages="samba,smbclient,ufw,firewalld") as host:
        host.run("systemctl disable --now firewalld")
        with Orthanc(
            folder / "orthanc", user="edge", password=PASSWORD, within=host.within(), address=host.address
        ) as orthanc:
            hospital = str(pyrage.x25519.Identity.generate().to_public())
            said = variables(bundles["now"], orthanc.port, Authority(folder / "tls"), hospital)
            said["appliance_config"]["inbox"]["clinics"]["clinic-b"] = {"source": "clinic_b"}
            said |= {
                "appliance_firewall": "none",
                "appliance_shares": [{"clinic": "clinic-a", "networks": ["127.0.0.0/8"]}, {"clinic": "clinic-b"}],
                "appliance_share_passwords": {"clinic-a": A, "clinic-b": B},
            }
            shared = Shared(host, orthanc, said)
            played = shared.play()
            assert played.ok, played.output[-3000:]
            yield shared


def test_a_second_run_changes_no_share(shared):
    played = shared.play()

    assert played.ok, played.output[-3000:]
    assert played.changes() == []


def test_what_a_clinic_drops_into_its_share_is_delivered_and_its_receipt_is_read_there(shared, tmp_path):
    image = make.stored(tmp_path / "image.dcm", make.ct(patient="Doe^Jane", patient_id="P-1"))
    shared.host.push(image, "/run/image.dcm")

    status, told = shared.smb("clinic-a", A, "clinic-a", "mkdir ct; cd ct; put image.dcm")

    assert status == 0, told
    shared.host.wait_until(lambda: shared.orthanc.count() == 1)
    shared.host.wait_until(
        lambda: "delivered" in shared.host.run("cat /srv/appliance/inbox/clinic-a/_receipts/*", check=False)
    )
    assert shared.smb("clinic-a", A, "clinic-a", "cd _receipts; prompt; mget *")[0] == 0
    assert "delivered" in shared.host.run("cat /run/*ct*.txt", check=False)


def test_a_clinic_sees_no_other_clinic_s_share_and_nobody_without_a_password_or_of_old_protocols_any(shared):
    assert "ACCESS_DENIED" in shared.smb("clinic-b", B, "clinic-a", "ls")[1]
    assert "ACCESS_DENIED" in shared.smb("clinic-a", A, "clinic-b", "ls")[1]
    assert "LOGON_FAILURE" in shared.smb("clinic-a", "wrong", "clinic-a", "ls")[1]
    old = shared.host.run(f"smbclient //127.0.0.1/clinic-a -m SMB2_10 -U 'inbox-clinic-a%{A}' -c ls 2>&1", check=False)
    assert "NOT_SUPPORTED" in old
    guest = shared.host.run("smbclient //127.0.0.1/clinic-a -m SMB3 -N -c ls 2>&1", check=False)
    assert "ACCESS_DENIED" in guest or "LOGON_FAILURE" in guest


def test_what_a_clinic_sends_is_encrypted_though_it_did_not_ask_for_that(shared):
    visit = f"smbclient //127.0.0.1/clinic-a -m SMB3 --client-protection=sign -U inbox-clinic-a%{A}"
    shared.host.run(f"systemd-run --collect --unit=visitor sh -c '(sleep 100; echo quit) | {visit}'")

    shared.host.wait_until(lambda: "clinic-a" in shared.host.run("smbstatus --shares"))

    assert "AES" in shared.host.run("smbstatus --shares")
    shared.host.run("systemctl stop visitor")


def test_a_link_that_leads_out_of_a_share_is_not_followed(shared):
    shared.host.run("ln -s /var/lib/appliance /srv/appliance/inbox/clinic-a/out")

    status, told = shared.smb("clinic-a", A, "clinic-a", "cd out; ls")
    shared.host.run("rm /srv/appliance/inbox/clinic-a/out")

    assert status != 0 or "inside" not in told


def test_a_share_for_a_clinic_that_is_not_configured_is_refused_and_the_others_stay(shared):
    played = shared.play(appliance_shares=[{"clinic": "clinic-x"}])

    assert not played.ok
    assert "names a clinic that appliance_config.inbox.clinics does not" in played.output
    assert shared.smb("clinic-a", A, "clinic-a", "ls")[0] == 0


# --- firewalls of the host's own --------------------------------------------------------------------------------------


def reached(host, port):
    """Whether this machine gets a connection."""
    try:
        socket.create_connection((host.address, port), timeout=2).close()
    except OSError:
        return False
    return True


SWITCHED = {
    "ufw": ("ufw allow 22/tcp && ufw --force enable", "ufw --force disable"),
    "firewalld": ("systemctl start firewalld", "systemctl stop firewalld"),
}


@pytest.mark.parametrize("firewall", SWITCHED)
def test_a_firewall_of_the_host_s_own_lets_the_modalities_in_and_nobody_else(shared, firewall):
    on, off = SWITCHED[firewall]
    shared.host.run(on)
    try:
        # It is closed before the playbook; firewalld says that it is started a little before its rules are there.
        shared.host.wait_until(lambda: not reached(shared.host, 11112))

        elsewhere = shared.play(appliance_firewall=firewall, appliance_modality_networks=["203.0.113.0/24"])
        assert elsewhere.ok, elsewhere.output[-3000:]
        assert not reached(shared.host, 11112), "we are not of that network"
        played = shared.play(appliance_firewall=firewall)
        again = shared.play(appliance_firewall=firewall)

        assert played.ok, played.output[-3000:]
        assert again.changes() == []
        assert reached(shared.host, 11112)
        assert not reached(shared.host, 9112)
    finally:
        shared.host.run(off)
