"""Every patient of the store, in clear: for the export, which is audited by whoever asks."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.mapping.store import MappingStore


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient and what stands for him today. Identifying: never to be logged."""

    domain: str
    issuer: str
    number: str
    pseudonym: str
    scope: str

    def __repr__(self) -> str:
        return f"Patient(pseudonym={self.pseudonym!r})"


def patients(store: MappingStore) -> Iterator[Patient]:
    """Yield every patient, by pseudonym. One consistent view, whatever is committed meanwhile."""
    rows = store.db.execute("SELECT index_, pseudonym, sealed FROM mapped WHERE kind = 'patient' ORDER BY pseudonym")
    for index, pseudonym, sealed in rows:
        known = store.unsealed(index, "patient", pseudonym, sealed)
        domain, _, issuer = known.domain.partition("|issuer:")
        yield Patient(domain, issuer, known.original, pseudonym, known.scope)
