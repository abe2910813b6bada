"""One caller, from the connection to its end: TLS, request, answer, transfer, farewell."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance import config
from appliance.errors import Malformed
from appliance.intake import associate, commitment, tls, troubles
from appliance.intake.associate import Rejection
from appliance.intake.callers import Callers, shown
from appliance.intake.door import Door, Entry
from appliance.intake.observed import Observed
from appliance.intake.peers import Peers
from appliance.intake.sop_classes import APPLICATION_CONTEXT
from appliance.intake.statuses import Status
from appliance.intake.transfer import Transfer
from appliance.intake.troubles import Trouble
from appliance.intake.wire import AbortReason, End, Over, Wire
from appliance.model import Provenance

log = logging.getLogger(__name__)

REQUEST_S = 15.0  # ARTIM: from the connection to the end of the request. PS3.8 Section 9.1.5
_FAREWELL_S = 2.0  # for the peer to close after our last PDU
_MOST_NAMED = 6  # proposed SOP Classes that are told
_LONGEST_REQUEST = 1024 * 1024  # 128 contexts with 40 transfer syntaxes each are 200 KB


@dataclass(frozen=True, slots=True)
class House:
    """What every association of a receiver shares.

    differs  see Transfer; None unless strict_uids
    callers  remembers what went wrong
    commits  what keeps requests for storage commitment of who came so; None: such a peer is offered none
    """

    scp: config.Scp
    peers: Peers
    door: Door
    observed: Observed
    tls: ssl.SSLContext | None = None
    differs: Callable[[Entry], bool] | None = None
    callers: Callers = field(default_factory=Callers)
    commits: Callable[[Provenance], commitment.Keep | None] = lambda _provenance: None


class Association:
    """A connection and what becomes of it; ``run`` belongs to its own thread.

    enter     asks for a place among the accepted associations: None, or why there is none
    address   IP address of the other end
    """

    def __init__(
        self, sock: socket.socket, address: str, house: House, *, encrypted: bool, enter: Callable[[], Rejection | None]
    ) -> None:
        self._sock = sock
        self._address = address
        self._house = house
        self._encrypted = encrypted
        self._enter = enter
        self._wire: Wire | None = None
        self._source = ""
        self._calling = ""

    def run(self) -> None:
        """Serve the caller to the end; returns when the connection is closed, whatever happened."""
        how = End.UNEXPECTED
        try:
            how = self._serve()
        except Over as over:
            how = over.end
            if over.abort is not None and self._wire is not None:
                self._wire.abort(over.abort)
                self._wire.linger(_FAREWELL_S)
        except Exception:  # the edge of an association: one caller's trouble must not become the others'
            log.exception("association failed; what was not answered with Success is not stored")
            if self._wire is not None:
                self._wire.abort(AbortReason.NOT_SPECIFIED)
        finally:
            self._close()
            self._remember(how)
            if self._source:
                self._house.observed.ended(self._source, how.value)
                log.info("association ended", extra={"source": self._source, "how": how.value})
            elif how is not End.RELEASED:
                self._house.observed.refused_connection(how.value)

    def hang_up(self) -> None:
        """From another thread: end it now; what is half received is dropped, and the peer is told by an abort."""
        wire = self._wire
        if wire is not None:
            wire.hang_up()
        else:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _serve(self) -> End:
        """Return how it ended; a rejected one counts as released."""
        wire = self._wire = self._connected()
        request = self._requested(wire)
        welcome = self._welcome(request)
        if isinstance(welcome, Rejection):
            self._reject(wire, request, welcome)
            return End.RELEASED
        self._source = welcome.source
        self._calling = request.calling_ae
        commit = self._house.commits(welcome)
        contexts = associate.negotiate(request, commitment=commit is not None)
        wire.send(associate.acceptance(request, contexts, self._house.scp.max_pdu_kb * 1024))
        self._house.observed.accepted(welcome.source)
        accepted = {context.context: context for context in contexts if context.result == associate.ACCEPTED}
        if not accepted:
            self._failed(Trouble.NOTHING_ACCEPTED, called=request.called_ae, facts=_proposed(request))
        log.info(
            "association accepted",
            extra={"source": welcome.source, "contexts": len(contexts), "accepted": len(accepted)},
        )
        house = self._house
        Transfer(
            wire,
            accepted,
            welcome,
            door=house.door,
            observed=house.observed,
            differs=house.differs,
            refused=self._refused,
            commit=commit,
        ).run()
        wire.linger(_FAREWELL_S)
        return End.RELEASED

    def _connected(self) -> Wire:
        """Return the wire, after the TLS handshake on the encrypted port."""
        sock = self._sock
        scp = self._house.scp
        with contextlib.suppress(OSError):  # gone already: reading will tell
            # Nagle's algorithm would hold our small answers back for 40 ms each.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._encrypted and self._house.tls is not None and scp.tls is not None:
            try:
                sock = tls.encrypted(sock, self._house.tls, handshake_s=scp.tls.handshake_s)
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                log.warning("TLS handshake failed", extra={"peer": self._address, "why": reason})
                self._failed(troubles.of_handshake(reason))
                raise Over(End.VIOLATION) from None
            self._sock = sock
        return Wire(sock, idle_s=scp.idle_s)

    def _requested(self, wire: Wire) -> associate.Request:
        try:
            body = wire.request(longest=_LONGEST_REQUEST, within_s=REQUEST_S)
        except Over as over:
            # A connection that only opens and closes is a probe of a load balancer: no trouble.
            if over.end in (End.TLS_HELLO, End.VIOLATION):
                tls_hello = over.end is End.TLS_HELLO
                self._failed(Trouble.TLS_ON_PLAIN_PORT if tls_hello else Trouble.NOT_DICOM)
            raise
        try:
            return associate.read_request(body)
        except Malformed as error:
            log.warning("association request not understood", extra={"peer": self._address, "why": str(error)})
            self._failed(Trouble.NOT_UNDERSTOOD)
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER) from None

    def _welcome(self, request: associate.Request) -> Provenance | Rejection:
        """Return how this caller's instances come, or why it is rejected: what is permanent first."""
        if not request.protocol & 1:
            return Rejection.UNKNOWN_PROTOCOL
        if request.application != APPLICATION_CONTEXT:
            return Rejection.UNKNOWN_APPLICATION
        admitted = self._house.peers.admit(request.calling_ae, request.called_ae, self._address)
        if isinstance(admitted, Rejection):
            return admitted
        return self._enter() or admitted

    def _reject(self, wire: Wire, request: associate.Request, why: Rejection) -> None:
        # The titles are what hospital IT must compare with the configuration.
        calling, called = shown(request.calling_ae), shown(request.called_ae)
        log.warning(
            "association rejected",
            extra={"reason": why.label, "calling_ae": calling, "called_ae": called, "peer": self._address},
        )
        self._calling = request.calling_ae
        self._failed(troubles.of_rejection(why), called=request.called_ae)
        self._house.observed.rejected(why.label)
        wire.send(associate.rejection(why))
        wire.linger(_FAREWELL_S)

    def _failed(self, trouble: Trouble, *, called: str = "", facts: str = "") -> None:
        self._house.callers.failed(self._address, self._calling, trouble, called=called, facts=facts)

    def _refused(self, status: Status) -> None:
        trouble = troubles.of_status(status)
        if trouble is not None:
            self._failed(trouble)

    def _remember(self, how: End) -> None:
        """Remember how an accepted association ended."""
        if self._source and how is End.RELEASED:
            self._house.callers.worked(self._address, self._calling)
        elif self._source and (trouble := troubles.of_end(how)) is not None:
            self._failed(trouble)

    def _close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        with contextlib.suppress(OSError):
            self._sock.close()


def _proposed(request: associate.Request) -> str:
    """Return what was proposed, as its vendor will recognise it: UIDs and the name of the software."""
    named = dict.fromkeys(each.abstract_syntax for each in request.proposals if associate.is_uid(each.abstract_syntax))
    first = ", ".join(list(named)[:_MOST_NAMED]) + (", …" if len(named) > _MOST_NAMED else "")
    return f"Proposed in {len(request.proposals)} presentation contexts: {first or 'no UID'}."
