"""What hospital IT types first: config example, config check and doctor, on a good set-up and on broken ones."""

import json
import socket
import subprocess
import sys

import pytest

from tests.make.certificates import Authority
from tests.peers.appliance_process import REPOSITORY, Appliance
from tests.peers.nginx import Nginx
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

# What is wrong -> the line (from the second of the example on) and words of the message.
WRONG = {
    "an unknown key": ("scp:\n  ae_titel: EDGE\n", 4, "ae_titel"),
    "an unknown section": ("sco:\n  port: 104\n", 3, "sco"),
    "a port that cannot be": ("scp:\n  port: 111112\n", 4, "port must be 0 to 65535"),
    "a word for a number": ("spool:\n  reserve_gb: much\n", 4, "reserve_gb"),
    "a destination without a place": ("destinations:\n  - name: research\n", 4, "give either url or folder"),
    "a secret in the file": ("destinations:\n  - name: r\n    url: http://u:p@h/d\n", 5, "must not hold a user"),
    "a tab": ("scp:\n\tport: 104\n", 4, ""),
    "a key said twice": ("scp: {port: 104}\nscp: {port: 105}\n", 4, "scp"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_config_check_names_file_line_and_what_is_wrong(tmp_path, wrong):
    text, line, words = WRONG[wrong]
    edge = Appliance(tmp_path, [{"name": "shelf", "folder": "./shelf"}])
    rest = "" if "destinations" in text else "destinations: [{name: shelf, folder: ./shelf}]\n"
    edge.file.write_text(f"site: st-elsewhere\nstate: ./var\n{text}{rest}")

    for command in (["config", "check"], ["run"]):
        ran = edge.cli(*command)

        assert ran.returncode == 1, ran.stdout
        assert f"{edge.file} line {line}" in ran.stdout + ran.stderr
        assert words in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_configuration_that_is_not_there_is_said_so(tmp_path):
    edge = Appliance(tmp_path, [{"name": "shelf", "folder": "./shelf"}])
    edge.file.unlink()

    ran = edge.cli("config", "check")

    assert ran.returncode == 1
    assert str(edge.file) in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_example_is_a_configuration_that_passes_the_check(tmp_path):
    edge = Appliance(tmp_path, [{"name": "shelf", "folder": "./shelf"}])
    command = [sys.executable, "-m", "appliance.cli", "config", "example"]
    edge.file.write_bytes(subprocess.run(command, capture_output=True, check=True, cwd=REPOSITORY).stdout)

    assert edge.cli("config", "check").returncode == 0


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A site that runs, its destination an Orthanc behind TLS."""
    folder = tmp_path_factory.mktemp("good")
    authority = Authority(folder / "ca")
    with (
        Orthanc(folder / "orthanc") as orthanc,
        Nginx(folder / "nginx", behind=orthanc.root, tls=authority.sign("front")) as front,
        Appliance(
            folder / "edge",
            [{"name": "cloud", "url": front.dicomweb, "ca": str(authority.certificate)}],
        ) as edge,
    ):
        yield edge


def _findings(edge):
    ran = edge.cli("doctor", "--json")
    found = json.loads(ran.stdout)
    return ran.returncode, found, {each["check"]: each for each in found["checks"] if each["severity"] != "ok"}


def test_doctor_finds_nothing_wrong_with_a_site_that_runs(good):
    status, found, wrong = _findings(good)

    assert (status, found["worst"], wrong) == (0, "ok", {})
    assert {each["check"] for each in found["checks"]} >= {
        "configuration", "rules", "key", "disk", "ports", "inbox", "destination cloud", "services",
    }  # fmt: skip


def test_config_check_of_it_is_fine(good):
    ran = good.cli("config", "check")

    assert ran.returncode == 0
    assert str(good.file) in ran.stdout


def test_doctor_finds_everything_that_is_wrong_with_a_broken_site_and_what_to_do(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        edge = Appliance(
            tmp_path / "edge",
            [{"name": "down", "url": f"http://127.0.0.1:{free_port()}/dicom-web"}],
            key=None,
            scp={"port": other.getsockname()[1]},
            spool={"reserve_gb": 1_000_000},
            inbox={"path": "./not-there"},
        )

        status, found, wrong = _findings(edge)

    assert (status, found["worst"]) == (2, "error")
    assert {check for check, each in wrong.items() if each["severity"] == "error"} == {
        "key", "disk", "ports", "destination down",
    }  # fmt: skip
    assert {check for check, each in wrong.items() if each["severity"] == "warning"} >= {"inbox", "services"}
    assert "does not exist; services do not start" in wrong["key"]["what"]
    assert f"scp.port {edge.settings['scp']['port']}" in wrong["ports"]["what"]
    assert all(each["do"] for each in wrong.values())


def test_doctor_says_of_rules_that_are_wrong_where(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("Profile: Basic\nOptoins: []\n")
    edge = Appliance(tmp_path / "edge", [{"name": "shelf", "folder": "./shelf"}], rules=str(rules))

    status, _, wrong = _findings(edge)

    assert status == 2
    assert f"{rules} line 2" in wrong["rules"]["what"]
    assert "Optoins" in wrong["rules"]["what"]
