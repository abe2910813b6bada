"""Asking and answering by files that nobody trusts."""

import os
import threading
import time

import pytest

from appliance.spool import requests
from appliance.spool.requests import LARGEST, Requests


@pytest.fixture
def asked(tmp_path):
    return Requests(tmp_path / "requests")


def test_what_is_asked_is_taken_by_its_owner_in_order_until_it_is_answered(asked):
    first = asked.ask("deidentify", "release", {"ids": ["a"]})
    second = asked.ask("deidentify", "discard", {})
    asked.ask("forward", "retry", {"destination": "x"})

    taken = asked.take("deidentify")
    assert [(each.id, each.owner, each.verb, each.args) for each in taken] == [
        (first, "deidentify", "release", {"ids": ["a"]}),
        (second, "deidentify", "discard", {}),
    ]
    assert asked.take("deidentify") == taken
    asked.answer("deidentify", first, {"done": 1})

    assert [each.id for each in asked.take("deidentify")] == [second]
    assert asked.wait("deidentify", first, 0) == {"done": 1}
    assert asked.wait("deidentify", first, 0.1) is None


def test_an_answer_wakes_who_waits(asked):
    request = asked.ask("inbox", "deliver", {})
    threading.Timer(0.1, asked.answer, ("inbox", request, {"done": 2})).start()

    assert asked.wait("inbox", request, 10) == {"done": 2}


def test_what_is_no_request_is_removed_and_the_others_are_carried_out(asked, tmp_path):
    good = asked.ask("forward", "retry", {})
    folder = tmp_path / "requests" / "forward"
    name = "0" * 20 + "-" + "0" * 15
    precious = tmp_path / "precious"
    precious.write_text('{"verb": "release", "args": {}}')
    (folder / f"{name}1.json").write_text("no json")
    (folder / f"{name}2.json").write_text('["verb"]')
    (folder / f"{name}3.json").write_text('{"verb": 1, "args": {}}')
    (folder / f"{name}4.json").write_text('{"verb": "x", "args": []}')
    (folder / f"{name}5.json").symlink_to(precious)
    os.mkfifo(folder / f"{name}6.json")
    (folder / f"{name}7.json").write_bytes(b'{"verb": "x", "args": {"a": "' + b"x" * LARGEST + b'"}}')
    (folder / f"{name}8.json").write_text("[" * 100_000)
    (folder / "README").write_text("x")
    (folder / ".half.part").write_text("x")
    (folder / f"{name}9.json").mkdir()

    assert [each.id for each in asked.take("forward")] == [good]

    assert sorted(path.name for path in folder.iterdir()) == sorted([".half.part", f"{name}9.json", f"{good}.json"])
    assert precious.exists()


def test_a_request_that_is_too_large_is_refused_where_it_is_made(asked):
    with pytest.raises(ValueError, match="ask in several"):
        asked.ask("forward", "drop", {"outs": ["x" * LARGEST]})


@pytest.mark.parametrize("owner", ["../inside", "", "answers", "Forward"])
def test_an_owner_is_a_plain_name(asked, owner):
    with pytest.raises(ValueError, match="name of a service"):
        asked.ask(owner, "x", {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "1"])
def test_an_id_never_leads_out_of_the_folder(asked, name):
    with pytest.raises(ValueError, match="no id"):
        asked.answer("forward", name, {})
    with pytest.raises(ValueError, match="no id"):
        asked.wait("forward", name, 0)


def test_answers_that_nobody_fetched_go_after_a_day(tmp_path, monkeypatch):
    now = [0.0]
    asked = Requests(tmp_path / "requests", clock=lambda: now[0])
    request = asked.ask("forward", "retry", {})
    asked.answer("forward", request, {"done": 1})
    answer = tmp_path / "requests" / "forward" / "answers" / f"{request}.json"
    now[0] = answer.stat().st_mtime + requests.ANSWERS_S
    asked.take("forward")
    assert answer.exists()

    now[0] += 1
    asked.take("forward")

    assert not answer.exists()


def test_an_answer_that_is_fetched_at_this_moment_does_no_harm(asked, tmp_path):
    request = asked.ask("forward", "retry", {})
    asked.answer("forward", request, {"done": 1})
    answers = tmp_path / "requests" / "forward" / "answers"
    (answers / "gone").symlink_to(tmp_path / "nothing")
    clock = asked._clock
    asked._clock = lambda: (
        (answers / "gone").unlink(missing_ok=True),
        (answers / f"{request}.json").unlink(True),
        clock(),
    )[2]

    assert asked.take("forward") == []


def test_half_a_request_of_a_killed_command_is_removed_after_a_day_and_not_before(tmp_path):
    now = [time.time()]
    requests = Requests(tmp_path, clock=lambda: now[0])
    requests.ask("forward", "retry", {})
    part = tmp_path / "forward" / ".half.json.1a2b.part"
    part.write_text("{")

    assert len(requests.take("forward")) == 1
    assert part.exists(), "its writer may still be writing"
    now[0] += 2 * 86_400
    assert len(requests.take("forward")) == 1, "a whole request waits for its service, however long"
    assert not part.exists()


def test_a_stray_file_beside_the_folders_stops_nobody(asked, tmp_path):
    request_id = asked.ask("deidentify", "release", {})
    (tmp_path / "requests" / "notes.txt").write_text("to do")

    asked.answer("deidentify", request_id, {"done": 1})

    assert asked.take("deidentify") == []


def test_a_request_that_its_owner_may_not_read_stops_no_other(asked, monkeypatch):
    shut, good = asked.ask("deidentify", "release", {}), asked.ask("deidentify", "discard", {})
    read = requests.open_regular

    def refused(path):
        if path.stem == shut:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(requests, "open_regular", refused)

    assert [each.id for each in asked.take("deidentify")] == [good]


def test_each_owner_answers_in_a_folder_of_its_own_side(asked, tmp_path):
    request = asked.ask("deidentify", "release", {})

    asked.answer("deidentify", request, {"done": 1})

    assert sorted(path.name for path in (tmp_path / "requests").iterdir()) == ["deidentify"]
    assert asked.wait("forward", request, 0) is None
    assert asked.wait("deidentify", request, 0) == {"done": 1}
