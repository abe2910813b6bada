"""Writing into the audit what somebody is about to do."""

import os
import pwd
from collections.abc import Mapping
from typing import Any

from appliance.config import Config
from appliance.watch.audit import Audit

NAMED = 3  # ids that are named one by one; more are counted


def audited(settings: Config, what: str, *, about: str = "", reason: str = "") -> None:
    """Write who does what and why into the audit, before it is done."""
    Audit(settings.state / "audit").write(who=who(), what=what, about=about, reason=reason)


def about(args: Mapping[str, Any]) -> str:
    """Return what a request is about: its ids if they are few, else how many, and what else it says."""
    ids = args.get("ids", ())
    named = [", ".join(ids) if len(ids) <= NAMED else f"{len(ids)} instances"] if ids else []
    return ", ".join([*named, *(f"{name} {value}" for name, value in args.items() if name != "ids" and value)])


def who() -> str:
    """Return who asks: the user of this process, and who became that user by sudo. Not what the environment says."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    real = os.environ.get("SUDO_USER", "")
    return f"{name} ({real})" if real and name == "root" else name
