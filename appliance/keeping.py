"""How long things are kept, and how they are backed up, as the configuration says it; ``config`` holds the rest."""

from dataclasses import dataclass
from pathlib import Path

from appliance.yamlfile import demand

GiB = 1024**3


@dataclass(frozen=True, slots=True)
class Backup:
    """Where backups lie, who can open them, and how many are kept: the newest of each day, week and month."""

    folder: Path
    recipients: tuple[str, ...]  # public keys of the hospital (age1…): each opens every backup
    daily: int = 7
    weekly: int = 4
    monthly: int = 12

    def __post_init__(self) -> None:
        demand(bool(self.recipients), "recipients must name at least one public key (age1…).")
        for recipient in self.recipients:
            demand(
                recipient.startswith("age1"),
                "recipients are public keys, which begin age1; the private one stays off this machine.",
            )
        demand(self.daily >= 1, "daily must be at least 1.")
        demand(min(self.weekly, self.monthly) >= 0, "weekly and monthly must be at least 0.")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is no longer needed is kept. What is undelivered is kept for ever."""

    originals_days: float = 7  # after every destination named the instance
    discarded_days: float = 7
    rows_days: float = 365
    reports_days: float = 365  # what was done to each instance, for the data-protection officer
    early_below_gb: float = 0  # below this much free space delivered originals go before their days; 0: never

    def __post_init__(self) -> None:
        for name in ("originals_days", "discarded_days", "rows_days", "reports_days", "early_below_gb"):
            demand(getattr(self, name) >= 0, f"{name} must be at least 0.")

    @property
    def early_below_bytes(self) -> int:
        return int(self.early_below_gb * GiB)
