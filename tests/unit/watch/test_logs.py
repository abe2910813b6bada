import ast
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

import appliance
from appliance.errors import Malformed
from appliance.watch.logs import FIELDS, JsonLines, start_logging

HOUSE = Path(appliance.__file__).parent
NAME = "MUSTERMANN^ERIKA"
ID = "20261120T181522123Z-CT1-k7f3q9"


@pytest.fixture
def logged():
    """Log to a stream and return its lines as objects; the root logger is put back afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("appliance")
    before = root.handlers[:], root.level, ours.level
    hook = threading.excepthook
    stream = io.StringIO()
    start_logging("receive", stream, environ={})
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])
    threading.excepthook = hook


def test_a_line_says_when_who_what_and_to_which_instance(logged):
    logging.getLogger("appliance.intake.scp").info("received", extra={"spool_id": ID, "bytes": 524288})

    (line,) = logged()
    assert line["event"] == "received"
    assert (line["service"], line["level"], line["spool_id"], line["bytes"]) == ("receive", "info", ID, 524288)
    assert abs(datetime.fromisoformat(line["at"]) - datetime.now(UTC)).total_seconds() < 60


def test_a_fact_that_is_no_known_field_is_not_logged(logged):
    logging.getLogger("appliance.x").info("received", extra={"patient": NAME, "spool_id": ID})

    assert NAME not in str(logged())
    assert logged()[0]["spool_id"] == ID


# Sentences of the program about a peer, a share or a destination; those have a test of their own below.
WORDS = {"why", "problem", "detail"}


@pytest.mark.parametrize("field", sorted(set(FIELDS) - WORDS))
def test_no_field_takes_a_person_s_name_as_it_stands_in_a_data_set(logged, field):
    logging.getLogger("appliance.x").info("event", extra={field: NAME})

    assert NAME not in str(logged())
    assert logged()[0][field] == "(not shown)"


def test_arguments_are_never_merged_into_the_event(logged):
    logging.getLogger("appliance.x").warning("the name is %s", NAME)

    assert NAME not in str(logged())


def test_what_a_library_says_is_not_repeated_only_that_it_spoke(logged):
    logging.getLogger("pydicom").warning("Invalid value for VR PN: '%s'", NAME)
    logging.getLogger("pynetdicom.acse").info("Peer %s", NAME)

    (line,) = logged()
    assert line["library"] == "pydicom"
    assert NAME not in str(line)


def test_a_warning_of_python_is_not_repeated_either(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"The value {NAME} is odd", stacklevel=1)

    assert [line["library"] for line in logged()] == ["py.warnings"]
    assert NAME not in str(logged())


def test_an_exception_is_told_by_class_and_place_and_not_by_its_words(logged):
    def choke():
        raise ValueError(f"invalid literal for int(): {NAME!r}")

    try:
        choke()
    except ValueError:
        logging.getLogger("appliance.x").exception("step failed")

    error = logged()[0]["error"]
    assert error["class"] == "ValueError"
    assert error["at"][-1].endswith(" choke")
    assert NAME not in str(logged())


def test_a_failing_file_is_told_by_the_system_s_answer_and_not_by_its_name(logged, tmp_path):
    try:
        (tmp_path / NAME).read_bytes()
    except FileNotFoundError:
        logging.getLogger("appliance.x").exception("step failed")

    assert logged()[0]["error"]["errno"] == "ENOENT"
    assert NAME not in str(logged())


def test_our_own_errors_are_told_in_their_words_with_what_caused_them(logged):
    try:
        try:
            int(NAME)
        except ValueError as cause:
            raise Malformed("(0010,0020) at byte 400 ends early.") from cause
    except Malformed:
        logging.getLogger("appliance.x").exception("withheld")

    error = logged()[0]["error"]
    assert error["words"] == "(0010,0020) at byte 400 ends early."
    assert error["because"]["class"] == "ValueError"
    assert NAME not in str(logged())


def test_a_thread_that_ends_by_an_error_is_told_by_class_and_place(logged):
    thread = threading.Thread(target=int, args=(NAME,))
    thread.start()
    thread.join()

    (line,) = logged()
    assert line["error"]["class"] == "ValueError"
    assert NAME not in str(line)


def test_a_worker_process_tells_what_it_cannot_understand_without_its_words():
    """A process begins with Python's own logging, which prints an exception as it is."""
    program = (
        "import logging\n"
        "from appliance.services.worker import Recipe, equip_process\n"
        "from appliance.deid.ruleset import read_rules\n"
        "equip_process(Recipe('s', bytes(32), {'main': read_rules(None)}, frozenset(), (), 1), print)\n"
        "try:\n"
        f"    int({NAME!r})\n"
        "except ValueError:\n"
        "    logging.getLogger('appliance.services.worker').exception('unexpected')\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=HOUSE.parent)

    assert json.loads(ran.stderr)["error"]["class"] == "ValueError"
    assert NAME not in ran.stderr


def test_a_line_break_in_a_fact_cannot_forge_a_line(logged):
    logging.getLogger("appliance.x").info("rejected", extra={"calling_ae": "A\n{}"})

    assert len(logged()) == 1


def test_under_journald_each_line_carries_its_priority(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        before, hook = logging.getLogger().handlers[:], threading.excepthook
        start_logging("receive", stream, environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        logging.getLogger("appliance.x").error("failed")
        logging.captureWarnings(False)
        logging.getLogger().handlers[:], threading.excepthook = before, hook

    assert (tmp_path / "log").read_text().startswith("<3>{")


def test_a_record_without_a_traceback_is_formatted_too():
    record = logging.LogRecord("appliance", logging.INFO, "", 0, "event", None, (None, None, None))

    assert json.loads(JsonLines("receive").format(record))["event"] == "event"


# --- the program itself ---------------------------------------------------------------------------------------------


def calls():
    """Every call of a logger in the program: file, line, the call."""
    for file in sorted(HOUSE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("debug", "info", "warning", "error", "exception", "critical", "log")
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "logger", "logging")
            ):
                yield file.relative_to(HOUSE), node


# Functions that make an event of our own words, a configured name and counts.
SENTENCES = {"paused", "lost", "too_many", "nobody_may_search"}


def is_ours(event):
    made = isinstance(event, ast.Call) and isinstance(event.func, ast.Name) and event.func.id in SENTENCES
    named = isinstance(event, ast.Name) and event.id.isupper()  # a constant of its module
    return made or named or isinstance(event, ast.Constant)


def test_every_event_in_the_program_is_constant_text_without_arguments():
    wrong = [f"{file}:{call.lineno}" for file, call in calls() if len(call.args) != 1 or not is_ours(call.args[0])]

    assert wrong == []


def test_every_fact_that_the_program_logs_is_one_of_the_fields():
    wrong = []
    for file, call in calls():
        for keyword in call.keywords:
            if keyword.arg != "extra" or not isinstance(keyword.value, ast.Dict):
                wrong.extend([f"{file}:{call.lineno}: {keyword.arg}"] if keyword.arg != "exc_info" else [])
                continue
            names = [key.value if isinstance(key, ast.Constant) else None for key in keyword.value.keys]
            wrong.extend(f"{file}:{call.lineno}: {name}" for name in names if name not in FIELDS)

    assert wrong == []
