"""A small sender: what ``demo`` and ``doctor`` use to knock at a receiver's door as a modality would."""

import ssl
from collections.abc import Iterable
from pathlib import Path

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from the library's tables

from appliance.dicom.sniff import identify
from appliance.errors import ApplianceError

STORED = 0x0000  # PS3.7 C.1.1
ECHO_S = 10.0  # for a connection, and for each answer


class NotAccepted(ApplianceError):
    """The receiver refused the association, or an instance; the message says which and with what status."""


def send(host: str, port: int, files: Iterable[Path], *, calling: str, called: str) -> int:
    """Send ``files`` by C-STORE over one association; return how many were answered with Success.

    Raises NotAccepted at the first that was not.
    """
    paths = list(files)
    entity = AE(ae_title=calling)
    for path in paths:
        what = identify(path)
        entity.add_requested_context(what.sop_class, what.transfer_syntax)
    association = entity.associate(host, port, ae_title=called)
    if not association.is_established:
        raise NotAccepted(f"{called} at {host}:{port} did not accept the association; nothing was sent.")
    try:
        for number, path in enumerate(paths):
            status = association.send_c_store(path).get("Status", None)
            if status != STORED:
                answer = "no answer" if status is None else f"status {status:04X}"
                raise NotAccepted(f"{called} answered {answer} to instance {number + 1}; {number} were stored.")
    finally:
        association.release()
    return len(paths)


def echo(host: str, port: int, *, calling: str, called: str, encryption: ssl.SSLContext | None = None) -> bytes:
    """Verify a receiver by C-ECHO; return the certificate that it showed as DER, b"" on a plain port.

    Raises NotAccepted when it does not answer with Success.
    """
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = ECHO_S
    entity.add_requested_context(Verification)
    association = entity.associate(
        host, port, ae_title=called, tls_args=None if encryption is None else (encryption, host)
    )
    if not association.is_established:
        raise NotAccepted(f"{called} at {host}:{port} did not accept the association.")
    try:
        shown = _shown(association) if encryption else b""
        status = association.send_c_echo().get("Status", None)
    finally:
        association.release()
    if status != STORED:
        raise NotAccepted(f"{called} at {host}:{port} did not answer C-ECHO with Success.")
    return shown


def _shown(association: Association) -> bytes:
    """Return the certificate that the other side showed, as DER."""
    there = association.dul.socket
    sock = there.socket if there is not None else None
    return (sock.getpeercert(binary_form=True) or b"") if isinstance(sock, ssl.SSLSocket) else b""
