"""How long a test waits for what must come.

A bound is for what never comes, not for how fast it comes: on a busy machine a step may take a hundred times as long
as on an idle one. Only a test that fails waits so long, so it costs nothing to be generous.
"""

import time
from collections.abc import Callable

PATIENCE_S = 120.0


def until(so: Callable[[], object], *, seconds: float = PATIENCE_S, every_s: float = 0.01) -> bool:
    """Look ``every_s`` whether it is so, and return True as soon as it is; False when the time is over."""
    end = time.monotonic() + seconds
    while not so():
        if time.monotonic() >= end:
            return bool(so())
        time.sleep(every_s)
    return True
