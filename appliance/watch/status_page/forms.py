"""The forms of the status page: logging in, the buttons beside what they are about, and the question before it is done.

No script: a button is a form of its own, and every one that changes something carries the session's token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True, slots=True)
class Button:
    """Something that can be asked: ``verb`` with ``about``, under ``label``."""

    verb: str
    label: str
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AtPage:
    """Who looks at the page.

    can_log_in  whether there is a way to
    name        the login, "" for whoever only looks; only with one there are buttons
    token       what forms carry
    ends        whether logging out is our business; not a reverse proxy's
    told        what came of the last action
    """

    can_log_in: bool = False
    name: str = ""
    token: str = ""
    ends: bool = False
    told: str = ""

    def buttons(self, *buttons: Button) -> "Buttons":
        """Return these as a cell; empty for whoever only looks."""
        return Buttons("".join(_form("/sure", self.token, each) for each in buttons) if self.name else "")


@dataclass(frozen=True, slots=True)
class Buttons:
    """A cell that is HTML already."""

    html: str


def who(at_page: AtPage) -> str:
    """Return the line that says who is logged in, and how to be."""
    if not at_page.can_log_in:
        return ""
    if not at_page.name:
        return '<p class="who"><a href="/login">Log in</a> to release, discard, send again or pause.</p>'
    out = (
        f'<form method="post" action="/logout">{_token(at_page.token)}<button>Log out</button></form>'
        if at_page.ends
        else ""
    )
    told = f'<p class="told" role="status">{escape(at_page.told)}</p>' if at_page.told else ""
    return f'<div class="who">Logged in as {escape(at_page.name)}. {out}</div>{told}'


def login(problem: str) -> str:
    """Return the form that asks for name and password."""
    said = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    return (
        f'<h1>Log in</h1>{said}<form method="post" action="/login" class="login">'
        '<label>Name <input name="name" autocomplete="username" required autofocus maxlength="48"></label>'
        '<label>Password <input name="password" type="password" autocomplete="current-password" required '
        'maxlength="256"></label><button>Log in</button> <a href="/">Back</a></form>'
    )


def question(at_page: AtPage, button: Button, words: str) -> str:
    """Return the question before something is done."""
    return (
        f"<h1>{escape(button.label)}?</h1><p>{escape(words)}</p>"
        f'{_form("/do", at_page.token, button)} <p><a href="/">No, back</a></p>'
    )


def _form(path: str, token: str, button: Button) -> str:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in {"verb": button.verb, **button.about}.items()
    )
    named = escape(" ".join([button.label, *button.about.values()]))  # for whoever hears the page
    return (
        f'<form method="post" action="{path}">{_token(token)}{fields}'
        f'<button aria-label="{named}">{escape(button.label)}</button></form>'
    )


def _token(token: str) -> str:
    return f'<input type="hidden" name="token" value="{escape(token)}">'
