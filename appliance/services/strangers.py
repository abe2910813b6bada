"""Who was refused by the receiver because of who he is: for audit messages. A memory of the receiver, no record."""

from collections import defaultdict
from pathlib import Path
from typing import Final

from appliance.intake.callers import read_callers
from appliance.intake.troubles import Trouble
from appliance.watch.syslog.message import Refused

# Not shown to be who may call: by AE title and address, or by TLS.
STRANGE: Final = frozenset(
    {
        Trouble.UNKNOWN_CALLER,
        Trouble.PLAIN_ON_TLS_PORT,
        Trouble.TLS_TOO_OLD,
        Trouble.TLS_NO_CIPHER,
        Trouble.TLS_NO_CERTIFICATE,
        Trouble.TLS_CERTIFICATE_REFUSED,
        Trouble.TLS_DOES_NOT_TRUST_US,
    }
)


def refused_since(file: Path, at: float) -> list[Refused]:
    """Return who was refused after a moment (POSIX seconds), and why, the same of one caller once; the oldest first.

    file  the receiver's memory of its callers: it keeps the last few failures of each
    """
    found: dict[tuple[str, str, Trouble], list[float]] = defaultdict(list)
    for caller in read_callers(file):
        for failure in caller.failures:
            if failure.trouble in STRANGE and failure.at > at:
                found[caller.address, caller.calling, failure.trouble].append(failure.at)
    refused = [
        Refused(max(moments), address, calling, trouble.words.what, len(moments))
        for (address, calling, trouble), moments in found.items()
    ]
    return sorted(refused, key=lambda each: each.at)
