"""The flow as a picture: inline SVG of the states and their counts, which add up to what was received."""

from appliance.lifecycle import State
from appliance.spool.tally import Tally

NAMES = {
    State.RECEIVED: "Waiting",
    State.READY: "Ready",
    State.FORWARDED: "Forwarded",
    State.DISCARDED: "Discarded",
    State.HELD: "Held",
    State.QUARANTINED: "Quarantined",
    State.REJECTED: "Rejected",
}
_UPPER = (State.RECEIVED, State.READY, State.FORWARDED)
_LOWER = (State.DISCARDED, State.HELD, State.QUARANTINED, State.REJECTED)
_STEP = 135  # from one box to the next
_WAYS = (
    *(f"M{x} 35h17" for x in (117, 252, 387)),
    *(f"M195 62v43H{x}v22" for x in (60, 195, 320)),
    "M350 62v28H465v37",
)


def picture(tally: Tally) -> str:
    """Return the drawing; what it says is in its label too, for whoever does not see it."""
    said = ", ".join(f"{NAMES[state].lower()} {tally.states[state]:,}" for state in (*_UPPER, *_LOWER))
    upper = [("Received", tally.received), *((NAMES[state], tally.states[state]) for state in _UPPER)]
    lower = [(NAMES[state], tally.states[state]) for state in _LOWER]
    return (
        f'<svg viewBox="0 0 526 190" role="img" aria-label="Received {tally.received:,}, of which {said}">'
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="4" markerHeight="4" orient="auto">'
        '<path d="M0 0 6 3 0 6z"/></marker></defs>'
        + "".join(f'<path d="{way}" marker-end="url(#tip)"/>' for way in _WAYS)
        + "".join(_box(place, 8, *each) for place, each in enumerate(upper))
        + "".join(_box(place, 130, *each) for place, each in enumerate(lower))
        + "</svg>"
    )


def _box(place: int, top: int, name: str, count: int) -> str:
    left = 3 + place * _STEP
    return (
        f'<rect x="{left}" y="{top}" width="114" height="54" rx="6"/><text x="{left + 57}" y="{top + 21}">{name}</text>'
        f'<text class="n" x="{left + 57}" y="{top + 44}">{count:,}</text>'
    )
