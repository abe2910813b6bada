"""TLS for the receiver and its reports: 1.2 or newer, client certificates if asked for. PS3.15 B.12 (BCP 195)."""

import socket
import ssl

from appliance import config
from appliance.errors import CannotStart

# BCP 195 (RFC 9325 4.2): forward secrecy and authenticated encryption. TLS 1.3 suites are always these.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"


def server_context(tls: config.Tls) -> ssl.SSLContext:
    """Return the context of the encrypted port; raises CannotStart when a file is missing or does not fit."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)


def client_context(tls: config.Tls) -> ssl.SSLContext:
    """Return the context of calls to peers: both show certificates of ``client_ca``. Raises as ``server_context``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Peers are called by address, and certificates of modalities name whatever their vendor put there.
    context.check_hostname = False
    return _loaded(context, tls)


def own_context(tls: config.Tls) -> ssl.SSLContext:
    """Return the context of a call to ourselves, with our own certificate. Raises as ``server_context``.

    Nothing is verified: whoever calls compares what is shown with the file.
    """
    context = client_context(tls)
    context.verify_mode = ssl.CERT_NONE
    return context


def knows_itself(tls: config.Tls) -> bool:
    """Whether the encrypted port would let us in with our own certificate; tried in memory. Raises as above."""
    to_there, to_here = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server_context(tls).wrap_bio(to_there, to_here, server_side=True)
    here = own_context(tls).wrap_bio(to_here, to_there)
    for each in (here, there) * 3:  # a flight of each takes TLS 1.3 three turns at most
        try:
            each.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return False
    return True


def _loaded(context: ssl.SSLContext, tls: config.Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # ssl.SSLError is one too
        why = error.strerror or "not PEM, or key and certificate do not belong together"
        raise CannotStart(
            f"The encrypted DICOM port cannot be opened: scp.tls.certificate, key or client_ca is not usable ({why}). "
            "No image was refused or lost; the receiver has not started. "
            "Check the three files with 'openssl x509 -in FILE -noout -text', then start again."
        ) from None
    return context


def encrypted(sock: socket.socket, context: ssl.SSLContext, *, handshake_s: float) -> ssl.SSLSocket:
    """Return ``sock`` encrypted; raises OSError (TimeoutError too) when the peer does not manage it in time.

    To be called in the association's own thread: a peer that stalls its handshake then holds up nobody else.
    handshake_s is for the whole handshake, not from byte to byte.
    """
    sock.settimeout(handshake_s)
    wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    wrapped.do_handshake()
    return wrapped
