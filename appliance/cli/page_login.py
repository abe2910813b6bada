"""What ``doctor`` finds of the login to the status page: whether anybody can, and who else could use what it goes by.

``watch.login`` off is no finding: the page can only be read then.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.cli.checks import Finding, Severity
from appliance.config import Config
from appliance.errors import RequestRefused, Unsafe
from appliance.spool.files import open_regular
from appliance.watch.passwords import Passwords

USER = "appliance-watch"  # the watch service's on an installed host; without it the page is served by whoever runs it
SHORTEST_SECRET = 16  # characters; 'openssl rand -hex 32' has 64
LARGEST_SECRET = 4096  # the service reads no more

_CHECK = "status page login"
_ADD = "As root: appliance operator add NAME"
_MAKE = "Make one, and have the proxy send the same as X-Appliance-Proxy: openssl rand -hex 32"


def look_at_page_login(settings: Config, user: str = USER) -> Iterator[Finding]:
    """Yield what is wrong with the file by which people log in, or that all is well. ``user``: who has to read it."""
    login = settings.watch.login
    if login is None:
        return
    if login.passwords is not None:
        # On the first day nobody was added yet: that keeps no image from its way.
        missing = Finding(_CHECK, Severity.WARNING, f"{login.passwords} is not there, so nobody can log in yet.", _ADD)
        yield from _looked(login.passwords, user, _passwords(login.passwords), missing)
    if login.proxy is not None:
        file = login.proxy.secret_file
        missing = _error(f"{file} is not there, so nobody can log in.", _MAKE)
        yield from _looked(file, user, _secret(file), missing)


def _looked(file: Path, user: str, content: Iterator[Finding], missing: Finding) -> Iterator[Finding]:
    try:
        found = file.lstat()
    except FileNotFoundError:
        yield missing
        return
    except PermissionError:
        yield Finding(_CHECK, Severity.WARNING, f"{file} may not be looked at by you.", "Run this with sudo.")
        return
    if not _may_read(file, found, user):
        what = f"{file} may not be read by {user}, which serves the page, so nobody can log in."
        yield _error(what, f"chgrp {user} {file.parent} {file}; chmod g+rx {file.parent}; chmod g+r {file}")
        return
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        yield from content
        return
    if mode & stat.S_IRWXO:
        yield Finding(_CHECK, Severity.WARNING, f"Everybody on this machine may use {file}.", f"chmod o= {file}")
    elif mode & stat.S_IWGRP:
        what = f"{file} may be changed by its group: whoever takes over the page could log in for good."
        yield Finding(_CHECK, Severity.WARNING, what, f"chmod g-w {file}")
    if not os.access(file, os.R_OK):
        yield Finding(_CHECK, Severity.WARNING, f"{file} may not be read by you.", "Run this with sudo.")
        return
    yield from content


def _passwords(file: Path) -> Iterator[Finding]:
    try:
        count = len(Passwords(file).hashes())
    except RequestRefused as refused:
        yield _error(str(refused), "Nobody is logged in by it; the page itself is shown.")
        return
    if count:
        yield Finding(_CHECK, Severity.OK, f"{count} may log in, by {file}.")
    else:
        yield Finding(_CHECK, Severity.WARNING, f"{file} names nobody, so nobody can log in.", _ADD)


def _secret(file: Path) -> Iterator[Finding]:
    """The proxy's secret, as the service reads it. It is never told."""
    try:
        with open_regular(file) as body:
            secret = body.read(LARGEST_SECRET + 1).strip()
    except (OSError, Unsafe):
        yield _error(f"{file} is no file that can be read, so nobody can log in.", _MAKE)
        return
    if not secret:
        yield _error(f"{file} is empty, so nobody can log in.", _MAKE)
    elif len(secret) > LARGEST_SECRET or any(not 0x21 <= byte <= 0x7E for byte in secret):
        yield _error(f"{file} holds what no proxy can send in a header, so nobody can log in.", _MAKE)
    elif len(secret) < SHORTEST_SECRET:
        what = f"The secret in {file} has {len(secret)} characters: whoever reaches the port can guess it."
        yield Finding(_CHECK, Severity.WARNING, what, _MAKE)
    else:
        yield Finding(_CHECK, Severity.OK, f"The reverse proxy's secret is in {file}.")


def _may_read(file: Path, found: os.stat_result, user: str) -> bool:
    """Whether the user of the watch service gets to the file, by owner, group and mode; where there is none, you."""
    try:
        who = pwd.getpwnam(user)
    except KeyError:
        return True  # told below, by what you may
    if who.pw_uid == 0:
        return True
    groups = set(os.getgrouplist(user, who.pw_gid))

    def has(status: os.stat_result, right: int) -> bool:
        shift = 6 if status.st_uid == who.pw_uid else 3 if status.st_gid in groups else 0
        return bool(status.st_mode >> shift & right)

    return has(found, 4) and all(has(folder.stat(), 1) for folder in file.absolute().parents)


def _error(what: str, do: str) -> Finding:
    return Finding(_CHECK, Severity.ERROR, what, do)
