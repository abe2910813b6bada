"""The file of passwords holds no password, and nobody gets in by a file that is not ours."""

import pytest

from appliance.errors import RequestRefused
from appliance.watch.passwords import Passwords

PASSWORD = "correct horse battery"


@pytest.fixture
def passwords(tmp_path):
    made = Passwords(tmp_path / "operators")
    made.put("alice", PASSWORD)
    return made


def test_the_right_password_matches_and_no_other(passwords):
    assert passwords.matches("alice", PASSWORD)
    assert not passwords.matches("alice", PASSWORD + "x")
    assert not passwords.matches("alice", "")
    assert not passwords.matches("bob", PASSWORD)


def test_nobody_is_there_with_the_empty_password(passwords):
    assert not passwords.matches("bob", "")


def test_the_password_does_not_stand_in_the_file(passwords):
    assert PASSWORD not in passwords.file.read_text()
    assert passwords.file.read_text().startswith("alice:$argon2id$v=19$m=65536,t=3,p=1$")
    assert passwords.file.stat().st_mode & 0o007 == 0


def test_two_with_the_same_password_have_different_hashes(passwords):
    passwords.put("bob", PASSWORD)

    assert len(set(passwords.hashes().values())) == 2


def test_who_is_removed_does_not_match_and_others_still_do(passwords):
    passwords.put("bob", PASSWORD)
    passwords.remove("alice")

    assert not passwords.matches("alice", PASSWORD)
    assert passwords.matches("bob", PASSWORD)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "-rf", "x" * 49, "Zwirnlein Q"])
def test_a_login_that_cannot_stand_in_the_file_is_refused(passwords, name):
    before = passwords.file.read_text()

    with pytest.raises(RequestRefused, match="nothing was changed"):
        passwords.put(name, PASSWORD)
    assert passwords.file.read_text() == before


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_a_password_that_is_too_short_or_too_long_is_refused(passwords, password):
    with pytest.raises(RequestRefused, match="12 to 256"):
        passwords.put("bob", password)


@pytest.mark.parametrize("line", ["alice", "bob:$apr1$x$y", "b b:$argon2id$", "\x00:$argon2id$"])
def test_a_file_with_a_line_that_is_not_ours_lets_nobody_in_and_says_which(passwords, line):
    with passwords.file.open("a") as file:
        file.write(line + "\n")

    with pytest.raises(RequestRefused, match=r"operators line 2"):
        passwords.matches("alice", PASSWORD)


def test_a_hash_that_is_cut_off_matches_nothing(passwords):
    passwords.file.write_text(passwords.file.read_text()[:60] + "\n")

    assert not passwords.matches("alice", PASSWORD)


def test_a_link_in_place_of_the_file_is_not_followed(passwords, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(passwords.file)

    with pytest.raises(RequestRefused, match="cannot be read"):
        Passwords(link).matches("alice", PASSWORD)
