"""Tables and words of the status page: plain HTML, everything that is put in is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from appliance.watch.status_page.forms import Buttons

Cell = str | int | Buttons


def table(title: str, heads: Iterable[str], rows: Iterable[tuple[Cell, ...]], *, empty: str = "Nothing.") -> str:
    """Return a section with a table; ``empty`` is said where there are no rows."""
    heads = list(heads)
    body = "".join(_row(heads, *row) for row in rows)
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    # What is wider than the page scrolls, by keyboard too; on a telephone each row is a card.
    filled = (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(title)}"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )
    return f"<section><h2>{escape(title)}</h2>{filled if body else f'<p>{escape(empty)}</p>'}</section>"


def _row(heads: Sequence[str], first: Cell, *others: Cell) -> str:
    cells = "".join(_cell(head, value) for head, value in zip(heads[1:], others, strict=True))
    return f'<tr><th scope="row">{escape(str(first))}</th>{cells}</tr>'


def _cell(head: str, value: Cell) -> str:
    if isinstance(value, Buttons):
        return f'<td data-head="{escape(head)}">{value.html}</td>'
    kind, text = (' class="n"', f"{value:,}") if isinstance(value, int) else ("", escape(value))
    return f'<td{kind} data-head="{escape(head)}">{text}</td>'


def lasted(seconds: float) -> str:
    """Return a time in words: "5 s", "12 min", "3.5 h", "9 days"."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def ago(now: float, at: float) -> str:
    """Return how long ago a moment was; what is to come is "just now": a clock was set."""
    return f"{lasted(now - at)} ago" if now > at else "just now"


def size(count: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
