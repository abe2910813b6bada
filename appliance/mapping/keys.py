"""The pseudonym key: found, or made where that is allowed, and never guessed.

A made-up key would make every patient a stranger to his own earlier studies. So a service that finds none refuses to
start; only development and the offline command make one, and say so.
"""

import os
import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance import config
from appliance.errors import CannotStart

CREDENTIAL = "pseudonym-key"  # name under $CREDENTIALS_DIRECTORY, see systemd.exec(5), LoadCredential=
KEY_BYTES = 32
LEAST_BYTES = 16


def key_place(mapping: config.Mapping, environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that holds, or would hold, the key; None when nobody said where.

    The systemd credential goes before the file: so one configuration serves the service, which may not read the file,
    and an administrator, who has no credential.
    """
    folder = (os.environ if environment is None else environment).get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / CREDENTIAL if folder else None
    if credential is not None and (mapping.key_file is None or credential.is_file()):
        return credential
    return mapping.key_file


def load_key(
    mapping: config.Mapping,
    *,
    make: bool,
    environment: Mapping[str, str] | None = None,
    chance: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Return the key that the systemd credential ``pseudonym-key`` or else ``mapping.key_file`` holds.

    make  whether a missing key file may be made (mode 0600, durable); a credential is never made

    A file of hexadecimal digits is read as such; other text without its line end; anything else byte for byte.
    Raises CannotStart when there is no key or it is too short to be one.
    """
    place = key_place(mapping, environment)
    if place is None:
        raise CannotStart(
            "There is no pseudonym key: mapping.key_file is not given and systemd passed no credential "
            f"'{CREDENTIAL}'. Nothing was de-identified. Name the key file under mapping.key_file."
        )
    try:
        return key_in(place.read_bytes(), place)
    except FileNotFoundError:
        if not make or place != mapping.key_file:
            raise CannotStart(
                f"The pseudonym key {place} does not exist. Nothing was de-identified; images wait in the spool. "
                "Put back the key of this site from its backup: a new key would make every patient a stranger. "
                f"On a new site make one: (umask 077; mkdir -p {place.parent}; openssl rand -hex {KEY_BYTES} > {place})"
            ) from None
        return _made(place, chance(KEY_BYTES))
    except OSError as error:
        raise CannotStart(
            f"The pseudonym key {place} cannot be read: {error.strerror}. Nothing was de-identified; images wait in "
            "the spool. Let the user of the de-identify service read it."
        ) from None


def key_in(content: bytes, place: Path) -> bytes:
    """Return the key that a file's content means; raises CannotStart when it is too short."""
    text = content.strip()
    if text.isascii() and all(chr(byte) in string.printable for byte in text):
        is_hex = len(text) % 2 == 0 and all(chr(byte) in string.hexdigits for byte in text)
        key = bytes.fromhex(text.decode("ascii")) if is_hex and len(text) >= 2 * LEAST_BYTES else text
    else:
        key = content
    if len(key) < LEAST_BYTES:
        raise CannotStart(
            f"The pseudonym key {place} is shorter than {LEAST_BYTES} bytes. Nothing was de-identified; images wait "
            "in the spool. Put back the key of this site from its backup."
        )
    return key


def _made(place: Path, key: bytes) -> bytes:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:  # another process made it in between: its key is the key
        return key_in(place.read_bytes(), place)
    with os.fdopen(handle, "wb") as file:
        file.write(key.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name too: pseudonyms made with a key that a power cut takes away have no way back
    finally:
        os.close(folder)
    return key
