"""Tell systemd how a service is, when it asked to be told. Without systemd every call does nothing.

Source: sd_notify(3). A datagram of our own, because neither Python binding ships a wheel for an air-gapped install.
"""

import os
import socket
from collections.abc import Mapping


def notify(message: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``message`` (such as ``READY=1``) to the service manager; return whether there is one that took it."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(message.encode(), address)
    except OSError:
        return False  # a manager that went away must not end the service
    return True
