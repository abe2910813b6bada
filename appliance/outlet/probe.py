"""A look at a destination for ``doctor``: is it there, does it let us in. Nothing is stored, nothing is changed."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests

from appliance import config
from appliance.outlet.auth import LoginFailed, login
from appliance.outlet.stow import new_session

PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said. ``fine``: it would take instances, as far as asking tells; ``words``: why not."""

    fine: bool
    words: str


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
    except requests.exceptions.SSLError:
        return Answer(False, "its certificate is not trusted. Set ca to the PEM of the authority that issued it.")
    except requests.exceptions.ConnectTimeout:
        return Answer(False, f"no connection within {PROBE_S:.0f} s. Look at the firewall and the address.")
    except requests.exceptions.Timeout:
        return Answer(False, f"no answer within {PROBE_S:.0f} s. Look at the server's own log.")
    except requests.RequestException as error:
        return Answer(False, f"no connection ({type(error).__name__}). Look at the address, DNS and firewall.")
    except LoginFailed as error:
        return Answer(False, str(error))
    except OSError as error:
        return Answer(False, f"a certificate or key file cannot be read: {error}. Check its path, owner and mode.")
    return _judged(answer.status_code)


def _judged(status: int) -> Answer:
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
    return Answer(True, f"it answers ({status}).")
