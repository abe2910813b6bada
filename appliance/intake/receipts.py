"""A receipt for each item, in the clinic's own ``_receipts`` folder: what was taken, what not and why, what came of it.

While there is no room for the rest of an item, its receipt says that. When the item is done its upper part is written,
once; below ``BECAME`` it is written anew whenever the journal's counts change. The receipt is all that is kept: which
ones are still followed is read from their last line.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from appliance.intake.beneath import Beneath, trimmed
from appliance.intake.refusals import STAYING, Refusal
from appliance.intake.scan import FAILED, LOOSE, RECEIPTS
from appliance.intake.tally import LITTER, MEDIUM, MISSING, REFUSED, TAKEN, Tally
from appliance.lifecycle import State
from appliance.reasons import reason_named

BECAME = "What became of the images (kept up to date):"
CLOSED = "Everything has arrived or needs nothing more; this receipt is complete."
MOST_NAMES = 500  # files named one by one; beyond, the count says it
_LARGEST = 4 * 1024 * 1024
_TAKEN = re.compile(r"^(\d+) taken\b", re.MULTILINE)
_STATE_WORDS = {
    State.FORWARDED: "delivered",
    State.RECEIVED: "on their way: being de-identified",
    State.READY: "on their way: de-identified, waiting for the destination",
    State.HELD: "held",
    State.QUARANTINED: "quarantined",
    State.REJECTED: "refused by the destination",
    State.DISCARDED: "set aside",
}
_ORDER = [*_STATE_WORDS, State.PASSED]
_FORM = re.compile(r"(\d{4}-\d{2}-\d{2})-(\d{6,})(?:-.*)?\.txt", re.DOTALL)


Counts = Mapping[tuple[State, str], int]  # images of an item, by state and the code of the reason ("" without one)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that is still followed: its file name and its item."""

    name: str
    item: int


def name_of(tally: Tally) -> str:
    """Return ``2026-11-20-000017-CT thorax.txt``."""
    start = f"{tally.date}-{tally.number:06d}"
    return (f"{start}-{trimmed(tally.key, 150)}" if tally.key else start) + ".txt"


def folder_of(tally: Tally) -> str:
    """Return the item's folder in ``_processed/<date>`` and ``_failed/<date>``: number and, if it fits, its name."""
    label = f"{tally.number:06d}-{tally.key}" if tally.key else f"{tally.number:06d}"
    return trimmed(label, 200)


def write(clinic: Beneath, tally: Tally, moment: datetime, *, gone: bool) -> Receipt:
    """Write the receipt of an item that is done; ``gone``: taken files are removed, not kept in _processed."""
    receipt = Receipt(name_of(tally), tally.number)
    text = upper_part(tally, moment, gone=gone) + "\n" + BECAME + "\n"
    text += _lower_part({}, tally.counts()[TAKEN], moment)
    clinic.put((RECEIPTS, receipt.name), text.encode("utf-8", "backslashreplace"))
    return receipt


def write_waiting(clinic: Beneath, tally: Tally, moment: datetime, *, over_quota: bool) -> None:
    """Say in the item's receipt that the rest of it waits for room; the receipt of the done item takes its place.

    over_quota  the clinic has as much in the appliance as it may; False: the appliance's disk is full
    """
    taken = tally.counts()[TAKEN]
    why = "it holds as many images of this clinic as it may (quota)" if over_quota else "its disk is full"
    lines = [
        f"Receipt for item {tally.number}: {_titled(tally)}",
        f"Not done yet, as of {moment:%Y-%m-%d %H:%M} UTC",
        "",
        f"{taken} taken so far: safely stored in the appliance.",
        f"WAITING: the appliance cannot take the rest now, because {why}.",
        "What was not taken lies unchanged in your folder. Nothing is lost, and it goes on by itself when there is",
        "room: leave it where it is. If it stays so for more than a day, tell hospital IT the number of this item.",
    ]
    clinic.put((RECEIPTS, name_of(tally)), ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


def update(clinic: Beneath, receipt: Receipt, counts: Counts, moment: datetime) -> bool:
    """Write the lower part anew; return whether the receipt is still to be followed.

    A receipt that the clinic removed is not made again.
    """
    body = clinic.read((RECEIPTS, receipt.name), _LARGEST)
    text = "" if body is None else body.decode("utf-8", "replace")
    upper, found, _ = text.partition(BECAME)
    taken = _TAKEN.search(upper)
    if not found or taken is None:
        return False
    text = upper + BECAME + "\n" + _lower_part(counts, int(taken[1]), moment)
    clinic.put((RECEIPTS, receipt.name), text.encode("utf-8", "backslashreplace"))
    return not _is_final(counts, int(taken[1]))


def followed(clinic: Beneath) -> Iterator[Receipt]:
    """Yield the receipts that are not complete yet, as they lie in the folder."""
    for name in clinic.names((RECEIPTS,)):
        form = _FORM.fullmatch(name)
        if form is not None:
            text = clinic.read((RECEIPTS, name), _LARGEST)
            if text is not None and not text.rstrip().endswith(CLOSED.encode()):
                yield Receipt(name, int(form[2]))


def dated(clinic: Beneath) -> Iterator[tuple[str, str]]:
    """Yield date and name of every receipt."""
    for name in clinic.names((RECEIPTS,)):
        form = _FORM.fullmatch(name)
        if form is not None:
            yield form[1], name


def highest_item(clinic: Beneath) -> int:
    """Return the highest item number that a receipt or a log in this folder bears; 0 without any."""
    numbers = [int(form[2]) for name in clinic.names((RECEIPTS,)) if (form := _FORM.fullmatch(name))]
    logs = [re.fullmatch(r"\.item-(\d{6,})\.log", name) for name in clinic.names((RECEIPTS,))]
    return max([*numbers, *(int(form[1]) for form in logs if form)], default=0)


def why_text(tally: Tally) -> str:
    """Return the note beside what was not taken: each reason, its advice, and the files it concerns."""
    lines = [f"Item {tally.number}: these files were not taken. All other files of the item were dealt with.", ""]
    lines += _refused_lines(tally)
    lines += ["What was corrected can be dropped again as a new item; images that were taken are not doubled."]
    return "\n".join(lines) + "\n"


def upper_part(tally: Tally, moment: datetime, *, gone: bool) -> str:
    """Return what is said once: how many of the item's files were taken, and why the others were not."""
    counts = tally.counts()
    kept = "They were removed from the inbox." if gone else "The files are in _processed for a while."
    lines = [
        f"Receipt for item {tally.number}: {_titled(tally)}",
        f"Taken up and done: {moment:%Y-%m-%d %H:%M} UTC",
        "",
        f"{counts[TAKEN]} taken: safely stored in the appliance. {kept}" if counts[TAKEN] else "0 taken.",
        f"{counts[REFUSED]} not taken.",
    ]
    if counts[REFUSED]:
        lines += ["", *_refused_lines(tally)]
        moved = any(why not in STAYING for _, why, _ in tally.refused())
        place = f"{FAILED}/{tally.date}/{shown(folder_of(tally))}"
        lines += [f"They are in {place}, with a note." if moved else f"A note is beside {place}."]
    if counts[MEDIUM]:
        lines += [f"{counts[MEDIUM]} media directory (DICOMDIR), used as a checklist; it is no image."]
    missing = [name for name, fate in tally.fates.items() if fate.what == MISSING]
    if missing:
        lines += [
            "",
            f"{len(missing)} listed in the DICOMDIR, but not there. The copy may be incomplete: copy it again.",
        ]
        lines += _named(missing)
    if counts[LITTER]:
        lines += [f"{counts[LITTER]} ignored: left behind by operating systems (Thumbs.db, .DS_Store and the like)."]
    return "\n".join(lines) + "\n"


def _titled(tally: Tally) -> str:
    return f'"{shown(tally.key)}"' if tally.key != LOOSE else "files dropped without a folder"


def shown(name: str) -> str:
    """Return a name of the clinic's in a form that cannot break a line or hide what follows."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def _refused_lines(tally: Tally) -> list[str]:
    by_reason: dict[Refusal, list[str]] = {}
    for name, why, detail in tally.refused():
        by_reason.setdefault(why, []).append(f"{name}: {detail}" if detail else name)
    lines = []
    for why, names in by_reason.items():
        lines += [f"{len(names)} x {why.value}. {why.words.what}", f"  {why.words.advice}", *_named(names), ""]
    return lines


def _named(names: list[str]) -> list[str]:
    lines = [f"    {shown(name)}" for name in names[:MOST_NAMES]]
    return lines if len(names) <= MOST_NAMES else [*lines, f"    and {len(names) - MOST_NAMES} more"]


def _is_final(counts: Counts, taken: int) -> bool:
    """Whether every taken image has its row, and nothing more will happen to any by itself or by a person."""
    ended = sum(count for (state, _), count in counts.items() if state in (State.FORWARDED, State.DISCARDED))
    return ended >= taken and ended == sum(counts.values())


def _lower_part(counts: Counts, taken: int, moment: datetime) -> str:
    lines = [f"  As of {moment:%Y-%m-%d %H:%M} UTC:"]
    lines += [
        f"  {count} {_STATE_WORDS[state]}{_words(code)}"
        for (state, code), count in sorted(counts.items(), key=lambda each: (_ORDER.index(each[0][0]), each[0][1]))
        if state in _STATE_WORDS
    ]
    if missing := max(taken - sum(counts.values()), 0):
        lines.append(f"  {missing} on their way.")
    if not taken:
        lines = ["  No image was taken."]
    if _is_final(counts, taken):
        lines.append(CLOSED)
    return "\n".join(lines) + "\n"


def _words(code: str) -> str:
    if not code:
        return "."
    try:
        return f": {code}. {reason_named(code).words.what}"
    except ValueError:
        return "."
