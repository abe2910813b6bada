"""A real nginx in front of a destination: TLS, client certificates, and the statuses that proxies give.

with Nginx(folder, behind=orthanc.root, max_body="1m") as proxy:
    proxy.dicomweb
"""

import shutil
import subprocess
from pathlib import Path
from typing import Self

import pytest

from tests.peers.patience import PATIENCE_S
from tests.peers.ports import free_port, listens, wait_until


def nginx_binary() -> str:
    """Return the path of nginx; skips the test when it is not installed."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.skip("package nginx is not installed")
    return binary


class Nginx:
    """An nginx process of this user. A context manager; ``configure`` changes what it does while it runs.

    behind     root URL of what it passes requests on to
    tls        (certificate, key): it speaks TLS
    client_ca  only callers with a certificate of this authority
    max_body   client_max_body_size; nginx's own default is 1m
    always     a status that it answers to everything, with ``headers``
    rate       requests a second that it lets through; 429 for the others
    says       headers that it sets for what is behind it
    """

    def __init__(
        self,
        folder: Path,
        *,
        behind: str,
        tls: tuple[Path, Path] | None = None,
        client_ca: Path | None = None,
        max_body: str = "1m",
        always: int | None = None,
        headers: dict[str, str] | None = None,
        rate: int | None = None,
        says: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self._behind = behind
        self._tls = tls
        self._client_ca = client_ca
        self._max_body = max_body
        self._always = always
        self._headers = headers or {}
        self._rate = rate
        self._says = says or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        """Its root URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def dicomweb(self) -> str:
        """The DICOMweb root of what is behind it."""
        return f"{self.root}/dicom-web"

    def __enter__(self) -> Self:
        binary = nginx_binary()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nginx.conf").write_text(self._configuration())
        self._process = subprocess.Popen(
            [binary, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "start.log").open("wb"),
        )
        wait_until(lambda: listens(self.port), process=self._process, what="nginx")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def _configuration(self) -> str:
        tls = client = always = limit = zone = ""
        if self._tls is not None:
            tls = f"ssl_certificate {self._tls[0]}; ssl_certificate_key {self._tls[1]};"
        if self._client_ca is not None:
            client = f"ssl_client_certificate {self._client_ca}; ssl_verify_client on;"
        if self._always is not None:
            added = "".join(f'add_header {name} "{value}" always;' for name, value in self._headers.items())
            always = f"{added} return {self._always};"
        if self._rate is not None:
            zone = f"limit_req_zone $server_name zone=all:1m rate={self._rate}r/s; limit_req_status 429;"
            limit = "limit_req zone=all;"
        says = "".join(f'proxy_set_header {name} "{value}";' for name, value in self._says.items())
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
            daemon off; master_process off; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;
            events {{ worker_connections 256; }}
            http {{
                access_log {self.folder}/access.log; {temporary} {zone}
                server {{
                    listen 127.0.0.1:{self.port}{" ssl" if self._tls else ""}; server_name front; {tls} {client}
                    client_max_body_size {self._max_body};
                    location / {{ {always} {limit} {says} proxy_pass {self._behind}; proxy_http_version 1.1; }}
                }}
            }}"""
