"""A real mail server on loopback (aiosmtpd), with STARTTLS and a login."""

import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.peers.ports import free_port


class MailServer:
    """Keeps what it takes. ``refuses`` answers every recipient with 550."""

    def __init__(self, certificate, key, *, password="", refuses=False):
        self.letters = []
        self.logins = []
        self.refuses = refuses
        self._password = password.encode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.port = free_port()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            tls_context=context,
            require_starttls=True,
            authenticator=self._authenticate,
            auth_required=bool(password),
        )

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuses:
            return "550 nobody of that name here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 taken"

    def _authenticate(self, server, session, envelope, mechanism, login):
        self.logins.append(login.login.decode())
        return AuthResult(success=login.password == self._password)

    def __enter__(self):
        self._controller.start()
        return self

    def __exit__(self, *_):
        self._controller.stop()
