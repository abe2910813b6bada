"""A tar in an age file (age-encryption.org/v1) that only the hospital's private key opens, which is nowhere here.

Any age program opens one: ``age -d -i KEY FILE | tar x``. It is read again before it counts: beside the hospital's keys
it is encrypted to one that lives for this moment only, in memory. In clear nothing touches the disk on the way.
"""

import io
import os
import re
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, BinaryIO

import pyrage  # type: ignore[import-untyped]  # pyrage 1.4 has no py.typed; its stubs are a package of their own

from appliance.errors import RequestRefused

MOST_BYTES = 1 << 40  # of a member that is taken out
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,100})?")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup: a body, or a file that nobody changes meanwhile."""

    name: str
    body: bytes | Path


def seal(members: Sequence[Member], recipients: Sequence[str], target: Path) -> str:
    """Write ``target`` durably, mode 0600, and read it again; return its SHA-256 (hex).

    recipients  public keys of the hospital, "age1…": each opens it
    Raises RequestRefused if one is none, if ``target`` is there or its folder is not, or if it does not read back.
    """
    keys = [_public(text) for text in recipients]
    if target.exists():
        raise RequestRefused(f"{target} is there already; nothing was written. Name another file.")
    if not target.parent.is_dir():
        raise RequestRefused(f"The folder {target.parent} is not there; nothing was written. Make it, or mount it.")
    once = pyrage.x25519.Identity.generate()
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)  # of one that was killed: no other is being made
    try:
        with private(part) as file:
            with _piped(lambda pipe: _pack(pipe, members)) as packed:
                pyrage.encrypt_io(packed, file, [*keys, once.to_public()])
            file.flush()
            os.fsync(file.fileno())
        if contents(part, str(once)) != {member.name: _digest_of(member.body) for member in members}:
            raise RequestRefused(f"The backup could not be read again as it was written to {target.parent}.")
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    sync(target.parent)
    return digest(target)


def contents(file: Path, identity: str) -> dict[str, str]:
    """Return name -> SHA-256 (hex) of what is in a sealed file. Raises RequestRefused as ``unseal``."""
    found = {}
    with _opened(file, identity) as tar:
        for member in tar:
            body = tar.extractfile(member) if member.isreg() else None
            if body is not None:
                found[member.name] = _digest_of_stream(body)
    return found


def unseal(file: Path, identity: str, folder: Path) -> dict[str, Path]:
    """Take every file out into ``folder``, mode 0600; return name -> where it lies.

    identity  private key: "AGE-SECRET-KEY-1…"
    Raises RequestRefused if it is none, not the right one, or the file is no whole backup.
    """
    found = {}
    with _opened(file, identity) as tar:
        for member in tar:
            body = tar.extractfile(member) if member.isreg() and member.size <= MOST_BYTES else None
            if body is None or _NAME.fullmatch(member.name) is None:
                continue
            place = folder / member.name
            place.parent.mkdir(mode=0o700, exist_ok=True)
            with private(place) as target:
                shutil.copyfileobj(body, target, 1 << 20)
            found[member.name] = place
    return found


def private(path: Path) -> BinaryIO:
    """Make a file that only its owner may read; FileExistsError if it is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def digest(file: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with file.open("rb") as opened:
        return _digest_of_stream(opened)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _public(text: str) -> object:
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise RequestRefused(
            "This is no public key for a backup; nothing was written. It begins age1 and is made with: age-keygen"
        ) from None


@contextmanager
def _opened(file: Path, identity: str) -> Iterator[tarfile.TarFile]:
    try:
        known = pyrage.x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError:
        raise RequestRefused(
            "This is no private key of a backup; nothing was restored. It begins AGE-SECRET-KEY-1."
        ) from None
    try:
        with (
            file.open("rb") as sealed,
            _piped(lambda pipe: pyrage.decrypt_io(sealed, pipe, [known])) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            yield tar
    except (pyrage.DecryptError, tarfile.TarError, ValueError, EOFError):
        raise RequestRefused(
            f"{file} cannot be opened with this private key, or is no whole backup; nothing was restored."
        ) from None


def _pack(pipe: BinaryIO, members: Sequence[Member]) -> None:
    with tarfile.open(fileobj=pipe, mode="w|") as tar:
        for each in members:
            member = tarfile.TarInfo(each.name)
            member.mode = 0o600
            if isinstance(each.body, bytes):
                member.size = len(each.body)
                tar.addfile(member, io.BytesIO(each.body))
            else:
                member.size = each.body.stat().st_size
                with each.body.open("rb") as file:
                    tar.addfile(member, file)


@contextmanager
def _piped(write: Callable[[BinaryIO], object]) -> Iterator[BinaryIO]:
    """What ``write`` writes, as something to read."""
    out, into = os.pipe()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(into, "wb") as pipe:
                write(pipe)
        except (OSError, ValueError, pyrage.DecryptError, tarfile.TarError) as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="backup")
    thread.start()
    with os.fdopen(out, "rb") as reader:
        try:
            yield reader
        finally:
            while reader.read(1 << 20):  # whoever reads may stop before the end; the other side must not wait for ever
                pass
            thread.join()
    if raised:
        raise raised[0]


def _digest_of(body: bytes | Path) -> str:
    return sha256(body).hexdigest() if isinstance(body, bytes) else digest(body)


def _digest_of_stream(stream: IO[bytes]) -> str:
    found = sha256()
    while chunk := stream.read(1 << 20):
        found.update(chunk)
    return found.hexdigest()
