"""What a changed configuration asks of each service: nothing, to read it again, or to start anew.

Told of two files, before any service is: so an administrator knows what a change will do, and a playbook restarts only
what it must. What a service then does is its own (``services.reload``); here is the same answer from outside.
"""

from dataclasses import replace
from enum import StrEnum

from appliance.config import Config
from appliance.services.receive import stuck_on
from appliance.services.reload import differences
from appliance.services.roles import ROLES

# What only these read. All else concerns everybody: a setting that is missing here restarts too much, never too little.
CONCERNS = {
    "scp.host": ("receive",),
    "scp.port": ("receive",),
    "scp.tls": ("receive",),
    "scp.max_associations": ("receive",),
    "scp.idle_s": ("receive",),
    "scp.drain_s": ("receive",),
    "scp.max_pdu_kb": ("receive",),
    "scp.strict_uids": ("receive",),
    "scp.any_called_ae": ("receive",),
    "watch": ("watch",),
    "notify": ("watch",),
    "backup": ("watch",),
}


class Effect(StrEnum):
    """What is to be done with a service."""

    NOTHING = "nothing"
    RELOAD = "reload"  # it takes the change over while it works, and ends no association
    RESTART = "restart"


def changed_between(old: Config, new: Config) -> list[str]:
    """Return the names of what differs, by section and key; where the files lie makes no difference."""
    return differences(replace(old, file=new.file), new)


def effects(old: Config, new: Config) -> dict[str, Effect]:
    """Return what each service that ``new`` has work for is to do, by role, when ``old`` was in force."""
    changed = changed_between(old, new)
    roles = [role for role in ROLES if role != "purge" and (role != "inbox" or new.inbox is not None)]
    return {role: _effect(role, changed, old, new) for role in roles}


def _effect(role: str, changed: list[str], old: Config, new: Config) -> Effect:
    if role == "receive" and changed:
        return Effect.RESTART if stuck_on(old, new) else Effect.RELOAD
    concerned = any(role in _concerned(name) for name in changed)
    return Effect.RESTART if concerned else Effect.NOTHING


def _concerned(name: str) -> tuple[str, ...]:
    found = (who for setting, who in CONCERNS.items() if name == setting or name.startswith(f"{setting}."))
    return next(found, ROLES)
