"""Looking at pixels in a worker: the search engine once a process, a scratch file beside each result, and the bounds.

New pixel data lie in a file without a name: whatever ends this process, nothing of it is left. Decoders and search
engines are libraries in C, which no exception interrupts: what overruns is ended with its process, by the kernel.
"""

import ctypes
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from appliance.bounds import Pixels as Bounds
from appliance.config import MiB
from appliance.deid.outcome import Refused
from appliance.deid.pixels.clean import Cleaner
from appliance.deid.pixels.looking import Ask, Cleaned
from appliance.deid.pixels.search_region import Finder
from appliance.dicom.part10 import Part10
from appliance.spool.files import nameless

_MMAP_THRESHOLD = -3  # of glibc's mallopt
_LARGE_PIECE = 2 * MiB
OVERRAN = -signal.SIGALRM  # exit code of a worker that looked at a frame for longer than pixels.timeout_s


@dataclass(slots=True)
class Looker:
    """Who looks at pixels in this process.

    alive  is called before each frame. Where it is given, the process may be ended when one takes too long: a worker's,
           whose parent knows what that means
    """

    bounds: Bounds
    alive: Callable[[], None] | None = None
    _finder: Finder | None = field(default=None)

    @contextmanager
    def beside(self, folder: Path) -> Iterator["Look"]:
        """Give a look at one instance; its new pixel data lie in ``folder``'s file system until the end."""
        with ExitStack() as kept:
            yield Look(self, folder, kept)

    def finder(self) -> Finder:
        """Return the search engine, made at the first need: it takes a second and a hundred MiB."""
        if self._finder is None:
            from appliance.deid.pixels.find_text import TextFinder

            self._finder = TextFinder()
        return self._finder


@dataclass(slots=True)
class Look:
    """Implements ``Pixels`` for one instance."""

    looker: Looker
    folder: Path
    kept: ExitStack

    def clean(self, original: Part10, ask: Ask) -> Cleaned | Refused:
        """See ``Pixels.clean``."""
        cleaner = Cleaner(self.looker.finder, self.scratch, self.looker.bounds.max_pixels, self._step)
        with _ended_after(self._seconds):
            return cleaner.clean(original, ask)

    def _step(self) -> None:
        """A frame is begun, and may take as long as the one before: a cine may take long, a frame may not."""
        if self.looker.alive is not None:
            _end_after(self._seconds)
            self.looker.alive()

    @property
    def _seconds(self) -> float:
        return self.looker.bounds.timeout_s if self.looker.alive is not None else 0.0

    def scratch(self) -> BinaryIO:
        """Give an empty file without a name, which lives until the end of the look."""
        return self.kept.enter_context(nameless(self.folder))


def limit_memory(memory_mb: int) -> None:
    """Let this process have no more memory than that: what needs more fails here, and not the machine.

    Large pieces go back to the machine at once, or the networks' would stay in pieces: a fifth of the process.
    """
    with suppress(AttributeError):  # another C library has its own way
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_PIECE)
    wanted = memory_mb * MiB
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """End this process by SIGALRM when what is within takes longer; 0: never."""
    _end_after(seconds)
    try:
        yield
    finally:
        _end_after(0.0)


def _end_after(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
