"""Runs on the booted host in the place of a service, shut in as it is, and tells in JSON what it could do."""

import json
import socket
import sys
import tempfile
from pathlib import Path


def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"


def read(path):
    if path.is_dir():
        next(path.iterdir(), None)
    else:
        with path.open("rb") as file:
            file.read(1)


def connect(address):
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=3).close()


ASKED = json.loads(sys.argv[1])
sys.stdout.write(
    json.dumps(
        {
            **{f"read {path}": outcome(lambda path=path: read(Path(path))) for path in ASKED["read"]},
            **{
                f"write {path}": outcome(lambda path=path: tempfile.TemporaryFile(dir=path).close())
                for path in ASKED["write"]
            },
            **{f"connect {to}": outcome(lambda to=to: connect(to)) for to in ASKED["connect"]},
        }
    )
    + "\n"
)
