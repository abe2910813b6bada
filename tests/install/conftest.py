"""One booted host for the story that these tests tell in their order; bundles that are made once.

APPLIANCE_SUITES says which Debian: bookworm, or bookworm,trixie. The first time a suite's root file system is made,
which takes a minute or two, and kept in testhost's cache.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.make.certificates import Authority
from tests.peers.audit_receiver import AuditReceiver
from tests.peers.booted import ROOT, Booted, play, testhost
from tests.peers.committed import Modality
from tests.peers.fault_proxy import FaultProxy
from tests.peers.orthanc import Orthanc, orthanc_binary
from tests.peers.troubled import INBOX, NAME, SHARE, Troubled
from tools import bundle

SUITES = os.environ.get("APPLIANCE_SUITES", "bookworm").split(",")
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
VERSIONS = {"now": "1.0.0", "next": "1.0.1", "broken": "1.0.2"}
PASSWORD = "sesame-of-the-test"


@dataclass
class Site:
    """The host, the cloud in its network, and what was sent so far.

    bundles       name -> file; acknowledged: SOP Instance UIDs that were answered with Success or taken
    authority     signs for callers of the encrypted port
    committed     a modality on this machine that is promised storage commitment
    auditor       a receiver of audit messages on this machine
    identity      file with the hospital's private key: it opens the backups
    """

    host: Booted
    orthanc: Orthanc
    bundles: dict[str, Path]
    inventory: Path
    authority: Authority
    identity: Path
    committed: Modality
    auditor: AuditReceiver
    acknowledged: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """State -> how many, of the host's queue."""
        return json.loads(self.host.run("appliance queue --json"))["states"]


@pytest.fixture(scope="package")
def wheels(tmp_path_factory, request) -> Path:
    """What pip fetches, once, whatever bundles are made of it."""
    testhost()
    orthanc_binary()
    folder = tmp_path_factory.mktemp("wheels")
    for suite in SUITES:
        try:
            bundle.download(ROOT / "requirements.lock", folder, PYTHON[suite])
        except subprocess.CalledProcessError:
            pytest.skip("pip could not fetch the wheels for a bundle")
    return folder


@pytest.fixture(scope="package")
def bundles(tmp_path_factory, wheels) -> dict[str, Path]:
    """Three releases: now, next, and one whose receiver does not start."""
    folder = tmp_path_factory.mktemp("bundles")
    broken = tmp_path_factory.mktemp("broken") / "source"
    shutil.copytree(ROOT, broken, ignore=lambda where, names: [n for n in names if Path(where) == ROOT and n[0] == "."])
    roles = broken / "appliance/services/receive.py"
    roles.write_text(roles.read_text() + "\nraise RuntimeError\n")
    pythons = [PYTHON[suite] for suite in SUITES]
    return {
        name: bundle.make(
            folder, pythons=pythons, version=version, root=broken if name == "broken" else ROOT, wheels=wheels
        )
        for name, version in VERSIONS.items()
    }


def variables(bundle_file: Path, port: int, authority: Authority, hospital: str) -> dict[str, Any]:
    """What an inventory says of this site."""
    certificate, key = authority.sign("edge")
    return {
        "appliance_tls": {"certificate": str(certificate), "key": str(key), "client_ca": str(authority.certificate)},
        "appliance_bundle": str(bundle_file),
        "appliance_config": {
            "site": "st-elsewhere",
            "scp": {"ae_title": "EDGE", "peers": [{"ae_title": "CT1", "source": "CT1"}]},
            "inbox": {"quiet_s": 1, "clinics": {"clinic-a": {"source": "clinic_a"}}},
            "destinations": [
                {
                    "name": "research",
                    "url": f"http://127.0.0.1:{port}/dicom-web",
                    "existing": "kept",
                    "auth": {
                        "kind": "basic",
                        "user": "edge",
                        "password_file": "/etc/appliance/credentials/research.password",
                    },
                }
            ],
            "spool": {"reserve_gb": 0.1},
            "watch": {"login": {"passwords": "/etc/appliance/watch/operators"}},
            "backup": {"folder": "/var/backups/appliance", "recipients": [hospital]},
        },
        "appliance_secrets": {"research.password": PASSWORD},
        "appliance_destination_networks": ["127.0.0.1"],
        "appliance_modality_networks": ["198.18.0.0/15"],
        "appliance_firewall": "nftables",
        "appliance_require_time_sync": False,  # nothing sets this machine's clock from inside
        "appliance_studies_per_day": 1,
        "appliance_study_mb": 10,
    }


def told(auditor: AuditReceiver, address: str, authority: Authority, config: dict[str, Any]) -> dict[str, Any]:
    """What an inventory says of a receiver of audit messages, which ``config`` names from then on."""
    certificate, key = authority.sign("audit")
    files = {"ca.pem": authority.certificate, "audit.pem": certificate, "audit.key": key}
    names = {"ca": "ca.pem", "certificate": "audit.pem", "key": "audit.key"}
    paths = {which: f"/etc/appliance/watch/{name}" for which, name in names.items()}
    config["audit"] = {"syslog": {"host": address, "port": auditor.port, "gather_s": 2, **paths}}
    return {
        "appliance_watch_files": {name: str(file) for name, file in files.items()},
        "appliance_message_networks": [address],
    }


@pytest.fixture(scope="package", params=SUITES)
def site(tmp_path_factory, request, bundles):
    """A bare host, and an Orthanc that only its own network knows."""
    with Booted(tmp_path_factory.mktemp("hosts"), request.param) as host:
        orthanc = Orthanc(
            tmp_path_factory.mktemp("orthanc"),
            user="edge",
            password=PASSWORD,
            within=host.within(),
            address=host.address,
        )
        with orthanc:
            authority = Authority(tmp_path_factory.mktemp("tls"))
            hospital = pyrage.x25519.Identity.generate()
            identity = tmp_path_factory.mktemp("hospital") / "identity"
            identity.write_text(f"{hospital}\n")
            said = variables(bundles["now"], orthanc.port, authority, str(hospital.to_public()))
            shown = authority.sign("auditor", host=host.gateway)
            with (
                Modality("CT2", host=host.gateway) as committed,
                AuditReceiver(tls=shown, client_ca=authority.certificate, host=host.gateway) as auditor,
            ):
                said |= told(auditor, host.gateway, authority, said["appliance_config"])
                granted = {"promise": "in-custody", "port": committed.port}
                peer = {"ae_title": committed.ae_title, "address": committed.host, "commitment": granted}
                said["appliance_config"]["scp"]["peers"].append(peer)
                yield Site(host, orthanc, bundles, host.inventory(said), authority, identity, committed, auditor)


@pytest.fixture(scope="package", params=SUITES)
def troubled(tmp_path_factory, request, bundles):
    """An installed host with a small disk for its state and a share for its inbox, warm; what is its before is noted.

    Its destination is an Orthanc on this machine behind a front, which the host finds by name; so it loses the name,
    the way, the answer or the certificate, and the archive stays.
    """
    folder = tmp_path_factory.mktemp("troubled")
    authority = Authority(folder / "tls")
    (folder / "hosts").mkdir()
    with (
        Booted(folder / "hosts", request.param, name="troubled") as host,
        Orthanc(folder / "orthanc") as orthanc,
        FaultProxy(orthanc.root, host.gateway, *authority.sign("pacs", host=NAME)) as front,
    ):
        host.push(authority.certificate, "/etc/ssl/hospital.pem")
        host.run(
            f"chmod 644 /etc/ssl/hospital.pem && echo '{host.gateway} {NAME}' >> /etc/hosts"
            " && mkdir -p /var/lib/appliance && mount -t tmpfs -o size=700m,mode=755 state /var/lib/appliance"
            f" && mkdir -p {SHARE} {INBOX} && mount --bind {SHARE} {INBOX}"
        )
        said = variables(bundles["now"], front.port, authority, str(pyrage.x25519.Identity.generate().to_public()))
        config = said["appliance_config"]
        config["scp"] |= {"idle_s": 5}
        config["destinations"] = [
            {"name": "research", "url": f"https://{NAME}:{front.port}/dicom-web", "ca": "/etc/ssl/hospital.pem"}
        ]
        config["destinations"][0]["timeout_s"] = 2
        said |= {"appliance_secrets": {}, "appliance_destination_networks": [host.gateway]}
        played = play("site", host.inventory(said))
        assert played.ok, played.output[-3000:]
        found = Troubled(host, orthanc, front, authority)
        with found.load("warm") as caller:
            host.wait_until(lambda: len(caller.acknowledged) >= 12)
        found.settles()
        found.before = found.held()
        yield found
