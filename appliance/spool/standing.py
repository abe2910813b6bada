"""How an instance stands in the house, and whether it can be committed to. Source: PS3.4 Annex J, PS3.3 C.14."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from appliance.commitment import Promise
from appliance.lifecycle import State
from appliance.reasons import Reason

_WITHOUT_BYTES = frozenset({Reason.ORIGINAL_MISSING.value, Reason.ORIGINAL_UNREADABLE.value})


class Verdict(IntEnum):
    """What is said of one instance; the value of a failure is its Failure Reason (0008,1197): PS3.3 C.14.1.1."""

    WAITS = -1  # nothing is said yet
    COMMITTED = 0x0000
    FAILED = 0x0110  # Processing failure: it is here, and is not going where it was to go, or its bytes are gone
    UNKNOWN = 0x0112  # No such object instance
    OTHER_CLASS = 0x0119  # Class / Instance conflict


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the journal. ``outside``: as in ``Trace``."""

    id: str
    sop_class: str
    state: State
    outside: str
    reason: str


def verdict(
    promise: Promise, sop_class: str, standings: Sequence[Standing], has_original: Callable[[str], bool]
) -> Verdict:
    """Return what can be said of an instance that was asked for with ``sop_class``.

    standings     its rows, in order of arrival. The latest decides, since only of its bytes the peer can speak;
                  a duplicate stands for the one that it repeats
    has_original  whether the file of an id is there
    """
    if not standings:
        return Verdict.UNKNOWN
    same = [each for each in standings if each.sop_class == sop_class]
    if not same:
        return Verdict.OTHER_CLASS
    latest = next((each for each in reversed(same) if not _is_duplicate(each)), same[-1])
    delivered = latest.state is State.PASSED and latest.outside == State.FORWARDED.value
    if delivered:
        return Verdict.COMMITTED
    if promise == "in-custody":
        return Verdict.COMMITTED if _is_kept(latest) and has_original(latest.id) else Verdict.FAILED
    # HELD goes on when a list brings its identity; the other ends wait for a person, who may decide against it.
    on_its_way = latest.state in (State.RECEIVED, State.HELD) or (latest.state is State.PASSED and not latest.outside)
    return Verdict.WAITS if on_its_way else Verdict.FAILED


def _is_duplicate(standing: Standing) -> bool:
    return standing.state is State.DISCARDED and standing.reason == Reason.DUPLICATE.value


def _is_kept(standing: Standing) -> bool:
    return standing.state is not State.DISCARDED and standing.reason not in _WITHOUT_BYTES
