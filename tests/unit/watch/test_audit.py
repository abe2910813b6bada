"""The audit is only ever appended to, and every change to it shows."""

import json
import multiprocessing
import os
import stat

import pytest

from appliance.watch.audit import FIRST, Audit, broken_at, last_lines


@pytest.fixture
def audit(tmp_path):
    return Audit(tmp_path / "audit", clock=lambda: 1_800_000_000.5)


def lines(audit):
    return [json.loads(line) for line in audit.file.read_text().splitlines()]


def test_a_line_says_who_did_what_to_whom_when_and_why(audit):
    audit.write(who="anna", what="mapping reidentify", about="st-AAAA", reason="finding, Müller")

    (line,) = lines(audit)
    assert {name: line[name] for name in ("at", "who", "what", "about", "reason", "previous")} == {
        "at": "2027-01-15T08:00:00.500+00:00",
        "who": "anna",
        "what": "mapping reidentify",
        "about": "st-AAAA",
        "reason": "finding, Müller",
        "previous": FIRST,
    }
    assert stat.S_IMODE(audit.file.stat().st_mode) & 0o007 == 0


def test_each_line_is_bound_to_the_one_before_however_long(audit):
    for number in range(5):
        audit.write(who="anna", what="export", reason="x" * 60_000 * number)

    found = lines(audit)
    assert [line["previous"] for line in found[1:]] == [line["hash"] for line in found[:-1]]
    assert broken_at(audit.file) is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda rows: rows[:1] + rows[2:], 2),
        (lambda rows: rows[1:], 1),
        (lambda rows: [rows[0], rows[1].replace("export", "import"), rows[2]], 2),
        (lambda rows: [rows[0], "no JSON", rows[2]], 2),
        (lambda rows: [rows[0], "[1]", rows[2]], 2),
        (lambda rows: [rows[0], "{}", rows[2]], 2),
        (lambda rows: [rows[0], rows[0], *rows[1:]], 2),
    ],
)
def test_a_line_that_was_changed_removed_or_put_in_shows(audit, change, where):
    for _ in range(3):
        audit.write(who="anna", what="export")
    audit.file.write_text("\n".join(change(audit.file.read_text().splitlines())) + "\n")

    assert broken_at(audit.file) == where


@pytest.mark.parametrize("last", ["no JSON\n", "{}\n", "[]\n"])
def test_after_a_last_line_that_was_altered_what_is_done_is_told_all_the_same(audit, last):
    audit.write(who="anna", what="export")
    with audit.file.open("a") as file:
        file.write(last)

    audit.write(who="berta", what="forget")

    assert json.loads(audit.file.read_text().splitlines()[-1])["who"] == "berta"
    assert broken_at(audit.file) == 2


@pytest.mark.parametrize("half", ['{"at": "20', '{"at": "' + "x" * 200_000])
def test_half_a_line_that_a_power_cut_left_goes(audit, half):
    audit.write(who="anna", what="export")
    with audit.file.open("a") as file:
        file.write(half)

    audit.write(who="berta", what="forget")

    assert [line["who"] for line in lines(audit)] == ["anna", "berta"]
    assert broken_at(audit.file) is None


def test_a_file_of_half_a_line_begins_anew(audit):
    audit.file.parent.mkdir()
    audit.file.write_text('{"at"')

    audit.write(who="anna", what="export")

    assert broken_at(audit.file) is None


def many(folder):
    for _ in range(25):
        Audit(folder).write(who=str(os.getpid()), what="export")


def test_two_processes_write_one_chain(audit):
    folder = audit.file.parent
    processes = [multiprocessing.get_context("spawn").Process(target=many, args=(folder,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert len(lines(audit)) == 50
    assert broken_at(audit.file) is None


def test_a_link_in_its_place_is_not_followed(audit, tmp_path):
    audit.file.parent.mkdir()
    audit.file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        audit.write(who="anna", what="export")
    assert not (tmp_path / "elsewhere").exists()


def test_a_name_that_no_text_can_hold_is_written_escaped_and_the_chain_goes_on(tmp_path):
    audit = Audit(tmp_path)
    name = os.fsdecode(b"list-\xff.csv")

    audit.write(who="anna", what="mapping import", about=name, reason="\ud800 alone", address="\udc80")
    audit.write(who="anna", what="after")

    [line, _] = last_lines(audit.file, 2)
    assert (line["about"], line["reason"]) == ("list-\\udcff.csv", "\\ud800 alone")
    assert broken_at(audit.file) is None


def test_a_line_that_somebody_put_in_with_half_a_character_is_where_the_chain_breaks(audit):
    audit.write(who="anna", what="before")
    with audit.file.open("a") as file:
        file.write(json.dumps({"at": "", "who": "\ud800", "previous": lines(audit)[0]["hash"], "hash": "0"}) + "\n")

    assert broken_at(audit.file) == 2
