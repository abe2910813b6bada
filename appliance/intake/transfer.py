"""The transfer: what a caller sends once its association is accepted, and what it is told.

One loop in the association's own thread, from the socket's buffer straight into the file. It never decodes a Data Set,
never waits for anything but the peer and the disk, and answers STORED only after ``Entry.keep`` returned.
Source: PS3.7 Section 9.1, PS3.4 Annex B.
"""

import logging
import time
from collections.abc import Callable, Mapping

from appliance.errors import Malformed, SpoolFull
from appliance.intake import commitment, dimse
from appliance.intake.associate import Context, is_uid
from appliance.intake.dimse import Command
from appliance.intake.door import Door, Entry
from appliance.intake.observed import Observed
from appliance.intake.quota import OverQuota
from appliance.intake.sop_classes import STORAGE_COMMITMENT, VERIFICATION
from appliance.intake.statuses import Status
from appliance.intake.wire import AbortReason, End, Fragment, Over, Wire
from appliance.model import Provenance

log = logging.getLogger(__name__)

_LONGEST_COMMAND = 64 * 1024  # a command set has some 300 bytes
_LONGEST_ASKED = 4 * 1024 * 1024  # a request for commitment: some 30,000 instances
_SHORTEST_DATA_SET = 8  # one element with nothing in it
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})


class Transfer:
    """The messages of one accepted association.

    contexts  the accepted ones, by id
    differs   whether a draft's own UIDs differ from the announced ones; None: not looked at (strict_uids off)
    refused   is told of every C-STORE that was not stored, and of every request for commitment that was not kept
    commit    keeps requests for storage commitment; None: this peer is offered none
    """

    def __init__(
        self,
        wire: Wire,
        contexts: Mapping[int, Context],
        provenance: Provenance,
        *,
        door: Door,
        observed: Observed,
        differs: Callable[[Entry], bool] | None = None,
        refused: Callable[[Status], None] = lambda _status: None,
        commit: commitment.Keep | None = None,
    ) -> None:
        self._wire = wire
        self._contexts = contexts
        self._provenance = provenance
        self._source = provenance.source
        self._door = door
        self._observed = observed
        self._differs = differs
        self._refused = refused
        self._commit = commit

    def run(self) -> None:
        """Serve messages until the peer asks for release, and grant it. Raises Over for every other end."""
        while True:
            fragment = self._wire.fragment()
            if fragment is None:
                self._wire.release()
                return
            self._serve(fragment)

    def _serve(self, first: Fragment) -> None:
        context = self._contexts.get(first.context)
        if context is None or not first.is_command:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
        try:
            command = dimse.read_command(self._command_set(first))
        except Malformed:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER) from None
        is_verification = context.abstract_syntax == VERIFICATION
        is_commitment = context.abstract_syntax == STORAGE_COMMITMENT
        if command.field == dimse.N_ACTION_RQ and is_commitment and self._commit is not None:
            self._ask(context, command, self._commit)
        elif command.field == dimse.C_STORE_RQ and not is_verification and not is_commitment:
            self._store(context, command)
        elif command.field == dimse.C_ECHO_RQ and is_verification:
            self._skip_data_set(context, command)
            self._wire.send(dimse.response(command, context.context, Status.VERIFIED))
            self._observed.echoed(self._source)
        else:
            self._skip_data_set(context, command)
            if not dimse.expects_no_answer(command):
                self._wire.send(dimse.response(command, context.context, Status.UNRECOGNIZED_OPERATION))

    def _command_set(self, first: Fragment) -> bytes:
        parts = bytearray()
        fragment = first
        while True:
            left = fragment.length
            if len(parts) + left > _LONGEST_COMMAND:
                raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
            while left:
                piece = self._wire.piece(left)
                parts += piece
                left -= len(piece)
            if fragment.is_last:
                return bytes(parts)
            fragment = self._follower(first.context, is_command=True)

    def _store(self, context: Context, command: Command) -> None:
        entry, refusal = self._begin(context, command)
        try:
            if command.has_data_set:
                refusal = self._receive(context, entry, refusal)
            done = time.monotonic()
            status = refusal or self._finish(context, entry)
        finally:
            if entry is not None:
                entry.drop()  # without effect once it is kept
        self._wire.send(dimse.response(command, context.context, status))
        if status is Status.STORED and entry is not None:
            self._observed.stored(self._source, entry.size, time.monotonic() - done)
        else:
            log.warning("not stored", extra={"source": self._source, "status": status.label})
            self._observed.refused(self._source, status.label)
            self._refused(status)

    def _begin(self, context: Context, command: Command) -> tuple[Entry | None, Status | None]:
        """Return an entry to write to, or why there is none; the Data Set must be read on either way."""
        if not (is_uid(command.sop_class) and is_uid(command.sop_instance)):
            return None, Status.MISSING_UID
        try:
            return (
                self._door.begin(self._provenance, command.sop_class, command.sop_instance, context.transfer_syntax),
                None,
            )
        except (SpoolFull, OSError) as error:
            return None, _out_of_resources(error)

    def _receive(self, context: Context, entry: Entry | None, refusal: Status | None) -> Status | None:
        """Read the whole Data Set, into ``entry`` as long as nothing speaks against it; return what does."""
        piece_of = self._wire.piece
        while True:
            fragment = self._follower(context.context, is_command=False)
            left = fragment.length
            while left:
                piece = piece_of(left)
                left -= len(piece)
                if refusal is None and entry is not None:
                    try:
                        entry.write(piece)
                    except (SpoolFull, OSError) as error:
                        refusal = _out_of_resources(error)
                        entry.drop()  # now, so that what it took is free while the rest is read
            if fragment.is_last:
                return refusal

    def _finish(self, context: Context, entry: Entry | None) -> Status:
        """Make the entry durable and return STORED, or what is said instead."""
        if entry is None or entry.data_set_bytes < _SHORTEST_DATA_SET:
            return Status.NO_DATA_SET
        if entry.data_set_bytes & 1 and context.transfer_syntax not in _DEFLATED:
            return Status.NO_DATA_SET  # every Data Set is even; an odd one was cut off. PS3.5 Section 7.1
        try:
            if self._differs is not None and self._differs(entry):
                return Status.DATA_SET_MISMATCH
            arrival = entry.keep()
        except (SpoolFull, OSError) as error:
            return _out_of_resources(error)
        log.info("received", extra={"spool_id": arrival.id, "bytes": arrival.size})
        return Status.STORED

    def _ask(self, context: Context, command: Command, keep: commitment.Keep) -> None:
        """Answer a request for storage commitment, once it is kept or refused."""
        data = self._gathered(context) if command.has_data_set else b""
        status = commitment.answer(command, data, context.transfer_syntax, keep)
        self._wire.send(dimse.response(command, context.context, status))
        log.info("commitment asked", extra={"source": self._source, "state": status.label})
        if status is not Status.COMMITMENT_ASKED:
            self._refused(status)

    def _gathered(self, context: Context) -> bytes | None:
        """Read a whole Data Set into memory; None if it has more than _LONGEST_ASKED bytes."""
        parts = bytearray()
        length = 0
        while True:
            fragment = self._follower(context.context, is_command=False)
            left = fragment.length
            length += left
            while left:
                piece = self._wire.piece(left)
                left -= len(piece)
                if length <= _LONGEST_ASKED:
                    parts += piece
            if fragment.is_last:
                return bytes(parts) if length <= _LONGEST_ASKED else None

    def _skip_data_set(self, context: Context, command: Command) -> None:
        if command.has_data_set:
            self._receive(context, None, None)

    def _follower(self, context: int, *, is_command: bool) -> Fragment:
        """Return the next fragment of the message under way; anything else is against the protocol."""
        fragment = self._wire.fragment()
        if fragment is None:
            raise Over(End.VIOLATION, AbortReason.UNEXPECTED_PDU)
        if fragment.context != context or fragment.is_command is not is_command:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
        return fragment


def _out_of_resources(error: SpoolFull | OSError) -> Status:
    """Any failure of the disk is A700: the sender keeps its copy and comes again, which is true of each of them."""
    number = error.errno if isinstance(error, OSError) else None
    why = str(error) if isinstance(error, OverQuota) else ""
    log.warning("spool refused a write", extra={"errno": number, "kind": type(error).__name__, "why": why})
    return Status.OUT_OF_RESOURCES
