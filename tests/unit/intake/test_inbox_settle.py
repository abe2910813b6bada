"""When an item has settled."""

import pytest

from appliance.intake.scan import LOOSE, Mark, Seen
from appliance.intake.settle import PATIENCE, Settling

A, B = ("study", "a"), ("study", "b")


def seen(*files, size=1, unfinished=(), ready=None):
    return Seen(
        files={parts: Mark(size, 1, 1) for parts in files},
        unfinished={parts: Mark(size, 1, 1) for parts in unfinished},
        ready_file=ready,
    )


def test_nothing_settles_at_first_sight():
    assert Settling(0).update(0.0, {"study": seen(A)}) == []


def test_two_equal_scans_a_quiet_time_apart_settle_an_item():
    settling = Settling(60)
    settling.update(0.0, {"study": seen(A, B)})

    early = settling.update(59.0, {"study": seen(A, B)})
    late = settling.update(60.0, {"study": seen(A, B)})

    assert early == []
    assert [(item.key, item.files, item.whole) for item in late] == [("study", (A, B), True)]


def test_with_no_quiet_time_two_equal_scans_are_still_asked_for():
    settling = Settling(0)
    settling.update(0.0, {"study": seen(A)})

    assert settling.update(0.01, {"study": seen(A)}) != []


@pytest.mark.parametrize(
    "changed",
    [
        seen(A, size=2),
        seen(A, B),
        Seen(files={A: Mark(1, 2, 1)}),
        Seen(files={A: Mark(1, 1, 2)}),
        seen(A, unfinished=[("study", "c.part")]),
    ],
    ids=["grown", "another file", "touched", "linked", "a file under way"],
)
def test_any_change_begins_the_quiet_time_anew(changed):
    settling = Settling(60)
    settling.update(0.0, {"study": seen(A)})
    settling.update(50.0, {"study": changed})

    assert settling.update(100.0, {"study": changed}) == []
    assert settling.update(110.0, {"study": changed}) != []


def test_ready_ends_the_wait_at_once():
    assert Settling(60).update(0.0, {"study": seen(A, ready=("study", "READY"))}) != []


def test_ready_that_was_not_put_last_shortens_the_wait_but_does_not_end_it():
    settling = Settling(60, ready_s=2)
    early = seen(A, ready=("study", "READY"))
    early.newest_ns = 5

    assert settling.update(0.0, {"study": early}) == []
    assert settling.update(1.0, {"study": early}) == []
    assert settling.update(2.0, {"study": early}) != []


def test_ready_without_files_is_no_item():
    assert Settling(60).update(0.0, {LOOSE: seen(ready=("READY",))}) == []


def test_one_restless_item_does_not_hold_up_another():
    settling = Settling(60)
    other = ("other", "x")
    for second in range(0, 70, 10):
        settled = settling.update(float(second), {"study": seen(A, size=second), "other": seen(other)})

    assert [item.key for item in settled] == ["other"]


def test_what_never_falls_quiet_is_taken_file_by_file_after_the_patience():
    settling = Settling(60)
    settled = []
    for number in range(60 * PATIENCE // 30 + 1):
        files = [("study", f"{each:03d}") for each in range(number + 1)]
        settled = settling.update(number * 30.0, {"study": seen(*files)})

    assert len(settled) == 1
    assert not settled[0].whole
    assert ("study", "000") in settled[0].files
    assert files[-1] not in settled[0].files
    assert files[-2] not in settled[0].files


def test_what_is_left_of_a_restless_item_is_the_whole_of_it_however_rarely_one_looks():
    settling = Settling(60)
    rarely = 60.0 * PATIENCE
    settling.update(0.0, {"study": seen(A)})
    (part,) = settling.update(rarely, {"study": seen(A, B)})
    settling.begin_anew("study", rarely)

    (rest,) = settling.update(2 * rarely, {"study": seen(B)})
    settling.begin_anew("study", 2 * rarely)

    assert (part.files, part.whole) == ((A,), False)
    assert (rest.files, rest.whole) == ((B,), True)
    under_way = seen(("study", "c"), unfinished=[("study", "d.part")])
    settling.update(3 * rarely, {"study": seen(("study", "c"), B)})
    (still,) = settling.update(4 * rarely, {"study": under_way})
    assert not still.whole


def test_files_put_back_wait_a_quiet_time_again():
    settling = Settling(60)
    settling.update(0.0, {"study": seen(A)})
    settling.update(60.0, {"study": seen(A)})
    settling.put_back("study", (A,), 61.0)

    assert settling.update(100.0, {"study": seen(A)}) == []
    assert settling.update(121.0, {"study": seen(A)}) != []


def test_an_item_that_is_gone_is_forgotten():
    settling = Settling(60)
    settling.update(0.0, {"study": seen(A)})
    settling.update(10.0, {})

    assert settling.update(60.0, {"study": seen(A)}) == []
    assert len(settling) == 1
    assert settling.oldest_s(70.0) == 10.0
