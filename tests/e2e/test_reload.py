"""A reload while an association is open: who runs goes on, who comes is judged by the new configuration."""

import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

import pytest
from pynetdicom import AE

from tests.make import make
from tests.make.certificates import Authority
from tests.peers.caller import CT, EXPLICIT
from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port


class Edge:
    """``appliance run receive`` as systemd runs it: it tells a socket how it is, and is reloaded by SIGHUP."""

    def __init__(self, folder, *, tls=""):
        self.file, self.port, self._log = folder / "site.yaml", free_port(), folder / "log"
        self._state = folder
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._words = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.write("[{ae_title: CT1}]", tls=tls)
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "-c", str(self.file), "receive"],
                stderr=log,
                env=environment,
            )
        self.await_word("READY=1")

    def write(self, peers, *, port=None, more="", tls=""):
        self.file.write_text(
            f"site: st\nstate: {self._state / 'var'}\nspool: {{reserve_gb: 0}}\n"
            f"destinations: [{{name: a, folder: {self._state / 'out'}}}]\n"
            f"scp: {{host: 127.0.0.1, port: {port or self.port}, peers: {peers}{tls}}}\n{more}"
        )

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.await_word("RELOADING=1")
        self.await_word("READY=1")

    def _listen(self):
        """As systemd does: who does not listen holds up the service that tells."""
        while said := self._manager.recv(1000):
            if said != b"WATCHDOG=1":
                self._words.put(said.decode())

    def await_word(self, word):
        while word not in self._words.get(timeout=PATIENCE_S):
            pass

    @property
    def log(self):
        return self._log.read_text()

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)


@pytest.fixture
def edge(tmp_path):
    running = Edge(tmp_path)
    yield running
    running.close()


def call(edge, title):
    ae = AE(ae_title=title)
    ae.add_requested_context(CT, EXPLICIT)
    return ae.associate("127.0.0.1", edge.port)


def stored(edge, association, seed):
    file = make.stored(edge.file.with_name(f"{seed}.dcm"), make.ct(seed=seed))
    return association.send_c_store(file).Status == 0


def welcome(edge, title):
    association = call(edge, title)
    is_in = association.is_established
    if is_in:
        association.release()
    return is_in


def test_an_open_association_goes_on_and_new_callers_are_judged_anew(edge):
    running = call(edge, "CT1")
    assert stored(edge, running, "before")
    assert not welcome(edge, "MR1")

    edge.write("[{ae_title: MR1, source: MAGNET}]")
    edge.reload()

    assert stored(edge, running, "after")
    running.release()
    assert not welcome(edge, "CT1")
    newcomer = call(edge, "MR1")
    assert stored(edge, newcomer, "newcomer")
    newcomer.release()
    received = edge.file.parent / "var/inside/received"
    assert len(list(received.rglob("*-CT1-*.dcm"))) == 2
    assert len(list(received.rglob("*-MAGNET-*.dcm"))) == 1
    assert until(lambda: 'appliance_received_total{source="MAGNET"} 1.0' in metrics(edge))
    assert edge.process.poll() is None


def metrics(edge):
    file = edge.file.parent / "var/inside/metrics/receive.prom"
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("peers", "port", "more", "said"),
    [
        ("[{ae_title: MR1, adress: 10.0.0.1}]", None, "", "adress"),
        ("[{ae_title: MR1}]", 4, "", "scp.port"),
        ("[{ae_title: MR1}]", None, "nonsense: 1\n", "nonsense"),
    ],
)
def test_a_bad_file_or_one_that_needs_a_restart_changes_nothing_and_is_told(edge, peers, port, more, said):
    running = call(edge, "CT1")
    edge.write(peers, port=port, more=more)

    edge.reload()
    edge.reload()

    assert stored(edge, running, "after")
    running.release()
    assert welcome(edge, "CT1")
    assert not welcome(edge, "MR1")
    assert said in edge.log
    assert until(lambda: 'appliance_configuration_refused{service="receive"} 1.0' in metrics(edge))
    edge.write("[{ae_title: CT1}]")
    edge.reload()
    assert until(lambda: 'appliance_configuration_refused{service="receive"} 0.0' in metrics(edge))


def test_a_renewed_certificate_is_shown_from_the_reload_on_and_an_unusable_one_never(tmp_path):
    """As a certificate service renews it: other contents under the same names, and the file of yesterday's key."""
    first, second = (Authority(tmp_path / name).sign("edge") for name in ("first", "second"))
    certificate, key = tmp_path / "scp.pem", tmp_path / "scp.key"
    shutil.copy(first[0], certificate)
    shutil.copy(first[1], key)
    port = free_port()
    edge = Edge(tmp_path, tls=f", tls: {{port: {port}, certificate: {certificate}, key: {key}}}")
    try:
        running = call(edge, "CT1")
        shutil.copy(second[0], certificate)
        edge.reload()
        with_another_key = ssl.get_server_certificate(("127.0.0.1", port))
        shutil.copy(second[1], key)
        edge.reload()
        renewed = ssl.get_server_certificate(("127.0.0.1", port))

        assert with_another_key == first[0].read_text()
        assert renewed == second[0].read_text()
        assert "appliance doctor" in edge.log
        assert stored(edge, running, "after")
        running.release()
        assert edge.process.poll() is None
        assert until(lambda: 'appliance_configuration_refused{service="receive"} 0.0' in metrics(edge))
    finally:
        edge.close()
