"""Messages to whoever decides: by mail or webhook, when something new needs a person. No identifier is in them.

What was told is remembered in a file, after it was told: a message may come twice, none is left out. While a server is
away what is new adds up, and is told together later.
"""

import io
import json
import logging
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from email.message import EmailMessage
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Metric

from appliance.notification import Mail, Notify, Webhook
from appliance.spool.files import open_regular, put_durably
from appliance.watch.news import News, counts_of, news, read_counts

log = logging.getLogger(__name__)

LARGEST_SECRET = 64 * 1024  # bytes

Sender = Callable[[str, list[News]], None]


class Messages:
    """Tells what is new, at most once every ``notify.every_s``.

    file      where it is remembered what was told
    families  gives what the services published
    clock     seconds, POSIX
    """

    def __init__(
        self,
        notify: Notify,
        site: str,
        file: Path,
        families: Callable[[], Iterable[Metric]],
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._notify = notify
        self._site = site
        self._file = file
        self._families = families
        self._clock = clock
        self._next = 0.0
        self._sent = Counter("appliance_messages", "Messages sent.", ["by"], registry=registry)
        self._failed = Counter(
            "appliance_messages_failed", "Messages that could not be sent.", ["by"], registry=registry
        )

    def step(self) -> bool:
        """Send one message if something is new and it is time; return whether one was sent."""
        now = self._clock()
        if 0 <= self._next - now <= self._notify.every_s:  # else it is due, or the clock was set
            return False
        self._next = now + self._notify.every_s
        counts = counts_of(self._families())
        before = read_counts(self._file)
        if before is None:  # the first start: what was before us is no news
            self._remember(counts)
            return False
        told = news(before, counts)
        if not told:
            return False
        # The one that fails is tried again with what is new then; the other hears it twice.
        sent = [self._send(by, send, told) for by, send in self._senders()]
        if all(sent):
            self._remember(counts)
        return any(sent)

    def _senders(self) -> Iterable[tuple[str, Sender]]:
        mail, webhook, timeout_s = self._notify.mail, self._notify.webhook, self._notify.timeout_s
        if mail is not None:
            yield "mail", lambda site, told: send_mail(mail, site, told, timeout_s=timeout_s)
        if webhook is not None:
            yield "webhook", lambda site, told: post(webhook, site, told, timeout_s=timeout_s)

    def _send(self, by: str, send: Sender, told: list[News]) -> bool:
        try:
            send(self._site, told)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._failed.labels(by).inc()
            log.warning("message not sent; it is tried again", extra={"kind": by, "reason": type(error).__name__})
            return False
        self._sent.labels(by).inc()
        log.info("message sent", extra={"kind": by, "count": sum(each.count for each in told)})
        return True

    def _remember(self, counts: Mapping[str, int]) -> None:
        put_durably(io.BytesIO(json.dumps(counts).encode()), self._file)


def text_of(site: str, told: Iterable[News]) -> str:
    """Return the message as text."""
    lines = [f"New at {site}, waiting for a person. Nothing of it has left the hospital, and nothing is lost.", ""]
    for each in told:
        lines += [f"{each.count} {each.what}", f"    {each.do}", ""]
    lines += ["Look: appliance quarantine list", ""]
    return "\n".join(lines)


def send_mail(mail: Mail, site: str, told: list[News], *, timeout_s: float) -> None:
    """Send a mail. Raises OSError or SMTPException when the server does not take it for everybody."""
    message = EmailMessage()
    message["Subject"] = f"{site}: {sum(each.count for each in told)} new, waiting for a person"
    message["From"], message["To"] = mail.sender, ", ".join(mail.to)
    message.set_content(text_of(site, told))
    trusted = ssl.create_default_context(cafile=mail.ca)
    if mail.encryption == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout_s, context=trusted)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=timeout_s)
    with server:
        if mail.encryption == "starttls":
            server.starttls(context=trusted)
        if mail.password_file is not None:
            server.login(mail.user, _secret(mail.password_file))
        if refused := server.send_message(message):
            raise smtplib.SMTPRecipientsRefused(refused)


def post(webhook: Webhook, site: str, told: list[News], *, timeout_s: float) -> None:
    """Post the message as JSON. Raises OSError when it is not answered with 2xx; redirects are not followed."""
    body = {
        "site": site,
        "text": text_of(site, told),  # what chat systems show
        "news": [{"count": each.count, "what": each.what, "do": each.do} for each in told],
    }
    headers = {"Content-Type": "application/json"}
    if webhook.token_file is not None:
        headers["Authorization"] = f"Bearer {_secret(webhook.token_file)}"
    request = urllib.request.Request(webhook.url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310
    trusted = ssl.create_default_context(cafile=webhook.ca)
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=trusted))
    with opener.open(request, timeout=timeout_s):
        pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token must not go to another host: a redirect is an error."""

    def redirect_request(self, *_: object) -> None:
        return None


def _secret(file: Path) -> str:
    """Return the first line; a systemd credential of the file's name goes before the file."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials) / file.name if credentials else file
    with open_regular(credential if credential.is_file() else file) as body:
        return body.read(LARGEST_SECRET).decode("utf-8").strip()
