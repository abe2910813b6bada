"""Sealing what the mapping keeps: authenticated encryption, so that a stolen or altered store tells and forges nothing.

The only home of cryptography. AES-256-GCM with a random nonce before the ciphertext. The data key is random and lies
in the store, wrapped by a key that is derived from the pseudonym key: it can be rotated without touching the latter.
"""

import hmac
import secrets
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12  # NIST SP 800-38D 5.2.1.1
_KEY_BYTES = 32


class Tampered(Exception):
    """Sealed bytes that are not what was sealed, or not by this key."""


class Cipher:
    """Seals and opens bytes under one key."""

    def __init__(self, key: bytes, chance: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._aead = AESGCM(key)
        self._chance = chance

    def seal(self, content: bytes, place: bytes) -> bytes:
        """Return ``content`` sealed; it opens only together with the same ``place`` (so rows cannot be swapped)."""
        nonce = self._chance(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, content, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what was sealed at ``place``; raises Tampered for anything else."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            raise Tampered("the bytes were not sealed here with this key") from None


def derived(key: bytes, label: str) -> bytes:
    """Return the 256-bit key for one use, derived from ``key``; different labels, unrelated keys."""
    return hmac.digest(key, b"mapping\0" + label.encode("utf-8"), sha256)


def new_data_key(chance: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """Return a key for a new store."""
    return chance(_KEY_BYTES)
