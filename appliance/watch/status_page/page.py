"""The status page as HTML: the flow as a picture, what waits, sources, destinations, and what needs a person.

Read only, no script, nothing from elsewhere. It shows counts and configured names; never an id, a UID or a detail
of an instance.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape

from appliance.lifecycle import VISIBLE, State
from appliance.reasons import Reason
from appliance.spool.tally import Tally
from appliance.watch.status_page.flow import NAMES, picture

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--box:#f3f5f7;--line:#8c959f;--warn:#9a3b00}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#a9b2bb;--paper:#14171a;--box:#22272c;--line:#77818b;
--warn:#ffb077}}
body{margin:0 auto;padding:1rem;max-width:60rem;font:1rem/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}p.soft{color:var(--soft)}a{color:inherit}
svg{width:100%;max-width:44rem;height:auto}svg rect{fill:var(--box);stroke:var(--line)}svg text{fill:var(--ink);
text-anchor:middle;font-size:15px}svg .n{font-size:16px;font-weight:600}svg path{fill:none;stroke:var(--line);
stroke-width:2}
svg marker path{fill:var(--line)}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.3rem .8rem .3rem 0;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}tbody th{font-weight:400}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.problem{border-left:.3rem solid var(--warn);padding-left:.8rem}
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
EVERY_S = 30  # the page asks for itself again after so long
_REASONS = {reason.value: reason.words for reason in Reason}
_FOR_A_PERSON = (State.QUARANTINED, State.REJECTED, State.HELD)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page is made of.

    tally         None when the rows cannot be read
    oldest        seconds for which the oldest has waited, by state
    destinations  destination -> delivery state -> how many
    problems      (what, what to do), as /health/ready tells them
    """

    site: str
    version: str
    tally: Tally | None
    oldest: Mapping[State, float]
    destinations: Mapping[str, Mapping[str, int]]
    problems: Iterable[tuple[str, str]]


def html(shown: Shown) -> str:
    """Return the whole page."""
    rows = (
        "<p>The rows cannot be read now, so nothing is counted.</p>"
        if shown.tally is None
        else _rows(shown, shown.tally)
    )
    title = f"{escape(shown.site)}: image gateway"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="{EVERY_S}"><style>{STYLE}</style></head><body>'
        f"<header><h1>{title}</h1></header><main>{_problems(shown.problems)}{rows}</main>"
        f'<footer><p class="soft">Version {escape(shown.version)}. Renewed every {EVERY_S} s. '
        "No patient is named here. "
        'See also <a href="/health/ready">health</a> and <a href="/metrics">metrics</a>.</p></footer></body></html>\n'
    )


def _problems(problems: Iterable[tuple[str, str]]) -> str:
    told = "".join(f'<p class="problem">{escape(what)} {escape(do)}</p>' for what, do in problems)
    return f"<section><h2>Health</h2>{told or '<p>Every service works.</p>'}</section>"


def _rows(shown: Shown, tally: Tally) -> str:
    states = [state for state in VISIBLE if any(of is state for of, _ in tally.by_source)]
    sources = sorted({source for _, source in tally.by_source})
    kinds = sorted({kind for counts in shown.destinations.values() for kind in counts})
    return (
        f"<section><h2>Flow</h2>{picture(tally)}</section>"
        + _table("Waiting", ("State", "Oldest"), [(NAMES[s], _age(t)) for s, t in shown.oldest.items()])
        + _table(
            "Sources",
            ("Source", *(NAMES[state] for state in states)),
            [(source, *(tally.by_source.get((state, source), 0) for state in states)) for source in sources],
        )
        + _table(
            "Destinations",
            ("Destination", *(kind.capitalize() for kind in kinds)),
            [(name, *(counts.get(kind, 0) for kind in kinds)) for name, counts in sorted(shown.destinations.items())],
        )
        + _table("What needs a person", ("State", "Reason", "Images", "What to do"), _for_a_person(tally))
    )


def _for_a_person(tally: Tally) -> list[tuple[str | int, ...]]:
    return [
        (NAMES[state], *_words(code, n))
        for (state, code), n in sorted(tally.by_reason.items(), key=lambda each: -each[1])
        if state in _FOR_A_PERSON and n
    ]


def _words(code: str, count: int) -> tuple[str, int, str]:
    """Return the reason, how many have it, and what to do. A newer version may have left a reason that is not ours."""
    if code not in _REASONS:
        return code, count, "This version does not know the reason: see the note beside each file, or update again."
    return f"{code}: {_REASONS[code].what}", count, _REASONS[code].advice


def _table(title: str, heads: Iterable[str], rows: Iterable[tuple[str | int, ...]]) -> str:
    body = "".join(_row(*row) for row in rows)
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    # What is wider than a telephone scrolls, by keyboard too.
    filled = (
        f'<div class="wide" role="region" tabindex="0" aria-label="{title}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
    return f"<section><h2>{title}</h2>{filled if body else '<p>Nothing.</p>'}</section>"


def _row(first: str | int, *others: str | int) -> str:
    return f'<tr><th scope="row">{escape(str(first))}</th>{"".join(map(_cell, others))}</tr>'


def _cell(value: str | int) -> str:
    return f'<td class="n">{value:,}</td>' if isinstance(value, int) else f"<td>{escape(value)}</td>"


def _age(seconds: float) -> str:
    if not seconds:
        return "none waits"
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.0f} min"
        if seconds >= 60
        else f"{seconds:.0f} s"
    )
