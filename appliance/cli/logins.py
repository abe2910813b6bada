"""What ``doctor`` finds of the secrets that destinations are shown: who may read them, and when a token ends.

Whether one is there and accepted is told by the look at the destination itself.
"""

import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from appliance.cli.checks import Finding, Severity
from appliance.config import Config
from appliance.outlet.auth import LoginFailed, read_secret
from appliance.watch.expiry import token_end

NEAR_S = 86_400.0  # as the alert has it: tokens are often made for days only
_WAIT = "Its images wait here then; none is lost."


def look_at_logins(settings: Config) -> Iterator[Finding]:
    """Yield a finding for each destination with a secret that can be read; the secret is never told."""
    for destination in settings.destinations:
        auth = destination.auth
        file = auth.password_file or auth.token_file or auth.client_secret_file
        if file is None:
            continue
        name = f"login {destination.name}"
        try:
            secret = read_secret(file, os.environ)
        except LoginFailed as error:
            yield Finding(name, Severity.ERROR, str(error)[:1].upper() + str(error)[1:], _WAIT)
            continue
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o007:
            yield Finding(name, Severity.WARNING, f"Everybody on this machine may use {file}.", f"chmod o= {file}")
            continue
        end = token_end(secret.text.encode()) if auth.token_file else None
        if end is None:
            what = "is there; it does not say when it ends" if auth.token_file else "is there"
            yield Finding(name, Severity.OK, f"The secret in {file} {what}.")
            continue
        day = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
        if end <= time.time():
            yield Finding(name, Severity.ERROR, f"The token in {file} has ended at {day}.", f"Renew it. {_WAIT}")
        elif end - time.time() < NEAR_S:
            yield Finding(name, Severity.WARNING, f"The token in {file} ends at {day}.", f"Renew it before. {_WAIT}")
        else:
            yield Finding(name, Severity.OK, f"The token in {file} ends at {day}.")
