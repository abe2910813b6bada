"""What one instance may cost whoever de-identifies it: time, memory, pixels."""

from dataclasses import dataclass

from appliance.yamlfile import demand


@dataclass(frozen=True, slots=True)
class Deidentify:
    """The workers."""

    workers: int = 0  # 0: one a core
    timeout_s: float = 900.0  # one instance may take this long; while its pixels are looked at, one frame
    max_header_mb: int = 64  # everything but the pixels, in memory

    def __post_init__(self) -> None:
        demand(0 <= self.workers <= 256, "workers must be 0 to 256.")
        demand(self.timeout_s > 0, "timeout_s must be more than 0.")
        demand(1 <= self.max_header_mb <= 4096, "max_header_mb must be 1 to 4096.")


@dataclass(frozen=True, slots=True)
class Pixels:
    """Looking for text in pixels. Images that nobody must look at are never decoded, and not bound by this."""

    timeout_s: float = 300.0  # one frame, or what decides that it needs no look
    max_pixels: int = 60_000_000  # of one frame; a mammogram has 14 million
    memory_mb: int = 2048  # of a worker

    def __post_init__(self) -> None:
        demand(self.timeout_s > 0, "timeout_s must be more than 0.")
        demand(1 <= self.max_pixels <= 10**9, "max_pixels must be 1 to 1000000000.")
        demand(256 <= self.memory_mb <= 1024 * 1024, "memory_mb must be 256 to 1048576.")
