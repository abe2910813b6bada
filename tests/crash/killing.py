"""Kill points: durable steps of the product by name, patched in a forked service so that it dies right there."""

import importlib
import itertools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The few functions that every durable step goes through, and the two places where somebody else is told something.
STEPS = {
    "fsync a file": "appliance.spool.files:fsync_file",
    "fsync a folder": "appliance.spool.files:fsync_folder",
    "rename": "appliance.spool.files:rename",
    "unlink": "appliance.spool.files:unlink",
    "commit rows": "appliance.spool.database:Database.commit",
    "commit the mapping": "appliance.mapping.store:MappingStore.commit",
    "answer the modality": "appliance.intake.wire:Wire.send",
    "make a delivery": "appliance.outlet.stow:Stow.deliver",
    "ask for a deletion": "appliance.outlet.recall:WebRecall._delete",
}


@dataclass(frozen=True)
class KillPoint:
    """Before or after the ``number``-th time that ``step`` is taken."""

    step: str
    when: str  # "before" or "after"
    number: int

    def __str__(self) -> str:
        return f"{self.when} step {self.number} of its kind: {self.step}"


def arm(point: KillPoint) -> None:
    """Let this process kill itself at ``point``."""
    module_name, _, path = STEPS[point.step].partition(":")
    holder: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for each in outer:
        holder = getattr(holder, each)
    original = getattr(holder, name)
    armed = _armed(original, point)
    setattr(holder, name, armed)
    for module in [each for key, each in sys.modules.items() if key.startswith("appliance.")]:
        if vars(module).get(name) is original:  # imported by name: the importer has a reference of its own
            setattr(module, name, armed)


def _armed(original: Callable[..., Any], point: KillPoint) -> Callable[..., Any]:
    numbers = itertools.count(1)

    def step(*args: Any, **kwargs: Any) -> Any:
        number = next(numbers)  # this call's own: other threads take the same step meanwhile
        if number == point.number and point.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if number == point.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return step
