"""What a person does on the status page: logs in, and asks a service to release, discard, send again or pause.

The same requests as the command line's, to the service that owns the state, each audited before it is left. Accepting
a reason (``appliance quarantine release --accept``) is not among them: whoever overrules a check looks at the image.

Passwords are taken from this machine only, through a tunnel or a reverse proxy with TLS: the port itself is not
encrypted. A reverse proxy that knows who it is proves itself by a secret, for others reach the port too.
"""

import hmac
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from appliance.config import Config
from appliance.errors import RequestRefused, SpoolFull, Unsafe
from appliance.operators import Proxy, is_operator
from appliance.outlet.folder import is_uid
from appliance.reasons import Reason
from appliance.spool.files import open_regular
from appliance.spool.overview import Overview
from appliance.spool.requests import Requests
from appliance.watch.audit import Audit, about
from appliance.watch.passwords import Passwords
from appliance.watch.sessions import Guesses, Session, Sessions
from appliance.watch.status_page.forms import AtPage, Button, login, question
from appliance.watch.status_page.page import FOR_A_PERSON, FORMS_POLICY, plain
from appliance.watch.web import Asked, Page, Routes, see

log = logging.getLogger(__name__)

COOKIE = "appliance_session"
WAIT_S = 5.0  # for the service to answer
AT_ONCE = 5000  # ids in one request
LARGEST_SECRET = 4096
_FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Action:
    """What a button asks of whom.

    needs, may  fields of its form
    asks        the question, with the fields in it; ``{n}`` is how many it is about
    done        what happened to ``{n}``
    """

    owner: str
    label: str
    needs: tuple[str, ...]
    asks: str
    done: str
    may: tuple[str, ...] = ()


ACTIONS: Mapping[str, _Action] = {
    "release": _Action(
        "deidentify",
        "Process again",
        ("reason",),
        "What waits for '{reason}' ({n}) is processed again by today's rules, and what comes to wait for it until this "
        "is carried out. What still is not right waits again.",
        "Processed again by today's rules: {n}.",
        may=("study",),
    ),
    "discard": _Action(
        "deidentify",
        "Discard",
        ("reason",),
        "What waits for '{reason}' ({n}) is let go and never leaves the hospital, and what comes to wait for it until "
        "this is carried out. Originals stay for {days:g} days, then they are removed.",
        "Discarded: {n}.",
        may=("study",),
    ),
    "replay": _Action(
        "deidentify",
        "Send again",
        ("study",),
        "What was delivered of the study {study} and has its original here ({n}) is processed by today's rules and "
        "delivered again.",
        "Processed and sent again: {n}.",
    ),
    "pause": _Action(
        "forward",
        "Pause",
        ("destination",),
        "Nothing more is begun to '{destination}' until somebody resumes it. Images for it wait; none is lost, as long "
        "as there is disk.",
        "'{destination}' is paused.",
    ),
    "resume": _Action(
        "forward",
        "Resume",
        ("destination",),
        "What waits for '{destination}' is delivered.",
        "'{destination}' goes on.",
    ),
    "retry": _Action(
        "forward",
        "Try now",
        ("destination",),
        "'{destination}' is tried at once, not only when its time comes.",
        "'{destination}' is tried now.",
    ),
}


class Desk:
    """Answers the forms of the status page.

    monotonic  seconds
    wait_s     for how long an answer is waited for
    """

    def __init__(
        self, config: Config, overview: Overview, *, monotonic: Callable[[], float], wait_s: float = WAIT_S
    ) -> None:
        self._config = config
        self._login = config.watch.login
        named = None if self._login is None else self._login.passwords
        self._passwords = None if named is None else Passwords(named)
        self._overview = overview
        self._requests = Requests(config.state / "requests")
        self._audit = Audit(config.state / "audit")
        self._sessions = Sessions(monotonic)
        self._guesses = Guesses(monotonic)
        self._one_at_a_time = threading.Lock()  # each guess takes 64 MiB
        self._wait_s = wait_s

    def routes(self) -> Routes:
        """Return what answers GET beside the page itself."""
        return {} if self._passwords is None else {"/login": self._login_page}

    def forms(self) -> Routes:
        """Return what answers POST."""
        if self._login is None:
            return {}
        forms: Routes = {"/sure": self._sure, "/do": self._do}
        if self._passwords is not None:
            forms = {**forms, "/login": self._log_in, "/logout": self._log_out}
        return forms

    def at_page(self, asked: Asked) -> AtPage:
        """Return who looks at the page."""
        if self._login is None:
            return AtPage()
        session, ends = self._session(asked), self._passwords is not None
        if session is None:
            return AtPage(can_log_in=ends)
        told = self._sessions.told(session)
        return AtPage(can_log_in=True, name=session.name, token=self._sessions.token(session), ends=ends, told=told)

    # --- who it is ------------------------------------------------------------------------------------------------

    def _session(self, asked: Asked) -> Session | None:
        if self._login is not None and self._login.proxy is not None:
            name = _named_by(self._login.proxy, asked)
            return None if name is None else Session(f"proxy {name}", name, "", _FOREVER)
        session = self._sessions.of(asked.cookie(COOKIE)) if asked.is_near else None
        if session is None or self._passwords is None:
            return None
        if self._passwords.still(session.name, session.hash):
            return session
        self._sessions.end(session)  # taken out of the file, or with another password
        return None

    def _login_page(self, asked: Asked) -> Page:
        return _page(login("" if asked.is_near else FAR))

    def _log_in(self, asked: Asked) -> Page:
        if self._passwords is None or not asked.is_near or asked.is_from_elsewhere:
            return _page(login(FAR), HTTPStatus.FORBIDDEN)
        name, password = asked.form.get("name", ""), asked.form.get("password", "")
        with self._one_at_a_time:
            if self._guesses.wait_s > 0:
                wait = f"Passwords were wrong. The next can be tried in {self._guesses.wait_s:.0f} s."
                return _page(login(wait), HTTPStatus.TOO_MANY_REQUESTS)
            try:
                known = self._passwords.hashes()
                right = self._passwords.matches(name, password)
            except RequestRefused as refused:
                return _page(login(str(refused)), HTTPStatus.SERVICE_UNAVAILABLE)
            if not right:
                self._guesses.missed()
                # Not what was typed: it may be the password.
                self._note(asked, name if name in known else "somebody", "login refused")
                return _page(login("Name or password is wrong."), HTTPStatus.FORBIDDEN)
            self._guesses.hit()
        self._note(asked, name, "login")
        secure = "; Secure" if asked.headers.get("x-forwarded-proto") == "https" else ""
        cookie = f"{COOKIE}={self._sessions.begin(name, known[name])}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return see("/", ("Set-Cookie", cookie))

    def _log_out(self, asked: Asked) -> Page:
        session = self._genuine(asked)
        if session is None:
            return _not_genuine()
        self._sessions.end(session)
        self._note(asked, session.name, "logout")
        return see("/", ("Set-Cookie", f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))

    def _note(self, asked: Asked, who: str, what: str, more: str = "") -> None:
        """Write into the audit what somebody does on this page, and from where."""
        # Only a session that a proxy with the secret stands for comes to a proxy's address.
        proxy = None if self._login is None else self._login.proxy
        address = asked.address("" if proxy is None else proxy.address_header)
        self._audit.write(who=who, what=what, about=f"status page{more}", address=address)

    def _genuine(self, asked: Asked) -> Session | None:
        """Return the session of a form of ours that its person sent; None for any other."""
        session = None if asked.is_from_elsewhere else self._session(asked)
        genuine = session is not None and self._sessions.is_token(session, asked.form.get("token", ""))
        return session if genuine else None

    # --- what is done ---------------------------------------------------------------------------------------------

    def _sure(self, asked: Asked) -> Page:
        session, found = self._genuine(asked), self._action(asked.form)
        if session is None or found is None:
            return _not_genuine()
        action, args = found
        words = action.asks.format(**args, n=_images(self._count(args)), days=self._config.retention.discarded_days)
        study = f" Only of the study {args['study']}." if "study" in action.may and "study" in args else ""
        return _page(question(self.at_page(asked), Button(asked.form["verb"], action.label, args), words + study))

    def _do(self, asked: Asked) -> Page:
        session, found = self._genuine(asked), self._action(asked.form)
        if session is None or found is None:
            return _not_genuine()
        self._sessions.tell(session, self._ask(asked, session.name, *found))
        return see("/")

    def _action(self, form: Mapping[str, str]) -> tuple[_Action, dict[str, str]] | None:
        action = ACTIONS.get(form.get("verb", ""))
        if action is None or any(not form.get(name) for name in action.needs):
            return None
        args = {name: form[name] for name in (*action.needs, *action.may) if form.get(name)}
        return (action, args) if all(self._is_known(name, value) for name, value in args.items()) else None

    def _is_known(self, name: str, value: str) -> bool:
        if name == "reason":
            return value in [reason.value for reason in Reason]
        if name == "destination":
            return value in {each.name for each in self._config.destinations} | self._overview.pauses().keys()
        return is_uid(value)

    def _count(self, args: Mapping[str, str]) -> int | None:
        """How many it is about; None where nobody counts."""
        if "reason" in args and "study" not in args:
            tally = self._overview.tally()
            return sum(
                n
                for (state, reason), n in tally.by_reason.items()
                if reason == args["reason"] and state in FOR_A_PERSON
            )
        if "study" in args and "reason" not in args:
            return len(self._overview.delivered_ids(args["study"]))
        return None

    def _ask(self, from_: Asked, name: str, action: _Action, args: dict[str, str]) -> str:
        """Ask, audited; return in words what came of it."""
        verb = from_.form["verb"]
        try:
            asked = self._requested(verb, args)
            self._note(from_, name, f"ask {action.owner}: {verb}", f", {about(args)}")
            ids = [self._requests.ask(action.owner, verb, {**each, "by": name}) for each in asked]
        except (OSError, SpoolFull, RequestRefused) as error:
            why = str(error) if isinstance(error, RequestRefused) else type(error).__name__
            return f"Nothing, or not all of it, was done: {why}"
        answers = [self._requests.wait(action.owner, each, self._wait_s) for each in ids]
        if any(each is None for each in answers):
            return (
                f"The {action.owner} service has not answered yet. The request is kept and carried out when it runs; "
                "the page shows what comes of it."
            )
        return _told(action, args, [each for each in answers if each is not None])

    def _requested(self, verb: str, args: dict[str, str]) -> Sequence[dict[str, Any]]:
        if verb != "replay":
            return [args]
        ids = self._overview.delivered_ids(args["study"])
        if not ids:
            raise RequestRefused("no image of this study was delivered whose original is still here.")
        return [{"ids": ids[first : first + AT_ONCE]} for first in range(0, len(ids), AT_ONCE)]


FAR = (
    "Passwords are taken from the appliance itself only, because this page is not encrypted. Use the reverse proxy "
    "with TLS, or a tunnel: ssh -L 9112:127.0.0.1:9112 HOST, then http://127.0.0.1:9112/."
)


def _named_by(proxy: Proxy, asked: Asked) -> str | None:
    """Return whom the reverse proxy names, None if it is not the proxy, or names nobody."""
    try:
        with open_regular(proxy.secret_file) as file:
            secret = file.read(LARGEST_SECRET).strip()
    except (OSError, Unsafe):
        log.warning("the secret of the reverse proxy cannot be read; nobody is logged in")
        return None
    name = asked.headers.get(proxy.header.lower(), "")
    genuine = secret and hmac.compare_digest(secret, asked.headers.get("x-appliance-proxy", "").encode())
    return name if genuine and is_operator(name) else None


def _told(action: _Action, args: Mapping[str, str], answers: Sequence[Mapping[str, Any]]) -> str:
    errors = [str(each["error"]) for each in answers if each.get("error")]
    if errors:
        return f"Refused: {errors[0]}"
    done = sum(int(each.get("done", 0)) for each in answers)
    refused = sum(len(each.get("refused", ())) for each in answers)
    beside = f" Not done for {_images(refused)}: 'appliance trace ID' says where each is." if refused else ""
    return action.done.format(**args, n=_images(done)) + beside


def _images(count: int | None) -> str:
    if count is None:
        return "all"
    return "1 image" if count == 1 else f"{count:,} images"


def _page(body: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(plain(body).encode(), "text/html; charset=utf-8", status, FORMS_POLICY)


def _not_genuine() -> Page:
    return _page(
        "<h1>Nothing was done</h1><p>You are not logged in any more, or this form is not of the page that you see. "
        '<a href="/">Load the page again.</a></p>',
        HTTPStatus.FORBIDDEN,
    )


__all__ = ["ACTIONS", "COOKIE", "Desk"]
