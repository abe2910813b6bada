"""Make appliance/deid/data/{profile,safe_private}.txt from tables of PS3.15 Annex E in CSV form.

    python tools/profile_table.py TABLE_E_1_1.csv ADDITIONS.csv TABLE_E_3_10_1.csv appliance/deid/data

Run by hand when the Standard's edition changes; the made files are what is reviewed, shipped and tested.
"""

import csv
import sys
from pathlib import Path

# Columns of the source -> names of the options as the rules language says them.
OPTIONS = {
    "retain_safe_private": "RetainSafePrivate",
    "retain_uids": "RetainUIDs",
    "retain_device_identity": "RetainDeviceIdentity",
    "retain_institution_identity": "RetainInstitutionIdentity",
    "retain_patient_characteristics": "RetainPatientCharacteristics",
    "retain_long_full_dates": "RetainLongitudinalFullDates",
    "retain_long_modified_dates": "RetainLongitudinalModifiedDates",
    "clean_descriptors": "CleanDescriptors",
    "clean_structured_content": "CleanStructuredContent",
    "clean_graphics": "CleanGraphics",
}


def profile_lines(table: Path, additions: Path) -> list[str]:
    """Return the lines of profile.txt: tag, basic code, options, keyword or name, sorted by tag."""
    lines = []
    for source in (table, additions):
        with source.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                tag = "private" if "odd" in row["tag"] else row["tag"].strip("()").replace(",", "")
                options = ",".join(f"{name}={row[column]}" for column, name in OPTIONS.items() if row.get(column))
                lines.append("\t".join((tag, row["basic_profile"], options or "-", row["keyword"] or row["name"])))
    return sorted(lines)


def safe_private_lines(table: Path) -> list[str]:
    """Return the lines of safe_private.txt: group, low byte, VR where known, creator, name."""
    lines = []
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            group, low = row["tag"].strip("()").split(",")
            lines.append("\t".join((group, low[2:], row["vr_guess"] or "-", row["private_creator"], row["name"])))
    return sorted(lines)


def main(table: str, additions: str, safe: str, folder: str) -> None:
    """Write both files."""
    heads = {
        "profile.txt": "# PS3.15 Table E.1-1 (2024b) and what editions up to 2026c added. tag, basic, options, keyword",
        "safe_private.txt": "# PS3.15 Table E.3.10-1. group, low byte of the element, VR where known, creator, name",
    }
    bodies = {
        "profile.txt": profile_lines(Path(table), Path(additions)),
        "safe_private.txt": safe_private_lines(Path(safe)),
    }
    for name, head in heads.items():
        (Path(folder) / name).write_text("\n".join([head, *bodies[name]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
