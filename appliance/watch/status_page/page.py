"""The status page as HTML: the flow as a picture, what needs a person, what waits, studies, both ends, the machine.

No script, nothing from elsewhere; buttons only for whoever is logged in. It shows counts, configured names and
pseudonymous study UIDs; never an id, an original UID or a detail of an instance.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from appliance.lifecycle import VISIBLE, State
from appliance.reasons import Reason
from appliance.spool.shape import Study
from appliance.spool.tally import Tally
from appliance.watch.status_page.flow import NAMES, picture
from appliance.watch.status_page.forms import AtPage, Button, who
from appliance.watch.status_page.shown import Machine, Rows, Sender, Shown
from appliance.watch.status_page.tables import Cell, ago, lasted, size, table

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
tbody th{overflow-wrap:anywhere}td.n{text-align:right;font-variant-numeric:tabular-nums}
td:last-child:not(.n){min-width:12rem}
@media(max-width:40rem){thead{position:absolute;clip-path:inset(50%)}table,tbody,tr,tbody th,td,td.n{display:block;
text-align:left;border:0;padding:.1rem 0}tr{border-bottom:1px solid var(--line);padding:.5rem 0}
tbody th{font-weight:600}
td::before{content:attr(data-head) ": ";color:var(--soft)}td:empty{display:none}}
.problem{border-left:.3rem solid var(--warn);padding-left:.8rem}
.told{border-left:.3rem solid var(--line);padding-left:.8rem}td form,.who form{display:inline}
.login label{display:block;margin:.8rem 0}input,button{font:inherit;color:inherit;background:var(--box);
border:1px solid var(--line);border-radius:.3rem;padding:.2rem .6rem;margin:0 .3rem .2rem 0}button{cursor:pointer}
"""
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action "
)
POLICY = _POLICY + "'none'"
FORMS_POLICY = _POLICY + "'self'"  # where there are forms
EVERY_S = 30  # the page asks for itself again after so long
WAITS_S = 300.0  # audit messages that wait so long are worth a word
SOON_S = 30 * 86_400.0  # what ends within so long is worth a word
NOBODY = AtPage()
_REASONS = {reason.value: reason.words for reason in Reason}
FOR_A_PERSON = (State.QUARANTINED, State.REJECTED, State.HELD)
_OF_STUDIES = (State.FORWARDED, State.READY, State.REJECTED, State.HELD, State.QUARANTINED)
_AGES = ("under 1 h", "1 h to 1 day", "1 to 7 days", "over 7 days")


def html(shown: Shown, at_page: AtPage = NOBODY) -> str:
    """Return the whole page."""
    rows = (
        "<p>The rows cannot be read now, so nothing is counted.</p>"
        if shown.rows is None
        else _rows(shown, shown.rows, at_page)
    )
    title = f"{escape(shown.site)}: image gateway"
    return _document(
        title,
        f'<meta http-equiv="refresh" content="{EVERY_S}">',
        f"<header><h1>{title}</h1>{who(at_page)}</header><main>{_problems(shown.problems)}{rows}{_senders(shown)}"
        f"{_machine(shown)}</main>"
        f'<footer><p class="soft">Version {escape(shown.version)}. Renewed every {EVERY_S} s. '
        "No patient is named here. "
        'See also <a href="/health/ready">health</a> and <a href="/metrics">metrics</a>.</p></footer>',
    )


def plain(body: str) -> str:
    """Return a page of its own around ``body``, which is HTML; it is not renewed by itself."""
    return _document("Image gateway", "", f"<main>{body}</main>")


def _document(title: str, head: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{head}<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _problems(problems: Iterable[tuple[str, str]]) -> str:
    told = "".join(f'<p class="problem">{escape(what)} {escape(do)}</p>' for what, do in problems)
    return f"<section><h2>Health</h2>{told or '<p>Every service works.</p>'}</section>"


def _rows(shown: Shown, rows: Rows, at_page: AtPage) -> str:
    tally = rows.tally
    states = [state for state in VISIBLE if any(of is state for of, _ in tally.by_source)]
    sources = sorted({source for _, source in tally.by_source})
    return (
        f"<section><h2>Flow</h2>{picture(tally)}<p>{_pace(shown.machine)}</p></section>"
        + table(
            "What needs a person",
            ("State", "Reason", "Images", "What to do", *_do(at_page)),
            _for_a_person(tally, at_page),
        )
        + table("Waiting, by age", ("State", "Oldest", *_AGES), _by_age(rows))
        + table(
            "Newest studies",
            (
                "Study (pseudonymous)",
                "Came",
                "Delivered",
                "On the way",
                "Refused",
                "Held",
                "Quarantined",
                "Last change",
                "What to do",
                *_do(at_page),
            ),
            [_study(each, shown.now, at_page) for each in rows.studies],
        )
        + table(
            "Sources",
            ("Source", *(NAMES[state] for state in states)),
            [(source, *(tally.by_source.get((state, source), 0) for state in states)) for source in sources],
        )
        + _destinations(shown, rows, at_page)
    )


def _do(at_page: AtPage) -> tuple[str, ...]:
    """The head of the column with buttons, which only who is logged in has."""
    return ("Do",) if at_page.name else ()


def _buttons(at_page: AtPage, *buttons: Button) -> tuple[Cell, ...]:
    return (at_page.buttons(*buttons),) if at_page.name else ()


def _pace(machine: Machine) -> str:
    if machine.received is None:
        return "Rates are known when the page has been served for some minutes."
    sent = ", ".join(
        f"{escape(name)} {rate:,.0f}" for name, rate in sorted(machine.forwarded.items()) if rate is not None
    )
    return f"In the last hour {machine.received:,.0f} images came; delivered: {sent or 'none'}."


def _for_a_person(tally: Tally, at_page: AtPage) -> list[tuple[Cell, ...]]:
    return [
        (NAMES[state], *_words(code, n), *_buttons(at_page, *_decisions(code)))
        for (state, code), n in sorted(tally.by_reason.items(), key=lambda each: -each[1])
        if state in FOR_A_PERSON and n
    ]


def _decisions(code: str) -> tuple[Button, ...]:
    about = {"reason": code}
    both = (Button("release", "Process again", about), Button("discard", "Discard", about))
    return both if code in _REASONS else ()


def _words(code: str, count: int) -> tuple[str, int, str]:
    """Return the reason, how many have it, and what to do. A newer version may have left a reason that is not ours."""
    if code not in _REASONS:
        return code, count, "This version does not know the reason: see the note beside each file, or update again."
    return f"{code}: {_REASONS[code].what}", count, _REASONS[code].advice


def _by_age(rows: Rows) -> list[tuple[Cell, ...]]:
    return [
        (NAMES[state], lasted(rows.oldest[state]) if rows.oldest.get(state) else "", *rows.ages[state])
        for state in VISIBLE
        if any(rows.ages.get(state, ()))
    ]


def _study(each: Study, now: float, at_page: AtPage) -> tuple[Cell, ...]:
    came = {state: each.states.get(state, 0) for state in _OF_STUDIES}
    again = [Button("replay", "Send again", {"study": each.study})] if came[State.FORWARDED] else []
    cells: tuple[Cell, ...] = (each.study, sum(came.values()), *came.values(), ago(now, each.last), _advice(each))
    return (*cells, *_buttons(at_page, *again))


def _advice(each: Study) -> str:
    """Return one sentence: what is to be done about a study."""
    if each.states.get(State.QUARANTINED) or each.states.get(State.HELD):
        return "Not complete: see what needs a person, by its reason, above."
    if each.states.get(State.REJECTED):
        return "A destination refused some of it: 'appliance quarantine list' says why."
    if each.missing:
        return f"Missing where it was delivered: {each.missing}. 'appliance reconcile' says more."
    if each.states.get(State.READY):
        return "Nothing: it is on its way."
    return "Nothing: all that passed is delivered."


def _destinations(shown: Shown, rows: Rows, at_page: AtPage) -> str:
    kinds = sorted({kind for counts in rows.destinations.values() for kind in counts})
    return table(
        "Destinations",
        (
            "Destination",
            "State",
            *(kind.capitalize() for kind in kinds),
            "Missing there",
            "Last asked what it has",
            *_do(at_page),
        ),
        [
            (
                name,
                _stands(shown, rows, name),
                *(counts.get(kind, 0) for kind in kinds),
                rows.missing.get(name, 0),
                ago(shown.now, rows.asked[name]) if name in rows.asked else "not asked",
                *_buttons(at_page, *_switches(shown, rows, name)),
            )
            for name, counts in sorted(rows.destinations.items())
        ],
    )


def _stands(shown: Shown, rows: Rows, name: str) -> str:
    if name in rows.pauses:
        return f"paused by a person {ago(shown.now, rows.pauses[name])}"
    return "paused: it fails, and is tried again" if name in shown.machine.paused else "works"


def _switches(shown: Shown, rows: Rows, name: str) -> list[Button]:
    about = {"destination": name}
    if name in rows.pauses:
        return [Button("resume", "Resume", about)]
    again = [Button("retry", "Try now", about)] if name in shown.machine.paused else []
    return [Button("pause", "Pause", about), *again]


def _senders(shown: Shown) -> str:
    return table(
        "Senders in trouble",
        ("Sender", "When", "What happened", "What to do"),
        [_sender(each, shown.now) for each in shown.senders],
        empty="No association failed lately.",
    )


def _sender(each: Sender, now: float) -> tuple[Cell, ...]:
    return (each.source, ago(now, each.at) + (", works again" if each.works_again else ""), each.what, each.do)


def _machine(shown: Shown) -> str:
    machine = shown.machine
    facts: list[tuple[Cell, ...]] = [
        (f"Disk, {side}", f"{size(free)} free{_forecast(hours)}") for side, (free, hours) in machine.free.items()
    ]
    facts.append(("Backup", _backup(machine, shown.now)))
    if machine.audit_waits is not None:
        waits = f"wait for their receiver for {lasted(machine.audit_waits)}: appliance doctor"
        facts.append(("Audit messages", waits if machine.audit_waits >= WAITS_S else "told"))
    facts += [
        (f"Ends: {name}", _end(at - shown.now)) for name, at in sorted(machine.ends.items(), key=lambda each: each[1])
    ]
    if shown.rows is not None and shown.rows.rules:
        facts.append(("Rules of the newest image", f"{shown.rows.rules[:16]}…"))
    facts.append(("Version", shown.version))
    return table("This machine", ("What", "How it is"), facts)


def _forecast(hours: float | None) -> str:
    return (
        "; it does not fill, as far as is known" if hours is None else f"; full in {lasted(hours * 3600)} at this pace"
    )


def _backup(machine: Machine, now: float) -> str:
    if not machine.backs_up:
        return "none is configured: see backup in 'appliance config example'"
    if machine.backup is None:
        return "none was made yet: appliance backup make"
    looked = "nobody looked at it yet" if machine.verified is None else f"looked at {ago(now, machine.verified)}"
    harm = f"; {machine.damaged} damaged: appliance backup verify" if machine.damaged else ""
    return f"made {ago(now, machine.backup)}, {looked}{harm}"


def _end(seconds: float) -> str:
    if seconds <= 0:
        return "has ended: renew it now"
    return f"in {lasted(seconds)}" + (": renew it" if seconds < SOON_S else "")
