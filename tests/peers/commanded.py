"""A site with real services in threads of this process, and the command line beside them."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.cli.main import main
from appliance.lifecycle import State
from appliance.model import Instance
from appliance.services import loop
from appliance.services.roles import build, published
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured

PATIENCE_S = 60.0  # a condition may take this long on a busy machine


class Commanded:
    """The site in ``folder``. ``close`` ends what runs.

    destinations  YAML
    """

    def __init__(self, folder: Path, capsys: Any, destinations: str, more: str = "") -> None:
        self.site = configured(folder, "deidentify: {workers: 1}\n" + more, destinations=destinations)
        self.spool = Spool(self.site.state / "inside", reserve_bytes=0)
        self.outbox = Outbox(self.site.state / "outside")
        self._capsys = capsys
        self._running: dict[str, tuple[threading.Event, threading.Thread]] = {}
        self._arrived = 0

    def start(self, *roles: str) -> None:
        """Run these services."""
        for role in roles:
            stop = threading.Event()
            metrics = published(role, self.site)
            service = build(role, self.site, metrics, development=True)
            more = {"idle_s": 0.02, "beat": metrics.beat}
            thread = threading.Thread(target=loop.run, args=(service, stop), kwargs=more, daemon=True)
            self._running[role] = (stop, thread)
            thread.start()

    def stop(self, *roles: str) -> None:
        """End these services, all that run if none is named."""
        for role in roles or tuple(self._running):
            stop, thread = self._running.pop(role)
            stop.set()
            thread.join(PATIENCE_S)

    def close(self) -> None:
        self.stop()
        self.spool.close()
        self.outbox.close()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its status and what it said."""
        status = main([*arguments, "-c", str(self.site.file)])
        told = self._capsys.readouterr()
        return status, told.out + told.err

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command with --json."""
        status, told = self.run(*arguments, "--json")
        return status, json.loads(told)

    def arrive(self, number: str, **more: Any) -> str:
        """Have an instance of this patient arrive; return its id."""
        self._arrived += 1
        uids = {"SOPInstanceUID": f"1.2.3.{self._arrived}", "StudyInstanceUID": f"1.2.4.{number.removeprefix('P-')}"}
        return arrive(self.spool, make.ct(patient_id=number, **(uids | more)))

    def instance(self, spool_id: str) -> Instance:
        """Return the row of an original."""
        found = self.spool.journal.instance(spool_id)
        assert found is not None
        return found

    def until(self, so: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < deadline, what()
            time.sleep(0.02)

    def until_forwarded(self, *ids: str, round_: int = 1) -> None:
        """Wait until every destination has these, in this round."""

        def forwarded(spool_id: str) -> bool:
            found = self.instance(spool_id)
            here = (found.round, found.state) == (round_, State.PASSED)
            return here and self.outbox.state(found.out) is State.FORWARDED

        self.until(lambda: all(map(forwarded, ids)), lambda: [self.run("trace", each)[1] for each in ids])

    def until_recalled(self, state: str, count: int) -> None:
        """Wait until so many recalls are in this state."""

        def counted() -> int:
            return sum(states.get(state, 0) for states in self.outbox.recalls.counts().values())

        self.until(lambda: counted() == count, self.outbox.recalls.counts)

    def audit(self) -> list[dict[str, str]]:
        """Return the lines of the audit."""
        file = self.site.state / "audit" / "audit.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
