"""What a line of the audit is in the words of PS3.15: a service that started, a person who logged in, or an alert."""

from typing import Final

from appliance.watch.syslog.lines import Line
from appliance.watch.syslog.message import (
    APPLICATION_START,
    APPLICATION_STOP,
    LOGIN,
    LOGOUT,
    MINOR,
    RECORDING_STARTED,
    RESTRICTED_FUNCTION,
    SECURITY_CONFIGURATION,
    SERIOUS,
    SOFTWARE_CONFIGURATION,
    SUCCESS,
    USER_ATTRIBUTES,
    Code,
    Message,
    Origin,
    activity,
    alert,
    authentication,
)

# What the watch service writes into the audit of itself.
STARTED: Final = "service started"
STOPPED: Final = "service stopped"
BEGUN: Final = "audit messages begun"
REPLACED: Final = "audit file replaced, shortened or removed: told from its front, what was not told before is lost"
OTHER_ROWS: Final = "rows of a side begun again: told from their front, what was not told before may be lost"
AGAIN: Final = "audit messages told again: it was not known any more how far they were"

_ACTIVITY: Final = {STARTED: APPLICATION_START, STOPPED: APPLICATION_STOP}
# By how ``what`` begins; what is not named here is a restricted function that somebody used.
_ALERTS: Final = {
    "configuration ": SOFTWARE_CONFIGURATION,
    "rules ": SOFTWARE_CONFIGURATION,
    "mapping rotate": SECURITY_CONFIGURATION,
    "mapping settle": SECURITY_CONFIGURATION,
    "operator ": USER_ATTRIBUTES,
    BEGUN: RECORDING_STARTED,
    REPLACED: RECORDING_STARTED,
    OTHER_ROWS: RECORDING_STARTED,
    AGAIN: RECORDING_STARTED,
}
_AUTHENTICATION: Final = {"login": (LOGIN, SUCCESS), "login refused": (LOGIN, MINOR), "logout": (LOGOUT, SUCCESS)}
_SERIOUS: Final = (REPLACED, OTHER_ROWS, AGAIN)


def of_line(origin: Origin, line: Line) -> Message:
    """Return the message of one line. Why somebody did it is left out: those words are the only ones that are free."""
    if line.what in _ACTIVITY:
        return activity(origin, line.at, _ACTIVITY[line.what], f"appliance-{line.about}")
    if line.what in _AUTHENTICATION:
        event_type, outcome = _AUTHENTICATION[line.what]
        return authentication(origin, line.at, event_type, line.who, line.address, outcome=outcome)
    if not line.what:
        return alert(
            origin,
            line.at,
            SECURITY_CONFIGURATION,
            "A line of the audit cannot be read. Run 'appliance audit check' on the appliance.",
            outcome=SERIOUS,
        )
    words = f"{line.what}: {line.about}" if line.about else line.what
    outcome = SERIOUS if line.what in _SERIOUS else SUCCESS
    by = {"who": line.who, "address": line.address}
    return alert(origin, line.at, _type_of(line.what), words, **by, outcome=outcome, details={"Audit Line": line.hash})


def _type_of(what: str) -> Code:
    return next((code for begins, code in _ALERTS.items() if what.startswith(begins)), RESTRICTED_FUNCTION)
