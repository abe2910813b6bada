"""What is handed to the hospital's monitoring: rules that fire, a section of the runbook for each, no dead name."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from appliance.spool.overview import Overview
from appliance.watch.expiry import Expiry
from appliance.watch.metrics import DeidentifyMetrics, ForwardMetrics, InboxMetrics, ReceiveMetrics
from appliance.watch.published import Published, exposition
from appliance.watch.scrape import Watched, scrape

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RULES = [rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule["alert"] for rule in RULES]
CASES = sorted(MONITORING.glob("alerts_*test.yml"))
DASHBOARDS = sorted((MONITORING / "grafana").glob("*.json"))

_OURS = re.compile(r"\b(?:appliance|dicom)_[a-z_]+\b")


def tool(name, package):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{package}: {name} is not installed")
    return found


def run(*command):
    return subprocess.run([str(each) for each in command], cwd=MONITORING, capture_output=True, text=True, check=False)


def test_every_alert_fires_on_what_it_is_for_and_is_quiet_on_what_is_near_it():
    done = run(tool("promtool", "prometheus"), "test", "rules", *(file.name for file in CASES))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert):
    names = [case["name"] for file in CASES for case in yaml.safe_load(file.read_text())["tests"]]

    assert {f"{alert} fires", f"{alert} stays quiet"} <= set(names)


def test_the_example_of_a_scrape_configuration_can_be_used():
    assert run(tool("promtool", "prometheus"), "check", "config", "prometheus.yml").returncode == 0


def test_the_example_of_alertmanager_can_be_used():
    assert run(tool("amtool", "prometheus-alertmanager"), "check-config", "alertmanager.yml").returncode == 0


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_every_alert_leads_to_its_section_of_the_runbook(rule):
    section = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)

    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert section is not None
    assert [word for word in ("**Means**", "**Images**", "**Do**") if word not in section[1]] == []


def test_the_runbook_has_no_section_of_an_alert_that_is_gone():
    assert sorted(re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)) == sorted(ALERTS)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """The name of every series that the program can show."""
    folder = tmp_path_factory.mktemp("state")
    receive, inbox, deidentify, forward = (CollectorRegistry() for _ in range(4))
    ReceiveMetrics(receive, ["CT1"])
    InboxMetrics(inbox, ["clinic_a"])
    DeidentifyMetrics(deidentify, ["CT1"])
    ForwardMetrics(forward, ["research"], ["CT1"])
    Expiry(forward, certificates={}, environment={})
    own = Published(folder / "inside" / "metrics", "receive", lambda: 0.0).registry
    shown = b"".join(exposition(list(each.collect())) for each in (receive, inbox, deidentify, forward, own))
    overview = Overview(folder)
    shown += scrape(Watched(folder, "st-elsewhere", 0, ()), overview, lambda: 0.0)
    overview.close()
    source = "".join(file.read_text() for file in (ROOT / "appliance" / "watch").rglob("*.py"))
    families = set(re.findall(r"^# TYPE (\S+) ", shown.decode(), re.MULTILINE)) | set(_OURS.findall(source))
    return families | {f"{family}{end}" for family in families for end in ("_total", "_bucket", "_count", "_sum")}


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_asks_for_metrics_that_exist(rule, metrics):
    assert set(_OURS.findall(rule["expr"])) - metrics == set()


def expressions(dashboard):
    return [target["expr"] for panel in json.loads(dashboard.read_text())["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_for_metrics_that_exist(dashboard, metrics):
    asked = {name for expression in expressions(dashboard) for name in _OURS.findall(expression)}

    assert len(asked) > 10
    assert asked - metrics == set()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_every_question_of_a_dashboard_can_be_asked(dashboard, tmp_path):
    rules = [{"record": f"panel:{n}", "expr": asked} for n, asked in enumerate(expressions(dashboard))]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    done = run(tool("promtool", "prometheus"), "check", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.stem)
def test_no_panel_of_a_dashboard_lies_upon_another(dashboard):
    taken = set()
    for panel in json.loads(dashboard.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells
        taken |= cells
