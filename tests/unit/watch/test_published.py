import os

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from appliance.watch.metrics import ReceiveMetrics
from appliance.watch.published import PERIOD_S, Published, exposition, merged, read


class Clock:
    def __init__(self, now=1_800_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def samples(families):
    return {(sample.name, *sorted(sample.labels.items())): sample.value for f in families for sample in f.samples}


def test_counters_and_histograms_go_on_after_a_restart(tmp_path, clock):
    for _ in range(3):
        process = Published(tmp_path, "receive", clock)
        ReceiveMetrics(process.registry, {"CT1"}).stored("CT1", 100, 0.003)
        process.write()

    found = samples(read(tmp_path / "receive.prom"))
    assert found["appliance_received_total", ("source", "CT1")] == 3
    assert found["appliance_store_response_seconds_count",] == 3
    assert found["appliance_store_response_seconds_bucket", ("le", "0.005")] == 3


def test_a_source_that_was_not_heard_since_the_restart_keeps_its_count(tmp_path, clock):
    first = Published(tmp_path, "receive", clock)
    ReceiveMetrics(first.registry, {"CT1"}).stored("CT1", 100, 0.003)
    first.write()

    second = Published(tmp_path, "receive", clock)
    ReceiveMetrics(second.registry, {"CT1"})
    second.write()

    assert samples(read(tmp_path / "receive.prom"))["appliance_received_total", ("source", "CT1")] == 1


def test_a_gauge_begins_anew(tmp_path, clock):
    first = Published(tmp_path, "receive", clock)
    ReceiveMetrics(first.registry, {"CT1"}).accepted("CT1")
    first.write()

    second = Published(tmp_path, "receive", clock)
    ReceiveMetrics(second.registry, {"CT1"})
    second.write()

    assert ("appliance_associations", ("source", "CT1")) not in samples(read(tmp_path / "receive.prom"))


def test_the_heartbeat_is_written_every_period_and_not_at_every_step(tmp_path, clock):
    process = Published(tmp_path, "receive", clock)
    process.beat()
    first = process.file.stat().st_mtime_ns, process.file.stat().st_ino

    clock.now += PERIOD_S / 2
    process.beat()
    unchanged = process.file.stat().st_mtime_ns, process.file.stat().st_ino
    clock.now += PERIOD_S
    process.beat()

    assert first == unchanged
    heartbeat = samples(read(process.file))["appliance_heartbeat_timestamp_seconds", ("service", "receive")]
    assert heartbeat == clock.now


def test_a_clock_that_was_set_back_does_not_stop_the_heartbeat(tmp_path, clock):
    process = Published(tmp_path, "receive", clock)
    process.beat()

    clock.now -= 86_400
    process.beat()

    heartbeat = samples(read(process.file))["appliance_heartbeat_timestamp_seconds", ("service", "receive")]
    assert heartbeat == clock.now


def test_metrics_that_cannot_be_written_do_not_stop_the_work_and_are_told_once(tmp_path, clock, caplog):
    (tmp_path / "metrics").write_text("a file where the folder should be")
    process = Published(tmp_path / "metrics", "receive", clock)

    for _ in range(3):
        clock.now += PERIOD_S * 2
        process.beat()

    assert len(caplog.records) == 1


def test_a_failed_step_is_counted(tmp_path, clock):
    process = Published(tmp_path, "forward", clock)
    process.failed()
    process.write()

    assert samples(read(process.file))["appliance_step_failures_total", ("service", "forward")] == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff garbage", b"appliance_x{", b"# TYPE appliance_x nonsense\nappliance_x 1\n", b"{}}{\n"]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path, clock, content):
    (tmp_path / "receive.prom").write_bytes(content)

    process = Published(tmp_path, "receive", clock)
    process.write()

    assert ("appliance_step_failures_total", ("service", "receive")) not in samples(read(process.file))


def test_what_another_service_wrote_cannot_put_a_name_into_our_metrics(tmp_path):
    (tmp_path / "forward.prom").write_text(
        "# TYPE appliance_a gauge\n"
        'appliance_a{source="MUSTERMANN^ERIKA"} 1\nappliance_a{source="CT1"} 2\n'
        "# TYPE patient_name gauge\npatient_name 1\n"
    )

    assert samples(read(tmp_path / "forward.prom")) == {("appliance_a", ("source", "CT1")): 2}


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").write_text("# TYPE appliance_a gauge\nappliance_a 1\n")
    (tmp_path / "forward.prom").symlink_to(tmp_path / "real")

    assert read(tmp_path / "forward.prom") == []


def test_a_fifo_does_not_hold_the_reader(tmp_path):
    os.mkfifo(tmp_path / "forward.prom")

    assert read(tmp_path / "forward.prom") == []


def test_the_same_series_of_two_services_are_added_up_and_stay_readable_for_prometheus():
    registries = [CollectorRegistry(), CollectorRegistry()]
    for registry in registries:
        Counter("appliance_received", "w", ["source"], registry=registry).labels("unlisted").inc(2)
        Histogram("appliance_t_seconds", "w", ["k"], buckets=(2, 10), registry=registry).labels("a").observe(3)

    text = exposition(merged(family for registry in registries for family in registry.collect())).decode()

    assert text.count("# TYPE appliance_received_total") == 1
    assert 'appliance_received_total{source="unlisted"} 4.0' in text
    assert "_created" not in text
    buckets = [line for line in text.splitlines() if "_bucket" in line]
    assert [line.split('le="')[1].split('"')[0] for line in buckets] == ["2.0", "10.0", "+Inf"]
    assert list(text_string_to_metric_families(text))
