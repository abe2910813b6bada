import re

import pytest

from appliance.reasons import WORDS, Reason, note, reason_named


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_happened_and_what_to_do(reason):
    words = reason.words

    assert words.what.endswith(".")
    assert words.advice.endswith(".")
    assert len(words.advice) > 20


def test_no_reason_is_without_words_and_no_words_without_a_reason():
    assert set(WORDS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_s_code_can_name_a_folder_and_a_label(reason):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value)
    assert reason_named(reason.value) is reason


@pytest.mark.parametrize("reason", Reason)
def test_every_command_in_an_advice_is_quoted_whole(reason):
    """Hospital IT copies what stands between the quotes."""
    outside_quotes = re.sub(r"'[^']*'", "", reason.words.advice)

    assert outside_quotes.count("'") == 0
    assert "--" not in outside_quotes
    assert "appliance quarantine" not in outside_quotes


@pytest.mark.parametrize("reason", Reason)
def test_only_an_acceptable_reason_is_advised_to_be_accepted(reason):
    assert (f"--accept {reason.value}" in reason.words.advice) == reason.words.acceptable
    assert reason.words.advice.count("--accept") == int(reason.words.acceptable)


def test_the_note_names_the_instance_in_the_commands_to_copy():
    text = note(Reason.BURNED_IN_RISK, "20261120T181522123Z-CT1-k7f3q9", "Ultrasound (0008,0060).")

    assert text.startswith("burned-in-risk. Images of this kind")
    assert "Ultrasound (0008,0060)." in text
    assert "'appliance quarantine release 20261120T181522123Z-CT1-k7f3q9 --accept burned-in-risk'" in text
    assert "'appliance quarantine discard 20261120T181522123Z-CT1-k7f3q9'" in text


@pytest.mark.parametrize("reason", Reason)
def test_a_note_leaves_no_placeholder(reason):
    assert re.search(r"\bID\b", note(reason, "20261120T181522123Z-CT1-k7f3q9", "").replace("Patient ID", "")) is None


def test_a_code_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no-such"):
        reason_named("no-such")
