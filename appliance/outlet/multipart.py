"""A STOW-RS request body of whole files, streamed, with a length that is known before the first byte.

Proxies and several servers do not take chunked transfer encoding, so the length must be told; and an instance may be
larger than the memory, so the body is never built. Source: PS3.18 Section 8.6.1.2.1; RFC 2387.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

CHUNK = 256 * 1024

_PART = b"--%s\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n"
_BETWEEN = b"\r\n"
_END = b"--%s--\r\n"


class FileChanged(OSError):
    """A file became shorter while it was being sent."""


class MultipartBody:
    """The files as one multipart/related body. A context manager: the files are open inside it.

    ``len()`` is the Content-Length; iterating gives the bytes, and may be done again for a second try.
    On entering raises FileNotFoundError (``filename`` says which) or OSError, with nothing left open.
    """

    def __init__(self, files: Sequence[Path], boundary: str) -> None:
        self._paths = files
        self._boundary = boundary.encode("ascii")
        self._files: list[tuple[BinaryIO, int]] = []
        self._length = 0

    @property
    def content_type(self) -> str:
        """The request's Content-Type."""
        return f'multipart/related; type="application/dicom"; boundary={self._boundary.decode()}'

    @property
    def files(self) -> list[BinaryIO]:
        """The open files, in order."""
        return [file for file, _ in self._files]

    def __enter__(self) -> Self:
        try:
            for path in self._paths:
                file = open_regular(path)
                self._files.append((file, os.fstat(file.fileno()).st_size))
        except OSError:
            self._close()
            raise
        self._length = sum(len(self._head(size)) + size + len(_BETWEEN) for _, size in self._files)
        self._length += len(_END % self._boundary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        for file, size in self._files:
            yield self._head(size)
            yield from _chunks(file, size)
            yield _BETWEEN
        yield _END % self._boundary

    def _head(self, size: int) -> bytes:
        return _PART % (self._boundary, size)

    def _close(self) -> None:
        for file, _ in self._files:
            file.close()
        self._files.clear()


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    file.seek(0)
    left = size
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise FileChanged(f"a file in ready ended {left} bytes early")
        left -= len(chunk)
        yield chunk


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, following no link in its last component; OSError for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb", buffering=0)
