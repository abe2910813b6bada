"""What Prometheus is told of backups: by commands that run now and then, each of which replaces its own file."""

from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily

from appliance.watch.published import put


def made(state: Path, at: float, size: int, count: int) -> None:
    """A backup was made and read back at ``at`` (POSIX seconds); ``count`` are kept."""
    put(
        _file(state, "backup"),
        [
            GaugeMetricFamily(
                "appliance_backup_timestamp_seconds", "When the newest backup was made and read back.", value=at
            ),
            GaugeMetricFamily("appliance_backup_bytes", "Size of the newest backup.", value=size),
            GaugeMetricFamily("appliance_backups_kept", "Backups in the folder.", value=count),
        ],
    )


def verified(state: Path, at: float, damaged: int) -> None:
    """The kept backups were looked at; ``damaged`` of them are not what was written."""
    put(
        _file(state, "backup-verify"),
        [
            GaugeMetricFamily(
                "appliance_backup_verified_timestamp_seconds", "When the kept backups were last looked at.", value=at
            ),
            GaugeMetricFamily("appliance_backups_damaged", "Backups that are not what was written.", value=damaged),
        ],
    )


def _file(state: Path, name: str) -> Path:
    return state / "inside" / "metrics" / f"{name}.prom"
