"""The file of passwords: a line an operator, ``name:hash``, the hash by Argon2id in its usual form (RFC 9106, PHC).

It holds no password; whoever reads it can only guess, at a fifth of a second a guess. Read anew at each look, so that
who is removed is out at once.
"""

import io
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from appliance.errors import RequestRefused, Unsafe
from appliance.operators import is_operator
from appliance.spool.files import open_regular, put_durably

SHORTEST = 12  # characters of a password
LONGEST = 256
LARGEST_FILE = 256 * 1024
_PASSES, _KIB = 3, 64 * 1024  # RFC 9106 section 4, the second recommended option, in one lane
_NOBODY = Argon2id(salt=bytes(16), length=32, iterations=_PASSES, lanes=1, memory_cost=_KIB).derive_phc_encoded(b"")


class Passwords:
    """The operators of one file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def hashes(self) -> dict[str, str]:
        """Return name -> hash. Raises RequestRefused when the file cannot be read or is none of ours."""
        try:
            with open_regular(self.file) as body:
                text = body.read(LARGEST_FILE).decode("utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, Unsafe, UnicodeDecodeError) as error:
            raise RequestRefused(
                f"The file of passwords {self.file} cannot be read ({type(error).__name__}), so nobody can log in. "
                "It must be a text file that the service may read: appliance operator list"
            ) from None
        found = {}
        for number, line in enumerate(text.splitlines(), 1):
            name, colon, encoded = line.partition(":")
            if not line.strip():
                continue
            if not colon or not is_operator(name) or not encoded.startswith("$argon2id$"):
                raise RequestRefused(
                    f"{self.file} line {number} is no 'name:hash' of ours, so nobody can log in. "
                    "Take the line out, and make it with: appliance operator add NAME"
                )
            found[name] = encoded
        return found

    def matches(self, name: str, password: str) -> bool:
        """Whether this is the operator's password. It takes as long for a name that is not there."""
        encoded = self.hashes().get(name)
        try:
            Argon2id.verify_phc_encoded(password.encode(), encoded or _NOBODY)
        except (InvalidKey, ValueError):
            return False
        return encoded is not None

    def still(self, name: str, encoded: str) -> bool:
        """Whether the operator is there, with this hash."""
        try:
            return self.hashes().get(name) == encoded
        except RequestRefused:
            return False  # nobody is logged in by a file that cannot be read; logging in says why

    def put(self, name: str, password: str) -> None:
        """Add an operator, or change the password. Raises RequestRefused."""
        if not is_operator(name):
            raise RequestRefused("A login is 1 to 48 letters, digits or . _ @ -; nothing was changed.")
        if not SHORTEST <= len(password) <= LONGEST:
            raise RequestRefused(f"A password has {SHORTEST} to {LONGEST} characters; nothing was changed.")
        kdf = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=_PASSES, lanes=1, memory_cost=_KIB)
        self._write({**self.hashes(), name: kdf.derive_phc_encoded(password.encode())})

    def remove(self, name: str) -> None:
        """Take an operator out: who is logged in is out at once. Raises RequestRefused."""
        hashes = self.hashes()
        if name not in hashes:
            raise RequestRefused(f"There is no operator '{name[:48]}'; nothing was changed.")
        del hashes[name]
        self._write(hashes)

    def _write(self, hashes: dict[str, str]) -> None:
        body = "".join(f"{name}:{encoded}\n" for name, encoded in sorted(hashes.items())).encode()
        put_durably(io.BytesIO(body), self.file)
