"""SIGHUP: what a changed, bad or unchanged configuration does to a service."""

import os
import signal
import threading

import pytest

from appliance import config
from appliance.errors import ConfigError
from appliance.services.alone import Alone
from appliance.services.loop import run
from appliance.services.reload import Reload, differences

SITE = "site: st\nstate: ./var\ndestinations: [{name: a, folder: ./o}]\n"


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    return file


class Asked:
    """A process whose service takes over as the test says."""

    def __init__(self, file, stuck):
        self.taken, self.told, self.stop, self._stuck = [], [], threading.Event(), stuck
        self.reload = Reload(config.load(file), self.take_over, self.stop, self.told.append)

    def take_over(self, new):
        if self._stuck == []:
            self.taken.append(new)
        return self._stuck

    def hang_up(self):
        self.reload.asked.set()
        self.reload.step()


@pytest.fixture
def asked(file):
    return lambda stuck=None: Asked(file, stuck)


def test_nothing_is_read_unless_it_was_asked(file, asked):
    process = asked()
    file.write_text("rubbish")

    process.reload.step()

    assert process.told == []


@pytest.mark.parametrize("stuck", [None, []])
def test_a_bad_file_is_refused_with_its_line_and_the_good_one_stays(file, asked, caplog, stuck):
    process = asked(stuck)
    file.write_text(SITE + "scp: {prot: 104}\n")

    process.hang_up()

    assert (process.taken, process.stop.is_set(), process.told) == ([], False, [True])
    (record,) = [each for each in caplog.records if "refused" in each.message]
    assert (record.line, record.file) == (4, str(file))
    assert "prot" in record.problem


def test_a_file_that_is_gone_is_refused(file, asked):
    process = asked([])
    file.unlink()

    process.hang_up()

    assert (process.stop.is_set(), process.told) == (False, [True])


def test_what_did_not_change_starts_nothing_anew(file, asked):
    process = asked()
    file.write_text(SITE + "# a remark\n")

    process.hang_up()

    assert (process.stop.is_set(), process.told) == (False, [False])


def test_a_service_that_cannot_take_over_ends_to_be_started_anew(file, asked):
    process = asked(None)
    file.write_text(SITE + "release: manual\n")

    process.hang_up()

    assert process.stop.is_set()


def test_a_service_that_takes_over_goes_on_and_compares_with_that_the_next_time(file, asked):
    process = asked([])
    file.write_text(SITE + "release: manual\n")
    process.hang_up()
    process.hang_up()

    assert [each.release for each in process.taken] == ["manual"]
    assert (process.stop.is_set(), process.told) == (False, [False, False])


def test_what_needs_a_restart_is_named_and_nothing_is_taken_over(file, asked, caplog):
    process = asked(["scp.port"])
    file.write_text(SITE + "scp: {port: 104}\n")

    process.hang_up()

    assert (process.taken, process.stop.is_set(), process.told) == ([], False, [True])
    assert [each.why for each in caplog.records if "needs a restart" in each.message] == ["scp.port"]


@pytest.fixture
def certified(file):
    """A site whose receiver and one of whose destinations show certificates."""
    for name in ("scp.pem", "scp.key", "client.pem", "client.key"):
        file.with_name(name).write_text("the first")
    file.write_text(
        "site: st\nstate: ./var\nscp: {tls: {certificate: ./scp.pem, key: ./scp.key}}\n"
        "destinations: [{name: a, folder: ./o}, {name: b, url: 'https://b/web', client_certificate: "
        "{certificate: ./client.pem, key: ./client.key}}]\n"
    )
    return file


@pytest.mark.parametrize(
    ("name", "where"),
    [("scp.key", "scp.tls.key"), ("client.pem", "destinations[1].client_certificate.certificate")],
)
def test_a_renewed_certificate_or_key_under_the_same_name_is_a_change(certified, asked, caplog, name, where):
    caplog.set_level("INFO")
    process = asked([])
    certified.with_name(name).write_text("the second")
    process.hang_up()
    process.hang_up()

    assert len(process.taken) == 1
    assert [each.why for each in caplog.records if "taken over" in each.message] == [where]
    assert process.told == [False, False]


def test_a_renewed_certificate_starts_anew_who_cannot_take_it_over(certified, asked):
    process = asked(None)
    certified.with_name("client.key").write_text("the second")

    process.hang_up()

    assert process.stop.is_set()


def test_a_certificate_that_is_gone_is_refused_and_nobody_ends(certified, asked, caplog):
    process = asked(None)
    certified.with_name("scp.pem").unlink()

    process.hang_up()

    assert (process.stop.is_set(), process.told) == (False, [True])
    (record,) = [each for each in caplog.records if "refused" in each.message]
    assert record.problem.startswith("scp.tls.certificate:")


def test_a_certificate_that_we_could_never_read_concerns_others(certified, asked):
    certified.with_name("scp.pem").unlink()
    process = asked(None)

    process.hang_up()

    assert (process.stop.is_set(), process.told) == (False, [False])


def test_what_the_service_cannot_use_is_refused(file, asked):
    process = asked([])
    process.reload._take_over = refuses
    file.write_text(SITE + "release: manual\n")

    process.hang_up()

    assert (process.stop.is_set(), process.told) == (False, [True])


def refuses(_new):
    raise ConfigError("scp.tls cannot be used.")


def test_differences_are_named_by_section_and_key(file):
    before = config.load(file)
    file.write_text(
        SITE.replace("folder: ./o", "folder: ./p") + "scp: {idle_s: 5, peers: [{ae_title: CT1}]}\nrelease: manual\n"
    )

    assert differences(before, config.load(file)) == ["destinations", "scp.peers", "scp.idle_s", "release"]


def test_a_signal_asks_under_systemd_and_the_loop_reads(file, asked, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    process = asked(None)
    before = signal.getsignal(signal.SIGHUP)
    file.write_text(SITE + "release: manual\n")

    class Idle:
        name = "idle"

        def start(self):
            os.kill(os.getpid(), signal.SIGHUP)

        def step(self):
            return False

        def stop(self):
            pass

    try:
        process.reload.heed_signal()
        run(Idle(), process.stop, idle_s=0.001, between=process.reload.step)  # ends because it is to be started anew
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.told == [False]


def test_a_service_without_the_gift_is_told_to_start_anew(file):
    class Plain:
        name = "plain"

        def start(self):
            pass

        def step(self):
            return False

        def stop(self):
            pass

    alone = Alone("plain", Plain, None)
    alone.start()

    assert alone.take_over(config.load(file)) is None
