"""The audit is looked after, and what nobody reports is noted in it."""

import json

import pytest
from prometheus_client import CollectorRegistry

from appliance.watch.audit import Audit, broken_at, last_lines
from appliance.watch.audit_check import AuditCheck
from appliance.watch.changes import LOOK_S, Changes
from tests.peers.patience import until


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def audit(tmp_path, clock):
    return Audit(tmp_path / "audit", clock=clock)


def whats(audit):
    return [line["what"] for line in last_lines(audit.file, 100)] if audit.file.exists() else []


def checked(registry):
    return registry.get_sample_value("appliance_audit_checked_timestamp_seconds")


def test_a_broken_chain_is_found_within_a_day(audit, clock):
    for _ in range(3):
        audit.write(who="anna", what="export")
    registry = CollectorRegistry()
    check = AuditCheck(audit.file, registry, clock=clock)
    check.step()
    assert until(lambda: checked(registry) == clock.now)
    assert registry.get_sample_value("appliance_audit_broken") == 0
    audit.file.write_text(audit.file.read_text().replace("anna", "otto", 1))
    clock.now += 3600.0
    check.step()
    assert registry.get_sample_value("appliance_audit_broken") == 0

    clock.now += 86_400.0
    check.step()

    assert until(lambda: registry.get_sample_value("appliance_audit_broken") == 1)


def test_where_nothing_was_decided_yet_nothing_is_broken(audit, clock):
    registry = CollectorRegistry()

    AuditCheck(audit.file, registry, clock=clock).step()

    assert until(lambda: checked(registry) == clock.now)
    assert registry.get_sample_value("appliance_audit_broken") == 0


def test_a_changed_configuration_or_rules_file_is_noted_once_with_its_digest(tmp_path, audit, clock):
    site, rules = tmp_path / "site.yaml", tmp_path / "rules.yaml"
    site.write_text("site: a")
    rules.write_text("Profile: Basic")

    def look():
        clock.now += LOOK_S + 1
        # Begun anew each time: the memory is the file, not the process.
        Changes({"configuration": site, "rules": rules}, tmp_path / "noted.json", audit, clock=clock).step()

    look()
    look()
    rules.write_text("Profile: none")
    look()
    look()

    assert whats(audit) == ["configuration first seen", "rules first seen", "rules changed"]
    assert last_lines(audit.file, 1)[0]["about"].startswith("SHA-256 ")
    assert broken_at(audit.file) is None


def test_a_file_that_is_away_for_a_moment_is_no_change(tmp_path, audit, clock):
    rules = tmp_path / "rules.yaml"
    rules.write_text("Profile: Basic")
    changes = Changes({"rules": rules}, tmp_path / "noted.json", audit, clock=clock)
    changes.step()
    rules.rename(tmp_path / "away")
    clock.now += LOOK_S + 1
    changes.step()
    (tmp_path / "away").rename(rules)
    clock.now += LOOK_S + 1

    assert not changes.step()
    assert whats(audit) == ["rules first seen"]


def test_a_damaged_memory_notes_everything_anew(tmp_path, audit, clock):
    rules = tmp_path / "rules.yaml"
    rules.write_text("Profile: Basic")
    (tmp_path / "noted.json").write_text("[")

    Changes({"rules": rules}, tmp_path / "noted.json", audit, clock=clock).step()

    assert json.loads((tmp_path / "noted.json").read_text()).keys() == {"rules"}
