"""The de-identify service in this process, with real workers, stepped by hand."""

import time
from contextlib import contextmanager

from appliance.services.deidentify import Deidentify
from tests.peers.patience import PATIENCE_S


class Told:
    """What the service told its metrics."""

    def __init__(self):
        self.deidentified_, self.withheld_, self.mixed, self.reports = [], [], [], []

    def deidentified(self, source):
        self.deidentified_.append(source)

    def withheld(self, source, reason):
        self.withheld_.append(reason)

    def mixed_study(self, source):
        self.mixed.append(source)

    def reports_waiting(self, count):
        self.reports.append(count)


@contextmanager
def running(site):
    service = Deidentify(site, Told())
    service.start()
    try:
        yield service
    finally:
        service.stop()


def work_off(service):
    """Step until nothing is RECEIVED, or in hand, or to be repaired any more."""
    deadline = time.monotonic() + PATIENCE_S
    idle = 0
    while idle < 5:
        assert time.monotonic() < deadline, "it never came to rest"
        idle = 0 if service.step() or service._in_hand else idle + 1
        time.sleep(0.005)


def states(spool):
    found = {}
    for count in spool.counts():
        if count.n:
            found[count.state] = found.get(count.state, 0) + count.n
    return found
