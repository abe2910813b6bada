"""A modality that asks for storage commitment and takes the reports, by pynetdicom: no code of ours on its side.

with Modality() as modality:
    status = modality.ask(edge_port, "1.2.3", [(CT, "1.2.4")])
    report = modality.report("1.2.3")          # waits for it
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt

from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"


@dataclass
class Report:
    """An N-EVENT-REPORT: its type, the committed SOP Instance UIDs, and the failed ones with their reason."""

    kind: int
    transaction: str
    committed: list[str]
    failed: dict[str, int]
    calling: str
    called: str


@dataclass
class Modality:
    """Asks from ``ae_title`` and listens on ``port``.

    answers  the statuses that it gives to reports; afterwards Success
    """

    ae_title: str = "CT1"
    answers: list[int] = field(default_factory=list)
    takes_roles: bool = True
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None  # of the port that takes reports
    port: int = 0
    reports: list[Report] = field(default_factory=list)
    released: int = 0  # associations that whoever reported ended as it should

    def __enter__(self) -> Self:
        self.port = self.port or free_port()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        entity = AE(ae_title=self.ae_title)
        roles = {"scu_role": False, "scp_role": True} if self.takes_roles else {}
        entity.add_supported_context(PUSH_MODEL, ExplicitVRLittleEndian, **roles)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._came), (evt.EVT_RELEASED, self._released)]
        self._server = entity.start_server(
            (self.host, self.port), block=False, evt_handlers=handlers, ssl_context=self.tls
        )

    def stop(self) -> None:
        self._server.shutdown()

    def ask(
        self,
        port: int,
        transaction: str,
        references: Sequence[tuple[str, str]],
        *,
        action: int = 1,
        edge: str = "127.0.0.1",
        **changes: Any,
    ) -> int | None:
        """Ask by N-ACTION and return the status; None where the context was not accepted.

        edge  address of the receiver; changes: attributes of the request
        """
        wanted = Dataset()
        wanted.TransactionUID = transaction
        wanted.ReferencedSOPSequence = [_reference(*each) for each in references]
        for keyword, value in changes.items():
            setattr(wanted, keyword, value)
        entity = AE(ae_title=self.ae_title)
        entity.add_requested_context(PUSH_MODEL, ExplicitVRLittleEndian)
        role = build_role(PUSH_MODEL, scu_role=True, scp_role=True)
        association = entity.associate(edge, port, ae_title="EDGE", ext_neg=[role])
        if not association.is_established:
            return None
        try:
            answer, _ = association.send_n_action(wanted, action, PUSH_MODEL, WELL_KNOWN)
            return answer.get("Status", None)
        finally:
            association.release()

    def report(self, transaction: str, *, within_s: float = PATIENCE_S) -> Report:
        """Wait for the report of a transaction and return the latest."""
        assert until(lambda: self.of(transaction), seconds=within_s), "no report came"
        return self.of(transaction)[-1]

    def of(self, transaction: str) -> list[Report]:
        return [each for each in self.reports if each.transaction == transaction]

    def _released(self, _event: evt.Event) -> None:
        self.released += 1

    def _came(self, event: evt.Event) -> tuple[int, None]:
        status = self.answers.pop(0) if self.answers else 0
        if status == 0:
            said = event.event_information
            self.reports.append(
                Report(
                    event.event_type,
                    said.TransactionUID,
                    [each.ReferencedSOPInstanceUID for each in said.get("ReferencedSOPSequence", [])],
                    {each.ReferencedSOPInstanceUID: each.FailureReason for each in said.get("FailedSOPSequence", [])},
                    event.assoc.requestor.ae_title,
                    event.assoc.acceptor.ae_title,
                )
            )
        return status, None


def _reference(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_instance
    return item
