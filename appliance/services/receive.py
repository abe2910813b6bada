"""The receive service: the DICOM port, and behind it the door of the house."""

import logging
import os
import random
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from appliance.config import Config, Peer
from appliance.errors import CannotStart, ConfigError
from appliance.intake import commitment, tls
from appliance.intake.association import House
from appliance.intake.callers import Callers
from appliance.intake.commitment_report import report
from appliance.intake.door import Door
from appliance.intake.listening import Listener, listeners
from appliance.intake.observed import Observed
from appliance.intake.peers import Peers
from appliance.intake.scp import Scp
from appliance.intake.strict import differs
from appliance.intake.troubles import Trouble
from appliance.model import Provenance
from appliance.services.committing import Committing
from appliance.services.quotas import quotas
from appliance.services.reload import differences
from appliance.spool.inside import Spool
from appliance.spool.recovery import recover_received

log = logging.getLogger(__name__)

REPAIR_S = 0.01  # of each turn of the loop
COUNT_S = 5.0  # between two counts of the commitments
TIDY_S = 3600.0
# What a change of the configuration needs a restart for; all else is taken over, or is of no concern to receiving.
FIXED = ("state", "spool.reserve_gb", "scp.host", "scp.port", "scp.tls")
STOP_S = 5.0  # for a report under way; one that is cut off is repeated after the start


class Receive:
    """Takes what modalities send and answers Success once it is durable.

    The work happens in the associations' threads; ``step`` only looks after them.
    observed  what is told to the metrics; environ: of the process, for sockets that systemd passed
    """

    name = "receive"

    def __init__(
        self,
        config: Config,
        observed: Observed | None = None,
        *,
        knows: Callable[[Collection[str]], None] = lambda _: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._config = config
        self._observed = observed or Observed()
        self._knows = knows
        self._environ = environ
        self._listeners: tuple[Listener, ...] = ()
        self._spool: Spool | None = None
        self._door: Door | None = None
        self._scp: Scp | None = None
        self._committing: Committing | None = None
        self._calls: ssl.SSLContext | None = None  # for reports of commitments over TLS
        self._is_repaired = False
        self._counted = self._tidied = float("-inf")

    def start(self) -> None:
        """Open the port and accept. Raises CannotStart: port in use, certificate unusable, no folder to write to."""
        scp = self._config.scp
        encryption = None if scp.tls is None else tls.server_context(scp.tls)
        self._listeners = listeners(scp, self._environ)
        try:
            self._spool = Spool(self._config.state / "inside", reserve_bytes=self._config.spool.reserve_bytes)
            self._door = Door(
                self._spool, role=self.name, observed=self._observed, quotas=quotas(self._config, self._spool)
            )
        except OSError as error:
            self._close_listeners()
            raise CannotStart(
                f"The receiver cannot write to the state folder: {error.strerror or error}. "
                "No image was refused or lost; the receiver has not started. "
                "Check the owner, mode and free space of the folder named by 'state', then start again."
            ) from None
        except BaseException:
            self._close_listeners()
            raise
        self._callers = Callers(callers_file(self._config))
        self._committing = self._commits(self._spool, self._door)
        self._scp = Scp(self._listeners, self._house(self._config, self._door, encryption))
        self._scp.start()
        self._repair = recover_received(self._spool)
        if self._committing is not None:
            self._committing.start()
        log.info("listening", extra={"ports": [listener.port for listener in self._listeners]})

    @property
    def port(self) -> int:
        """The plain port; useful when the configuration says 0."""
        return next(listener.port for listener in self._listeners if not listener.encrypted)

    @property
    def tls_port(self) -> int:
        """The encrypted port."""
        return next(listener.port for listener in self._listeners if listener.encrypted)

    def step(self) -> bool:
        """See that callers are still accepted, and give files their rows that a death of this service left without.

        Of each turn only REPAIR_S: the associations' threads come first.
        """
        if self._scp is not None and not self._scp.is_accepting:
            log.error("accepting callers ended unexpectedly; beginning again")
            self._scp.start()
        self._is_repaired = not self._repair.run_for(REPAIR_S) or self._is_repaired
        self._callers.save()
        if self._committing is not None:
            self._look_after(self._committing)
        return False

    def stop(self) -> None:
        """Drain: reject new callers, let running associations finish up to ``drain_s``, then abort them."""
        if self._scp is not None:
            self._scp.drain(self._config.scp.drain_s)
        if self._committing is not None:
            self._committing.stop(STOP_S)
        if self._door is not None:
            self._door.close()
        if self._spool is not None:
            self._spool.close()

    def take_over(self, new: Config) -> list[str]:
        """Let associations that begin from now on be judged by ``new``; those that run keep what they began with.

        Return the names of what needs a restart: then nothing is taken over. Raises ConfigError when the files of the
        encrypted port cannot be used: then nothing is, either.
        """
        stuck = stuck_on(self._config, new)
        if stuck or self._scp is None or self._door is None or self._spool is None:
            return stuck
        try:
            encryption = None if new.scp.tls is None else tls.server_context(new.scp.tls)
            self._calls = _calling(new)
        except CannotStart:
            what = "scp.tls: certificate, key and client_ca cannot be used together. See why with: appliance doctor"
            raise ConfigError(what, file=new.file) from None
        self._knows(new.sources)
        self._door.quotas = quotas(new, self._spool)
        self._scp.house = self._house(new, self._door, encryption)
        self._config = new
        return []

    def _house(self, config: Config, door: Door, encryption: ssl.SSLContext | None) -> House:
        """Return what associations share under a configuration."""
        peers = Peers(
            config.scp,
            project_of=lambda called: config.project_of(called_ae=called),
            called=frozenset(title for project in config.projects.values() for title in project.called),
        )
        return House(
            config.scp,
            peers,
            door,
            self._observed,
            tls=encryption,
            differs=differs if config.scp.strict_uids else None,
            callers=self._callers,
            commits=lambda provenance: self._keeper(peers, provenance),
        )

    def _commits(self, spool: Spool, door: Door) -> Committing | None:
        """Return what keeps and reports commitments; None where no peer is promised any, and none was."""
        scp = self._config.scp
        peers = _committed(self._config)
        if not peers and not spool.layout.commitments.exists():
            return None
        self._calls = _calling(self._config)
        return Committing(
            spool,
            peers,
            scp.ae_title,
            rowed_until=door.rowed_until,
            is_repaired=lambda: self._is_repaired,
            clock=time.time,
            chance=random.SystemRandom().random,
            failed=self._not_taken,
            send=lambda to, calling, events: report(to, calling, events, encryption=self._calls),
        )

    def _not_taken(self, peer: Peer, why: str) -> None:
        if peer.commitment is not None:
            self._callers.failed(peer.commitment.host, peer.ae_title, Trouble.REPORT_NOT_TAKEN, facts=why)

    def _keeper(self, peers: Peers, provenance: Provenance) -> commitment.Keep | None:
        peer, committing = peers.peer_of(provenance), self._committing
        if committing is None or peer is None or peer.commitment is None:
            return None
        return lambda asked: committing.ask(peer, provenance, asked)

    def _look_after(self, committing: Committing) -> None:
        now = time.monotonic()
        if now - self._counted >= COUNT_S:
            self._counted = now
            self._observed.commitments(committing.counts())
        if now - self._tidied >= TIDY_S:
            self._tidied = now
            committing.tidy()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()


def stuck_on(old: Config, new: Config) -> list[str]:
    """Return the names of what changed and cannot be taken over while the receiver works."""
    changed = differences(old, new)
    stuck = [name for name in changed if name.startswith(FIXED)]
    promised = _promised(old)
    if promised != _promised(new) or (promised and "scp.ae_title" in changed):
        stuck.append("scp.peers[].commitment")
    return stuck


def _promised(config: Config) -> list[tuple[str, object]]:
    """Return who is promised storage commitment, and how."""
    return sorted(((peer.ae_title, peer.commitment) for peer in _committed(config)), key=repr)


def _committed(config: Config) -> list[Peer]:
    return [] if config.scp.peers == "any" else [peer for peer in config.scp.peers if peer.commitment is not None]


def _calling(config: Config) -> ssl.SSLContext | None:
    """Return what reports are encrypted with; None where no peer asks for it. Raises CannotStart."""
    encrypts = any(peer.commitment.tls for peer in _committed(config) if peer.commitment is not None)
    return tls.client_context(config.scp.tls) if encrypts and config.scp.tls is not None else None


def callers_file(config: Config) -> Path:
    """Return where the receiver keeps what went wrong with its callers lately."""
    return config.state / "inside" / "metrics" / "callers.json"
