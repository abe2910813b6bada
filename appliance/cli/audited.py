"""Writing into the audit what somebody is about to do."""

import os
import pwd

from appliance.config import Config
from appliance.watch.audit import Audit


def audited(settings: Config, what: str, *, about: str = "", reason: str = "") -> None:
    """Write who does what and why into the audit, before it is done."""
    Audit(settings.state / "audit").write(who=who(), what=what, about=about, reason=reason)


def who() -> str:
    """Return who asks: the user of this process, and who became that user by sudo. Not what the environment says."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    real = os.environ.get("SUDO_USER", "")
    return f"{name} ({real})" if real and name == "root" else name
