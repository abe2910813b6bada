"""What ``doctor`` finds at the receiver of audit messages: whether it can be told, and when certificates end."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from appliance.auditing import Syslog
from appliance.cli.checks import Finding, Severity
from appliance.watch.expiry import certificate_end
from appliance.watch.syslog import wire

NEAR_S = 14 * 86_400.0  # as the alert has it: a certificate that ends within
_CHECK = "audit messages"
_KEPT = "The messages wait in the audit and the rows; none is lost."


def look_at_receiver(to: Syslog) -> Iterator[Finding]:
    """Greet the receiver as for a delivery, and tell it nothing."""
    place = f"{to.host} port {to.port}"
    try:
        shown = wire.deliver(to, [])
        ours = _read(to.certificate)
    except PermissionError as error:
        what = f"{error.filename or 'A file of audit.syslog'} may not be read by you; {place} was not greeted."
        yield Finding(_CHECK, Severity.WARNING, what, "Run this with sudo.")
        return
    except (OSError, UnicodeError) as error:
        what = f"{place} takes no audit messages from here: {wire.kind(error)} ({_words(error)})."
        yield Finding(_CHECK, Severity.ERROR, what, f"{_KEPT} docs/audit.md says what to look at.")
        return
    shown_pem = ssl.DER_cert_to_PEM_cert(shown).encode() if shown else b""
    ends = {f"the certificate of {place}": shown_pem, "the certificate that it knows us by": ours}
    late = False
    for which, pem in ends.items():
        end = certificate_end(pem)
        if end is not None and end - time.time() < NEAR_S:
            late = True
            what = f"On {datetime.fromtimestamp(end, UTC):%Y-%m-%d} {which} ends."
            yield Finding(_CHECK, Severity.WARNING, what, f"Renew it before. {_KEPT}")
    if not late:
        how = "over TLS, and both sides are trusted" if to.tls else "without TLS"
        yield Finding(_CHECK, Severity.OK, f"{place} can be told {how}.")


def _read(file: Path | None) -> bytes:
    return b"" if file is None else file.read_bytes()


def _words(error: OSError | UnicodeError) -> str:
    """The words of the library, which know the connection only."""
    told = (getattr(error, name, None) for name in ("verify_message", "reason", "strerror"))
    return next((str(each) for each in told if each), type(error).__name__)
