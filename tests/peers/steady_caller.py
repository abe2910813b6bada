"""A scanner that goes on sending, one image an association, and never gives one up: as modalities do over a restart."""

import threading
import time
from collections.abc import Callable
from typing import Self

from pydicom.dataset import Dataset

from tests.make import make
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.patience import PATIENCE_S


class SteadyCaller:
    """Sends images made by ``image(number)`` from a thread, until told to stop. A context manager.

    acknowledged  SOP Instance UIDs that were answered with Success
    given_up      of images that could not be sent within PATIENCE_S: none, if nobody is refused for good
    refused       tries that came to nothing, each followed by another
    """

    def __init__(self, host: str, port: int, image: Callable[[int], Dataset], *, calling: bytes) -> None:
        self._where = (host, port)
        self._image = image
        self._calling = calling
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self.acknowledged: list[str] = []
        self.given_up: list[str] = []
        self.refused = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send_all(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            data = self._image(number)
            end = time.monotonic() + PATIENCE_S
            while not self._sent(data):
                self.refused += 1
                if time.monotonic() > end:
                    self.given_up.append(data.SOPInstanceUID)
                    break
                time.sleep(0.2)
            else:
                self.acknowledged.append(data.SOPInstanceUID)
            self._stop.wait(0.3)

    def _sent(self, data: Dataset) -> bool:
        try:
            with Caller(self._where[1], host=self._where[0]) as caller:
                answer = caller.request({1: (CT, [EXPLICIT])}, calling=self._calling)
                return answer.rejected is None and caller.store(1, CT, data.SOPInstanceUID, make.data_set(data)) == 0
        except (OSError, AssertionError):
            return False
