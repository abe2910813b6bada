"""How far audit messages were told: a small file, replaced as a whole after the receiver confirmed them."""

import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, Unsafe
from appliance.spool.arrivals import FRONT, Mark
from appliance.spool.files import open_regular, put_durably
from appliance.watch.syslog.lines import Place

_LARGEST: Final = 64 * 1024  # bytes that are read


class CursorUnreadable(ApplianceError):
    """The file is there, and says nothing."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """What was told: of the audit file, of the originals' rows, of deliveries (outbox's generation, number), and up to
    which moment (POSIX seconds) of nodes that were refused.
    """

    audit: Place = field(default_factory=Place)
    received: Mark = FRONT
    exported: tuple[str, int] = ("", 0)
    refused: float = 0.0


def read_cursor(file: Path) -> Cursor | None:
    """Return what ``file`` says; None if there is none. Raises CursorUnreadable."""
    try:
        with open_regular(file) as body:
            found = json.loads(body.read(_LARGEST))
        (seq, spool_id), (generation, number) = found["received"], found["exported"]
        mark, exported = (int(seq), str(spool_id)), (str(generation), int(number))
        return Cursor(Place(**found["audit"]), mark, exported, float(found["refused"]))
    except FileNotFoundError:
        return None
    except (OSError, Unsafe, ValueError, TypeError, KeyError) as error:
        raise CursorUnreadable(
            f"{file} cannot be read ({type(error).__name__}). What was told is told again."
        ) from error


def put_cursor(cursor: Cursor, file: Path) -> None:
    """Remember ``cursor``, durably. Raises SpoolFull or OSError."""
    put_durably(io.BytesIO(json.dumps(asdict(cursor)).encode()), file)
