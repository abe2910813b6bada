"""Who is logged in to the status page. Kept in memory: a restart of the watch service logs everybody out.

Every form of a page carries a token that is bound to its session, so that no other page can have a browser send one
(OWASP, Cross-Site Request Forgery Prevention, signed tokens).
"""

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

LASTS_S = 8 * 3600.0  # a working day
MOST = 64  # sessions; the oldest ends when there would be more
LONGEST_WAIT_S = 30.0
_TOLD_S = 120.0  # for how long what came of an action stands on the page


@dataclass(frozen=True, slots=True)
class Session:
    """A person at the page.

    key   what the token is bound to
    name  the login
    hash  of the password it began with; "" where a proxy says who it is
    """

    key: str
    name: str
    hash: str
    until: float


class Sessions:
    """Sessions by the secret that a cookie holds. Threads share it. ``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Session] = {}
        self._told: dict[str, tuple[float, str]] = {}
        self._seal = secrets.token_bytes(32)

    def begin(self, name: str, encoded: str) -> str:
        """Begin a session; return the secret for the cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[_digest(cookie)] = Session(_digest(cookie), name, encoded, self._clock() + LASTS_S)
        return cookie

    def of(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None if there is none or its time is over."""
        with self._lock:
            session = self._known.get(_digest(cookie))
            if session is None or self._clock() < session.until:
                return session
            del self._known[session.key]
            return None

    def end(self, session: Session) -> None:
        """End a session; one that ended already may end again."""
        with self._lock:
            self._known.pop(session.key, None)

    def token(self, session: Session) -> str:
        """Return what the forms of this session carry."""
        return hmac.new(self._seal, session.key.encode(), sha256).hexdigest()

    def is_token(self, session: Session, token: str) -> bool:
        """Whether a form carried it."""
        return hmac.compare_digest(self.token(session).encode(), token.encode())

    def tell(self, session: Session, words: str) -> None:
        """Have the page say what came of an action."""
        with self._lock:
            self._told[session.name] = (self._clock(), words)
            while len(self._told) > MOST:
                del self._told[next(iter(self._told))]

    def told(self, session: Session) -> str:
        """Return what came of the last action, if that was lately."""
        with self._lock:
            at, words = self._told.get(session.name, (0.0, ""))
        return words if words and self._clock() - at < _TOLD_S else ""


class Guesses:
    """Makes whoever guesses passwords wait: twice as long after each miss, up to LONGEST_WAIT_S, for all together."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._misses = 0
        self._until = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until a password may be tried; 0 when it is now."""
        return max(0.0, self._until - self._clock())

    def missed(self) -> None:
        """A password was wrong."""
        self._misses += 1
        self._until = self._clock() + min(LONGEST_WAIT_S, 0.5 * 2 ** min(self._misses, 16))

    def hit(self) -> None:
        """A password was right."""
        self._misses, self._until = 0, 0.0


def _digest(cookie: str) -> str:
    return sha256(cookie.encode()).hexdigest()
