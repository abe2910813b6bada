"""Starts services as a supervisor would, but quickly: everything is imported once, and each service is a fork of that.

Speaks JSON lines: {"start": ROLE, "config": FILE, "kill": [step, when, number] or null} is answered with
{"pid": N}; {"ended": PID} with {"status": wait status or null}.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from appliance.config import load
from appliance.services import loop, roles
from appliance.watch.logs import start_logging
from tests.crash.killing import KillPoint, arm


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "start" in asked:
            answer = {"pid": _start(asked["start"], Path(asked["config"]), asked["kill"])}
        else:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            answer = {"status": status if pid else None}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _start(role: str, file: Path, kill: list[str] | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()  # the pool's fork server, too, is ended by the group
        log = os.open(file.parent / f"{role}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        start_logging(role, sys.stderr)
        if kill:
            arm(KillPoint(*kill))
        config = load(file)
        published = roles.published(role, config)
        service = roles.build(role, config, published, development=True)
        loop.run(service, loop.stop_on_signals(), idle_s=0.02, beat=published.beat, failed=published.failed)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a fork must never return into its parent's loop
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
