"""The quotas of a configuration, on the journal's word: for the services that receive."""

from functools import partial

from appliance.config import Config
from appliance.intake.quota import Quotas, quotas_of
from appliance.spool.held import held
from appliance.spool.inside import Spool


def quotas(config: Config, spool: Spool) -> Quotas | None:
    """Return what decides whether a source may send more; None where none has a quota."""
    allowed = quotas_of(config)
    return Quotas(allowed, partial(held, spool.journal.database)) if allowed else None
