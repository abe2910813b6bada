"""What it means to deliver: parcels go to a destination, and each comes back with a verdict.

A verdict is about one instance; ``Unavailable`` is about the destination and touches no instance. Only a destination
that *names* an instance as stored has stored it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from appliance.model import Parcel
from appliance.reasons import Reason


@dataclass(frozen=True, slots=True)
class Stored:
    """The destination has it on its own word, by name.

    warning  Warning Reason (0008,1196) that came with it, 0 without
    """

    warning: int = 0


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """The destination will never take it; a person decides. ``detail`` names codes and sizes only.

    explained  False: a bare 4xx without a STOW-RS answer, which a misconfigured proxy gives to everything
    """

    reason: Reason
    detail: str
    explained: bool = True


@dataclass(frozen=True, slots=True)
class Later:
    """Not acknowledged: to be delivered again, for ever.

    after_s  seconds until then; None: the caller's back-off by attempts
    """

    after_s: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class FileLost:
    """Its file is no longer in ready: nothing was sent, and it has to be made again from its original."""


@dataclass(frozen=True, slots=True)
class FileSpoilt:
    """Its file in ready is not what was written any more: nothing of it was sent, and it has to be made again."""


Verdict = Stored | RefusedForGood | Later | FileLost | FileSpoilt


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The destination cannot take anything now, whatever it is given.

    after_s  what it asked for (Retry-After), None if it did not say
    detail   what happened and what to do, for hospital IT
    sure     True: opens the breaker at once; False: it may be this request's own fault, so a few in a row are needed
    """

    after_s: float | None
    detail: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of one delivery.

    verdicts     by outside name; a parcel without one was not judged and is due again as soon as the destination is
    unavailable  set when the destination, not an instance, is the trouble
    too_much     a smaller batch may have gone through: time-out, 5xx
    too_large    no batch of this size will ever go through: 413
    """

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    unavailable: Unavailable | None = None
    too_much: bool = False
    too_large: bool = False


class There(Enum):
    """What a destination has under a parcel's SOP Instance UID."""

    ABSENT = "absent"  # nothing, as far as it says
    SAME = "same"  # this Data Set, byte for byte
    DIFFERENT = "different"  # another one
    UNKNOWN = "unknown"  # it does not let us look
    AWAY = "away"  # it gave no answer, or is in trouble: asked again later


class Destination(Protocol):
    """One connection to where READY instances go. Used by one thread at a time.

    deliver  makes one attempt with these parcels (of one study, each SOP Instance UID once). Never raises for what
             the destination or the way to it does wrong.
    look     says what the destination has under the parcel's UID, by fetching it. Never raises either
    close    lets go of idle connections
    """

    def deliver(self, parcels: Sequence[Parcel]) -> Receipt: ...

    def look(self, parcel: Parcel) -> There: ...

    def close(self) -> None: ...


def deliver_changed(destination: Destination, parcel: Parcel) -> Receipt:
    """Deliver a version that differs from one delivered before, to a destination that keeps what it has.

    Such a destination may name the new version as stored and keep the old one (Orthanc 1.10 with OverwriteInstances
    false does), so its word is no proof here: only fetching the very bytes back is.
    """
    match destination.look(parcel):
        case There.SAME:
            return Receipt({parcel.out: Stored()})
        case There.ABSENT:
            receipt = destination.deliver([parcel])
            if not isinstance(receipt.verdicts.get(parcel.out), Stored):
                return receipt
            match destination.look(parcel):
                case There.SAME:
                    return receipt
                case There.AWAY:
                    return _again(parcel)
        case There.AWAY:
            return _again(parcel)
    kept = RefusedForGood(Reason.ALREADY_THERE_DIFFERENT, "An earlier version was delivered before.")
    return Receipt({parcel.out: kept})


def deliver_replacing(destination: Destination, parcel: Parcel) -> Receipt:
    """Deliver a changed version to a destination that is said to replace what it has, and look whether it did.

    One that keeps after all names the new version as stored, too; believed, the new original would be let go of. One
    that does not let us look is believed, as its site says.
    """
    receipt = destination.deliver([parcel])
    stored = isinstance(receipt.verdicts.get(parcel.out), Stored)
    there = destination.look(parcel) if stored else There.UNKNOWN
    if there is There.AWAY:
        return _again(parcel)
    if there is not There.DIFFERENT:
        return receipt
    told = "It is configured as 'existing: replaced', but it kept the earlier version: correct that."
    return Receipt({parcel.out: RefusedForGood(Reason.ALREADY_THERE_DIFFERENT, told)})


def _again(parcel: Parcel) -> Receipt:
    return Receipt({parcel.out: Later(None, "what it has could not be looked at")})
