"""What a source may take of the disk, and that others go on."""

import pytest

from appliance import config
from appliance.intake.quota import LOOK_S, OverQuota, Quotas, quotas_of


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rows():
    return {"CT1": 40}


@pytest.fixture
def quotas(rows, clock):
    return Quotas({"CT1": 100, "MR1": 100}, lambda: dict(rows), clock=clock)


def none():
    return {}


def test_a_source_may_send_until_it_has_what_it_may(quotas):
    quotas.demand_room("CT1", none)
    quotas.took("CT1", 59)
    quotas.demand_room("CT1", none)
    quotas.took("CT1", 1)

    with pytest.raises(OverQuota, match=r"'CT1'.*others go on"):
        quotas.demand_room("CT1", none)
    quotas.demand_room("MR1", none)
    quotas.demand_room("someone without a quota", none)


def test_the_rows_are_asked_once_a_second_and_files_without_one_count(quotas, rows, clock):
    quotas.demand_room("CT1", none)
    quotas.took("CT1", 70)
    rows["CT1"] = 20
    with pytest.raises(OverQuota):
        quotas.demand_room("CT1", none)

    clock.now += LOOK_S
    quotas.demand_room("CT1", none)  # purged meanwhile
    clock.now += LOOK_S
    with pytest.raises(OverQuota):
        quotas.demand_room("CT1", lambda: {"CT1": 80})


def test_rows_that_cannot_be_asked_raise_what_they_raise(clock):
    def broken():
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        Quotas({"CT1": 100}, broken, clock=clock).demand_room("CT1", none)


def test_a_peer_s_or_clinic_s_own_quota_goes_before_the_site_s(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(
        "site: st\nstate: ./var\ndestinations: [{name: a, folder: ./o}]\nspool: {quota_gb: 2}\n"
        "scp: {peers: [{ae_title: CT1, quota_gb: 0.5}, {ae_title: MR1}]}\n"
        "inbox: {path: ./inbox, clinics: {north: {quota_gb: 1}, south: {}}}\n"
    )
    GiB = 1024**3

    assert quotas_of(config.load(file)) == {
        "CT1": GiB // 2,
        "MR1": 2 * GiB,
        "north": GiB,
        "south": 2 * GiB,
        "unlisted": 2 * GiB,
    }


def test_without_a_word_nobody_has_a_quota(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("site: st\nstate: ./var\ndestinations: [{name: a, folder: ./o}]\n")

    assert quotas_of(config.load(file)) == {}


@pytest.mark.parametrize("where", ["spool: {quota_gb: 0}", "scp: {peers: [{ae_title: CT1, quota_gb: -1}]}"])
def test_a_quota_of_nothing_is_refused_with_its_line(tmp_path, where):
    file = tmp_path / "site.yaml"
    file.write_text(f"site: st\nstate: ./var\ndestinations: [{{name: a, folder: ./o}}]\n{where}\n")

    with pytest.raises(config.ConfigError, match=r"line 4.*quota_gb must be more than 0"):
        config.load(file)
