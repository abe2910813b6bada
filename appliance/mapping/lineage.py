"""Noticing a store that is older than what was forwarded: a snapshot put back, a file replaced, a file lost.

The de-identify service remembers in the journal how far the store was. A store that is behind that must mint nothing:
it has forgotten id lists, and their patients would be split in two.
"""

from typing import Final

from appliance.errors import CannotStart
from appliance.mapping.store import MappingStore, Standing

SEEN: Final = "mapping-seen"  # the journal's setting

# What a restored store has lost and cannot know any more. Until ``settled``, id lists: whoever it does not know waits;
# opt-outs or erasures: everybody waits.
OWED_LISTS: Final = b"lists"
OWED_REFUSALS: Final = b"refusals"


def as_text(standing: Standing) -> str:
    """Return a standing as the journal remembers it."""
    return f"{standing.lineage} {standing.changes} {standing.lists} {standing.refusals}"


def from_text(text: str) -> Standing | None:
    """Return the standing that was remembered; None if none was."""
    lineage, _, numbers = text.partition(" ")
    if not lineage:
        return None
    changes, lists, refusals = (int(number) for number in numbers.split())
    return Standing(lineage, changes, lists, refusals)


def check_not_behind(store: MappingStore, seen: str) -> None:
    """Raise CannotStart if the store is older than, or another than, what the journal has seen."""
    known, found = from_text(seen), store.standing()
    if known is None or (found.lineage == known.lineage and found.changes >= known.changes):
        return
    what = "is older than what was forwarded" if found.lineage == known.lineage else "is not the one that was in use"
    raise CannotStart(
        f"The mapping {store.path} {what}: it may have lost id lists, and their patients would get a second pseudonym. "
        "Nothing was de-identified; images wait in the spool. Put back the newest backup: 'appliance mapping restore "
        "FILE'; if there is none that is newer, go on with what is there: 'appliance mapping restore --as-is'."
    )


def owed(store: MappingStore) -> bytes:
    """Return what a restore lost: b"", OWED_LISTS or OWED_REFUSALS."""
    return store.about("owed") or b""
