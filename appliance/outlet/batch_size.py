"""How much one request carries: more while it goes quickly, half when it was too much.

Over a line with a long way one instance a request wastes most of it; a body that takes minutes is lost as a whole when
it breaks. The configured limits are the most; where to be between is found by trying.
"""

MiB = 1024 * 1024

QUICK_S = 10.0  # a request that took less may grow
SLOW_S = 30.0  # a request that took more shrinks, before it runs into a time-out
FIRST_INSTANCES = 10
FIRST_BYTES = 8 * MiB
LEAST_BYTES = 64 * 1024  # nginx's default limit is 1 MiB


class BatchSize:
    """The size of one destination's requests, shared by its connections."""

    def __init__(self, *, most_instances: int, most_bytes: int) -> None:
        self._most_instances = most_instances
        self._most_bytes = most_bytes
        self.instances = min(FIRST_INSTANCES, most_instances)
        self.bytes = min(FIRST_BYTES, most_bytes)

    def took(self, seconds: float, instances: int, size: int) -> None:
        """A request of this size was answered. Grows only if the request was near the limit: else it proves nothing."""
        if seconds > SLOW_S:
            self.was_too_much(instances, size)
        elif seconds < QUICK_S:
            if 2 * instances > self.instances:
                self.instances = min(self._most_instances, 2 * self.instances)
            if 2 * size > self.bytes:
                self.bytes = min(self._most_bytes, 2 * self.bytes)

    def was_too_large(self, size: int) -> None:
        """A request of this size was answered by 413: a limit that stays, so it is not tried again until a restart."""
        self._most_bytes = max(LEAST_BYTES, min(self._most_bytes, size // 2))
        self.bytes = min(self.bytes, self._most_bytes)

    def was_too_much(self, instances: int, size: int) -> None:
        """A request of this size broke or took too long. Connections that fail together halve once."""
        self.instances = max(1, min(self.instances, instances // 2))
        self.bytes = max(min(LEAST_BYTES, self._most_bytes), min(self.bytes, size // 2))
