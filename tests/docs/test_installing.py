"""Units, role, inventory example and documents speak of the same services and variables."""

import re
from pathlib import Path

import pytest
import yaml

from appliance.services.roles import HALVES, ROLES

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "ansible/roles/appliance"
UNITS = {file.name: file.read_text() for file in (ROOT / "systemd").glob("appliance-*.service")}


def options():
    """Every variable that the role says it takes."""
    entries = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    return {name for entry in entries.values() for name in entry["options"]}


def test_every_role_has_a_unit_and_purge_one_for_each_side():
    services = {name for name, text in UNITS.items() if "appliance run" in text}

    assert set(ROLES) > HALVES
    assert services == {f"appliance-{role}.service" for role in ROLES if role != "purge"}


@pytest.mark.parametrize("name", sorted(UNITS))
def test_a_unit_starts_its_own_role_as_its_own_user_and_is_watched(name):
    role = name.removeprefix("appliance-").removesuffix(".service")

    if "appliance run" in UNITS[name]:
        for line in (
            f"ExecStart=/opt/appliance/current/venv/bin/appliance run -c /etc/appliance/appliance.yaml {role}",
            f"User={name.removesuffix('.service')}",
            "Type=notify",
            "WatchdogSec=120",
            "KillMode=mixed",
            "PartOf=appliance.target",
        ):
            assert line in UNITS[name].splitlines()


def test_every_user_and_group_that_a_unit_names_is_made():
    made = set(re.findall(r"^[gu] (\S+)", (ROOT / "systemd/appliance.sysusers").read_text(), re.MULTILINE))
    named = re.findall(r"^(?:User|Group|SupplementaryGroups)=(.*)$", "\n".join(UNITS.values()), re.MULTILINE)

    assert {name for line in named for name in line.split()} - made == set()


def test_what_may_reach_a_network_cannot_see_originals_mapping_or_key():
    for name in ("appliance-forward.service", "appliance-watch.service"):
        hidden = " ".join(re.findall(r"^InaccessiblePaths=(.*)$", UNITS[name], re.MULTILINE))
        assert "/var/lib/appliance/mapping" in hidden
        assert "/var/lib/appliance/inside" in hidden
        assert "/etc/appliance/credentials" in hidden
        assert "appliance-originals" not in UNITS[name]


def test_every_variable_with_a_default_is_told_and_every_one_in_the_example_and_the_documents_exists():
    defaults = set(yaml.safe_load((ROLE / "defaults/main.yml").read_text()))
    example = set(yaml.safe_load((ROOT / "ansible/inventory.example/group_vars/appliance.yml").read_text()))
    documents = "\n".join(file.read_text() for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    named = set(re.findall(r"\b(appliance_(?!interrupted)[a-z_]+)=", documents)) | set(
        re.findall(r"`(appliance_[a-z_]+)`(?= \|)", documents)
    )

    assert (defaults | example | named) - options() == set()
