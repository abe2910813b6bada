"""A real rsyslog on loopback: it takes syslog over TLS or TCP and keeps each message as it came, one a line.

with Rsyslog(folder, tls=authority.sign("receiver"), ca=authority.certificate) as receiver:
    receiver.port, receiver.messages()
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

from tests.peers.patience import PATIENCE_S
from tests.peers.ports import free_port, listens, wait_until

FIELDS = ("pri", "protocol-version", "timereported", "hostname", "app-name", "procid", "msgid", "msg")


def rsyslog_binary(*, tls: bool) -> str:
    """Return the path of rsyslogd; skips the test when it, or its TLS, is not installed."""
    binary = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
    if binary is None:
        pytest.skip("package rsyslog is not installed")
    if tls and not any(Path("/usr/lib").glob("**/rsyslog/lmnsd_ossl.so")):
        pytest.skip("package rsyslog-openssl is not installed")
    return binary


class Rsyslog:
    """An rsyslogd of this user. A context manager; ``kill`` ends it in the middle, ``start`` begins again.

    tls      (certificate, key) of the receiver; left out: plain TCP
    ca       whose certificates callers must show, if ``clients``
    clients  whether they must
    """

    def __init__(
        self, folder: Path, *, tls: tuple[Path, Path] | None = None, ca: Path | None = None, clients: bool = False
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._file = folder / "messages.jsonl"
        self._tls = tls
        self._ca = ca
        self._clients = clients
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def start(self) -> None:
        """Begin to listen, on the same port."""
        binary = rsyslog_binary(tls=self._tls is not None)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "rsyslog.conf").write_text(self._configuration())
        with (self._folder / "rsyslog.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "-n", "-f", str(self._folder / "rsyslog.conf"), "-i", str(self._folder / "rsyslog.pid")],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: listens(self.port), process=self._process, what="rsyslog")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._process = None
        (self._folder / "rsyslog.pid").unlink(missing_ok=True)

    def messages(self) -> list[dict[str, Any]]:
        """Return what arrived and was written, in order: the fields of FIELDS by rsyslog's names."""
        if not self._file.exists():
            return []
        lines = self._file.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _configuration(self) -> str:
        forms = {name: "date-rfc3339" if name == "timereported" else "json" for name in FIELDS}
        fields = ",".join(f'\\"{name}\\":\\"%{name}:::{form}%\\"' for name, form in forms.items())
        tls = listen = ""
        if self._tls is not None:
            certificate, key = self._tls
            mode = "x509/certvalid" if self._clients else "anon"
            tls = (
                f'global(DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{self._ca}"'
                f' DefaultNetstreamDriverCertFile="{certificate}" DefaultNetstreamDriverKeyFile="{key}")\n'
            )
            listen = f' StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="{mode}"'
        return (
            f'{tls}global(workDirectory="{self._folder}")\n'
            f'module(load="imtcp"{listen})\n'
            f'template(name="each" type="string" string="{{{fields}}}\\n")\n'
            f'ruleset(name="keep") {{ action(type="omfile" file="{self._file}" template="each") }}\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="keep")\n'
        )
