"""What of a study has left already, to where and when: for a person, and for programs."""

from collections.abc import Iterable

from appliance.cli.options import moment, say, show_table
from appliance.reasons import Reason
from appliance.spool.journal_view import Trace
from appliance.spool.outbox_view import Left
from appliance.spool.overview import Overview


def left_of_mixed(overview: Overview, trace: Trace) -> list[Left]:
    """Return what left of the study of an instance that waits because two Patient IDs were met in it; else nothing."""
    mixed = trace.instance.reason == Reason.TWO_PATIENT_IDS.value and trace.study
    return overview.left([trace.study]) if mixed else []


def as_rows(deliveries: Iterable[Left]) -> list[dict[str, object]]:
    """Return what left as JSON can hold it: a row a study and destination; recalled: confirmed absent there by now."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    last: dict[tuple[str, str], float] = {}
    for each in deliveries:
        if not each.has_left:
            continue
        key = (each.study, each.destination)
        row = rows.setdefault(
            key, {"study": each.study, "destination": each.destination, "instances": 0, "recalled": 0, "last": ""}
        )
        row["instances"] = int(str(row["instances"])) + 1
        row["recalled"] = int(str(row["recalled"])) + (each.delivery == "RECALLED")
        last[key] = max(last.get(key, 0.0), each.at)
        row["last"] = moment(last[key]) if last[key] else ""
    return list(rows.values())


def show_left(rows: list[dict[str, object]]) -> None:
    """Show a person what left, to where and when."""
    if not rows:
        say("Nothing of it has left.")
        return
    columns = ("study", "destination", "instances", "recalled", "last")
    show_table(columns, [[row[name] for name in columns] for row in rows], title="what has left already")
