"""The DICOM receiver: accepts connections, a thread for each, within its limits, until it drains."""

import contextlib
import errno
import logging
import selectors
import socket
import threading
import time

from appliance.intake.associate import Rejection
from appliance.intake.association import Association, House
from appliance.intake.listening import Listener

log = logging.getLogger(__name__)

# Connections that have not asked for an association yet, beside the accepted ones. When all are taken, the one that
# has been silent longest makes room: port scanners and half-open connections lock nobody out.
_MOST_SILENT = 64
_ASK_S = 1.0  # a drain waits this long for who was connected before it to ask
_LAST_WORD_S = 5.0  # for hung-up associations to send their abort and be gone
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Scp:
    """The receiver over its listening sockets.

    ``start`` returns at once; ``drain`` ends it. What it accepts is limited by ``house.scp.max_associations``.
    """

    def __init__(self, listeners: tuple[Listener, ...], house: House) -> None:
        self._listeners = listeners
        self.house = house  # another may come while it works: who is accepted from then on is judged by it
        self._lock = threading.Lock()
        self._silent: dict[Association, threading.Thread] = {}  # in order of arrival
        self._entered: dict[Association, threading.Thread] = {}
        self._still_welcome: set[Association] | None = (
            None  # None: not draining; else who came before and has not asked
        )
        self._drain_asked = threading.Event()
        self._drain_begun = threading.Event()
        self._stop_accepting = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._acceptor = self._accepting_thread()

    def start(self) -> None:
        """Begin to accept; once more if what accepted has died."""
        if self._acceptor.ident is not None:
            self._acceptor = self._accepting_thread()
        self._acceptor.start()

    def _accepting_thread(self) -> threading.Thread:
        return threading.Thread(target=self._accept_all, name="scp-accept", daemon=True)

    @property
    def is_accepting(self) -> bool:
        """Whether the accepting thread lives."""
        return self._acceptor.is_alive()

    @property
    def associations(self) -> int:
        """How many accepted associations run."""
        return len(self._entered)

    @property
    def connections(self) -> int:
        """How many connections there are, accepted or not."""
        return len(self._entered) + len(self._silent)

    def drain(self, seconds: float) -> None:
        """Accept no new association, let running ones finish for up to ``seconds``, then abort them; return when done.

        On a socket of our own, callers are rejected (transient) until the end. On one that systemd holds they are
        left in the backlog: the next start serves them, and no modality notices.
        """
        deadline = time.monotonic() + seconds
        self._drain_asked.set()
        self._poke()
        self._drain_begun.wait(timeout=_LAST_WORD_S)
        self._wait_for(self._silent, min(deadline, time.monotonic() + _ASK_S))
        self._wait_for(self._entered, deadline)
        self._stop_accepting.set()
        self._poke()
        self._acceptor.join(timeout=_LAST_WORD_S)
        with self._lock:
            left = {**self._silent, **self._entered}
        for association in left:
            association.hang_up()
        end = time.monotonic() + _LAST_WORD_S
        for thread in left.values():
            thread.join(timeout=max(0.0, end - time.monotonic()))
        for listener in self._listeners:
            listener.close()
        self._wake.close()
        self._woken.close()

    def _wait_for(self, threads: dict[Association, threading.Thread], deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            with self._lock:
                running = next(iter(threads.values()), None)
            if running is None:
                return
            running.join(timeout=left)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b".")

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener.sock, selectors.EVENT_READ, listener)
            while not self._stop_accepting.is_set():
                for key, _events in selector.select():
                    if isinstance(key.data, Listener):
                        self._accept(key.data)
                    else:
                        self._woken.recv(16)
                        if self._drain_asked.is_set() and not self._drain_begun.is_set():
                            self._begin_drain(selector)

    def _begin_drain(self, selector: selectors.BaseSelector) -> None:
        """Leave systemd's sockets alone from here on, and remember who was accepted before.

        In the accepting thread, so that nobody is between the two: accepted here, and then rejected for the drain.
        """
        for key in list(selector.get_map().values()):
            if isinstance(key.data, Listener) and key.data.passed:
                selector.unregister(key.fileobj)
        with self._lock:
            self._still_welcome = set(self._silent)
        self._drain_begun.set()

    def _accept(self, listener: Listener) -> None:
        try:
            sock, address = listener.sock.accept()
        except (BlockingIOError, InterruptedError):
            return  # another process was quicker
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                log.error("cannot accept a caller: no descriptors or memory left", extra={"errno": error.errno})
                self._stop_accepting.wait(0.2)  # the caller stays in the backlog; without a pause this would spin
            return
        sock.setblocking(True)
        self._begin(sock, str(address[0]), encrypted=listener.encrypted)

    def _begin(self, sock: socket.socket, address: str, *, encrypted: bool) -> None:
        association = Association(
            sock, address, self.house, encrypted=encrypted, enter=lambda: self._enter(association)
        )
        thread = threading.Thread(target=self._run, args=(association,), name="scp-association", daemon=True)
        with self._lock:
            oldest = next(iter(self._silent)) if len(self._silent) >= _MOST_SILENT else None
            try:
                thread.start()  # under the lock: a drain joins every thread that it sees
            except RuntimeError:
                log.error("cannot serve a caller: no thread can be started")
                sock.close()  # the caller sees a closed connection, and comes again
                return
            self._silent[association] = thread
            if oldest is not None:
                del self._silent[oldest]
                oldest.hang_up()

    def _run(self, association: Association) -> None:
        try:
            association.run()
        finally:
            self._gone(association)

    def _enter(self, association: Association) -> Rejection | None:
        """Move the association from the silent to the accepted ones, or say why not."""
        if not self.house.door.has_room():
            return Rejection.CONGESTION
        with self._lock:
            if self._still_welcome is not None and association not in self._still_welcome:
                return Rejection.CONGESTION
            if len(self._entered) >= self.house.scp.max_associations:
                return Rejection.TOO_MANY
            thread = self._silent.pop(association, None)
            if thread is None:  # it was hung up in this very moment, to make room
                return Rejection.CONGESTION
            self._entered[association] = thread
        return None

    def _gone(self, association: Association) -> None:
        with self._lock:
            self._silent.pop(association, None)
            self._entered.pop(association, None)
