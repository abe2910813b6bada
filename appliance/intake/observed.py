"""What the receiver tells whoever watches: facts with closed labels, so that intake need not know of metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


def _ignore(*_facts: object) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Callbacks, called in the association's thread: they must be quick and must not raise.

    accepted(source)                 an association was accepted
    ended(source, how)               an accepted association is over; ``how`` is the value of an ``End``
    rejected(reason)                 an association was rejected; the value of a ``Rejection``
    refused_connection(why)          a connection ended before it asked for anything: ``tls``, ``silent``, ``malformed``
    stored(source, bytes, seconds)   an instance is durable and was answered with Success; seconds from the last byte
                                     of the data set to the answer
    refused(source, status)          an instance was answered with the label of a ``Status``, and is not stored
    echoed(source)                   a C-ECHO was answered
    rows_waiting(count)              durable files whose rows the journal has not taken yet
    commitments(counts)              (source, state) -> requests for storage commitment
    """

    accepted: Callable[[str], None] = _ignore
    ended: Callable[[str, str], None] = _ignore
    rejected: Callable[[str], None] = _ignore
    refused_connection: Callable[[str], None] = _ignore
    stored: Callable[[str, int, float], None] = _ignore
    refused: Callable[[str, str], None] = _ignore
    echoed: Callable[[str], None] = _ignore
    rows_waiting: Callable[[int], None] = _ignore
    commitments: Callable[[Mapping[tuple[str, str], int]], None] = _ignore
