"""A look at a destination for ``doctor``: is it there, does it let us in. Nothing is stored, nothing is changed."""

import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests

from appliance import config
from appliance.outlet.auth import LoginFailed, login
from appliance.outlet.stow import new_session

PROBE_S = 10.0
_OTHER_NAME, _EXPIRED = (62, 64), 10  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said.

    fine   it would take instances, as far as asking tells
    words  what it said; if something is wrong, what to do
    sure   it answered as a DICOMweb root with a search does; False: somebody should look at url
    """

    fine: bool
    words: str
    sure: bool = True


def probe(destination: config.Destination, environment: Mapping[str, str] = os.environ) -> Answer:
    """Ask a DICOMweb destination for one study by a UID that nobody has. Never raises for what goes wrong there.

    QIDO-RS needs no right to store and is what every DICOMweb server has; a server without it answers 404 or 501,
    which proves as well that it is there and lets us in.
    """
    try:
        with new_session(destination) as session, requests.Session() as token_session:
            token_session.trust_env = False
            token_session.verify = session.verify
            way_in = login(
                destination.auth, token_session, timeout_s=PROBE_S, clock=time.monotonic, environment=environment
            )
            header = way_in.header()
            answer = session.get(
                f"{destination.url}/studies",
                params={"StudyInstanceUID": "2.25.1", "limit": "1"},
                headers={"Accept": "application/dicom+json"} | ({"Authorization": header.text} if header else {}),
                timeout=PROBE_S,
                allow_redirects=False,
                stream=True,
            )
            answer.close()
    except requests.exceptions.SSLError as error:
        return Answer(False, _tls_trouble(error))
    except requests.exceptions.ConnectTimeout:
        return Answer(False, f"no connection within {PROBE_S:.0f} s. Look at the firewall and the address.")
    except requests.exceptions.Timeout:
        return Answer(False, f"no answer within {PROBE_S:.0f} s. Look at the server's own log.")
    except requests.RequestException as error:
        return Answer(False, _no_connection(error))
    except LoginFailed as error:
        return Answer(False, str(error))
    except OSError as error:
        return Answer(False, f"a certificate or key file cannot be read: {error}. Check its path, owner and mode.")
    return _judged(
        answer.status_code, answer.headers.get("Content-Type", ""), has_login=destination.auth.kind != "none"
    )


def _tls_trouble(error: requests.exceptions.SSLError) -> str:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    cause = reason.args[0] if isinstance(reason, Exception) and reason.args else reason
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in _OTHER_NAME:
            return "its certificate is for another name than the host of url. Use the name that it is for."
        if cause.verify_code == _EXPIRED:
            return "its certificate has expired. Have it renewed there."
        return "its certificate is not trusted. Set ca to the PEM of the authority that issued it."
    code = getattr(cause, "reason", None) or type(cause).__name__
    if code in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "it does not speak TLS at this port. Give the port of its https, or http:// if it has none."
    if code in ("NO_CERTIFICATE_OR_CRL_FOUND", "PEM_LIB", "NO_START_LINE"):
        return "the file named by ca or client_certificate is no PEM. Check both."
    return f"the TLS connection failed ({code}). Check ca, client_certificate and what its front asks for."


def _no_connection(error: requests.RequestException) -> str:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if type(reason).__name__ == "NameResolutionError":
        return "no connection: nobody knows the name of its host. Look at url and DNS."
    if "Connection refused" in str(reason):
        return "no connection: nobody listens there. Look at host and port of url, and whether the server runs."
    return f"no connection ({type(error).__name__}). Look at http or https, host and port of url, and the firewall."


def _judged(status: int, content_type: str, *, has_login: bool) -> Answer:
    if status in (401, 403) and not has_login:
        return Answer(False, f"it answered {status}: it wants a login, and none is configured. Give one under auth.")
    if status in (401, 403):
        return Answer(False, f"it answered {status} to our login. Renew the password or token named under auth.")
    if 300 <= status < 400:
        return Answer(False, f"it answered {status}, a redirect, which is not followed. Give the final address as url.")
    if status == 429:
        return Answer(
            False, "it answered 429: it is in a hurry, and is tried again more slowly. Nothing needs to be done."
        )
    if status >= 500 and status != 501:
        return Answer(False, f"it answered {status}. Look at the server's own log.")
    if status == 404:
        doubt = "it answers, but finds no search (404). If it has one, url is not its DICOMweb root: correct it."
        return Answer(True, doubt, sure=False)
    if status == 200 and content_type.startswith("text/html"):
        return Answer(
            True, "it answers with a web page. Probably url is not its DICOMweb root: correct it.", sure=False
        )
    return Answer(True, f"it answers ({status}).")
