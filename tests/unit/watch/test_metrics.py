from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from appliance.reasons import Reason
from appliance.watch.metrics import DeidentifyMetrics, ForwardMetrics, InboxMetrics, ReceiveMetrics

SOURCES = {"CT1", "clinic_a", "unlisted"}


@dataclass(frozen=True)
class Standing:
    items: int = 0
    active: int = 0
    lag_s: float = 0.0
    unreachable: int = 0
    unmoved: int = 0


@pytest.fixture
def registry():
    return CollectorRegistry()


def test_what_is_received_is_counted_by_source_with_its_answer_time(registry):
    metrics = ReceiveMetrics(registry, SOURCES)

    metrics.stored("CT1", 1000, 0.003)
    metrics.stored("CT1", 500, 0.3)

    assert registry.get_sample_value("appliance_received_total", {"source": "CT1"}) == 2
    assert registry.get_sample_value("appliance_received_bytes_total", {"source": "CT1"}) == 1500
    assert registry.get_sample_value("appliance_store_response_seconds_bucket", {"le": "0.005"}) == 1
    assert registry.get_sample_value("appliance_store_response_seconds_count") == 2


def test_a_source_that_is_not_configured_never_becomes_a_label(registry):
    receive = ReceiveMetrics(registry, SOURCES)

    receive.stored("../../etc", 1, 0.1)
    receive.refused("MUSTERMANN^ERIKA", "out-of-resources")

    assert registry.get_sample_value("appliance_received_total", {"source": "unlisted"}) == 1
    labels = {value for family in registry.collect() for sample in family.samples for value in sample.labels.values()}
    assert not {label for label in labels if "MUSTERMANN" in label or "/" in label}


def test_a_word_that_is_none_of_ours_is_counted_as_other(registry):
    metrics = ReceiveMetrics(registry, SOURCES)

    metrics.rejected("Müller, Änne")

    assert registry.get_sample_value("appliance_associations_rejected_total", {"reason": "other"}) == 1


def test_associations_rise_and_fall(registry):
    metrics = ReceiveMetrics(registry, SOURCES)

    metrics.accepted("CT1")
    metrics.accepted("CT1")
    metrics.ended("CT1", "released")

    assert registry.get_sample_value("appliance_associations", {"source": "CT1"}) == 1
    assert registry.get_sample_value("appliance_associations_ended_total", {"source": "CT1", "how": "released"}) == 1


def test_the_importer_names_that_dashboards_know_are_served(registry):
    inbox = InboxMetrics(registry, SOURCES)
    forward = ForwardMetrics(registry, {"research"}, SOURCES)

    inbox.item("clinic_a", "partial", 7)
    inbox.standing("clinic_a", Standing(items=3, active=1, lag_s=12.5))
    inbox.standing("unlisted", Standing(items=2))
    forward.stored("research", "clinic_a", 10)
    forward.delivered("research", 0.2)

    value = registry.get_sample_value
    assert value("dicom_imports_total", {"clinic_id": "clinic_a", "status": "partial"}) == 1
    assert value("dicom_import_duration_seconds_bucket", {"clinic_id": "clinic_a", "le": "10.0"}) == 1
    assert value("dicom_instances_uploaded_total", {"clinic_id": "clinic_a"}) == 1
    assert value("dicom_upload_duration_seconds_bucket", {"le": "0.25"}) == 1
    assert (value("dicom_pending_imports"), value("dicom_active_imports")) == (5, 1)
    assert value("appliance_inbox_lag_seconds", {"source": "clinic_a"}) == 12.5


def test_an_inbox_that_goes_away_is_seen_and_seen_again_when_it_is_back(registry):
    inbox = InboxMetrics(registry, SOURCES)

    inbox.standing("clinic_a", Standing(unreachable=1))
    inbox.root_unreachable(True)
    seen = registry.get_sample_value("appliance_inbox_unreachable", {"source": "clinic_a"})
    inbox.standing("clinic_a", Standing())
    inbox.root_unreachable(False)

    assert seen == 1
    assert registry.get_sample_value("appliance_inbox_unreachable", {"source": "clinic_a"}) == 0
    assert registry.get_sample_value("appliance_inbox_root_unreachable") == 0


def test_withheld_instances_are_counted_by_reason(registry):
    metrics = DeidentifyMetrics(registry, SOURCES)

    metrics.deidentified("CT1")
    metrics.withheld("CT1", Reason.NO_PATIENT_ID)

    assert registry.get_sample_value("appliance_deidentified_total", {"source": "CT1"}) == 1
    labels = {"source": "CT1", "reason": "no-patient-id"}
    assert registry.get_sample_value("appliance_withheld_total", labels) == 1


def test_every_destination_shows_its_breaker_from_the_start(registry):
    metrics = ForwardMetrics(registry, {"research", "second"}, SOURCES)

    metrics.breaker("research", True)

    assert registry.get_sample_value("appliance_breaker_open", {"destination": "research"}) == 1
    assert registry.get_sample_value("appliance_breaker_open", {"destination": "second"}) == 0
