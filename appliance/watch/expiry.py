"""When what a service shows to others ends: certificates and tokens. Told long before, because then images wait.

The service that uses a secret looks, so that nobody else needs to read it. A file is read again when it changed.
"""

import base64
import binascii
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cryptography import x509
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

LARGEST = 1024 * 1024  # bytes of a file that are read

Reader = Callable[[bytes], float | None]


def certificate_end(pem: bytes) -> float | None:
    """Return when the first certificate of a chain of these ends, POSIX seconds; None if there is none."""
    try:
        return min(found.not_valid_after_utc.timestamp() for found in x509.load_pem_x509_certificates(pem))
    except ValueError:
        return None


def token_end(token: bytes) -> float | None:
    """Return when a JSON Web Token ends, POSIX seconds; None for one that does not say. Source: RFC 7519 4.1.4."""
    parts = token.strip().split(b".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) else None


class Expiry(Collector):
    """The ends of files, as gauges in the registry of their service.

    certificates  configured name ("scp", or a destination's) -> PEM; tokens: destination -> file
    environment   of the process: a systemd credential of the file's name goes before the file
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        certificates: Mapping[str, Path],
        tokens: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._certificates = certificates
        self._tokens = tokens or {}
        self._credentials = environment.get("CREDENTIALS_DIRECTORY", "")
        self._known: dict[Path, tuple[tuple[int, int], float | None]] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what is known; a file that cannot be read has no end, and its service says what is wrong with it."""
        yield self._family(
            "appliance_certificate_expiry_timestamp_seconds",
            "When a certificate that we show ends.",
            "of",
            self._certificates,
            certificate_end,
        )
        yield self._family(
            "appliance_token_expiry_timestamp_seconds",
            "When a bearer token that says so ends.",
            "destination",
            self._tokens,
            token_end,
        )

    def _family(self, name: str, words: str, label: str, files: Mapping[str, Path], read: Reader) -> Metric:
        family = GaugeMetricFamily(name, words, labels=(label,))
        for key, file in files.items():
            end = self._end(self._place(file), read)
            if end is not None:
                family.add_metric((key,), end)
        return family

    def _place(self, file: Path) -> Path:
        credential = Path(self._credentials) / file.name if self._credentials else file
        return credential if credential.is_file() else file

    def _end(self, file: Path, read: Reader) -> float | None:
        try:
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if file not in self._known or self._known[file][0] != stamp:
                with file.open("rb") as body:
                    self._known[file] = stamp, read(body.read(LARGEST))
        except OSError:
            return None
        return self._known[file][1]
