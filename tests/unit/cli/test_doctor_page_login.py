"""``doctor`` on ``watch.login``: whether anybody can log in to the status page, and who else could."""

import json
import os
import pwd

import pytest

from appliance import config
from appliance.cli.main import main
from appliance.cli.page_login import look_at_page_login
from appliance.watch.passwords import Passwords
from tests.make.site import configured

SECRET = "5e" * 32


@pytest.fixture
def by_password(tmp_path):
    """A site, and its file of passwords, in which Alice is."""
    file = tmp_path / "operators"
    Passwords(file).put("alice", "correct horse battery")
    file.chmod(0o640)
    return _with_login(tmp_path, "passwords: ./operators"), file


@pytest.fixture
def by_proxy(tmp_path):
    """A site, and the file of its proxy's secret."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o640)
    return _with_login(tmp_path, "proxy: {secret_file: ./secret}"), file


def _with_login(folder, login):
    site = configured(folder, "scp: {host: 127.0.0.1, port: 0}\n")
    text = site.file.read_text().replace("watch: {port: 0}", f"watch: {{port: 0, login: {{{login}}}}}")
    site.file.write_text(text)
    return site


def found_by(site, capsys):
    main(["doctor", "--json", "-c", str(site.file)])
    found = json.loads(capsys.readouterr().out)["checks"]
    return [(each["severity"], each["what"], each["do"]) for each in found if each["check"] == "status page login"]


def test_one_that_is_right_is_fine(by_password, capsys):
    [(severity, what, _)] = found_by(by_password[0], capsys)

    assert (severity, what[:15]) == ("ok", "1 may log in, b")


def test_a_secret_that_is_right_is_fine_and_not_told(by_proxy, capsys):
    [(severity, what, do)] = found_by(by_proxy[0], capsys)

    assert severity == "ok"
    assert SECRET not in what + do


def test_without_login_nothing_is_said_of_it(tmp_path, capsys):
    assert found_by(configured(tmp_path, "scp: {host: 127.0.0.1, port: 0}\n"), capsys) == []


@pytest.mark.parametrize(
    ("kind", "expected", "command"),
    [("by_password", "warning", "appliance operator add NAME"), ("by_proxy", "error", "openssl rand -hex 32")],
)
def test_a_file_that_is_missing_is_told_with_the_command_that_makes_it(request, capsys, kind, expected, command):
    site, file = request.getfixturevalue(kind)
    file.unlink()

    [(severity, what, do)] = found_by(site, capsys)

    assert (severity, "is not there" in what) == (expected, True)
    assert command in do


@pytest.mark.parametrize(
    ("text", "severity", "words"),
    [
        ("", "warning", "names nobody"),
        ("alice:plain-password-of-somebody\n", "error", "line 1 is no 'name:hash' of ours"),
        ("\n\nno colon\n", "error", "line 3 is no 'name:hash' of ours"),
    ],
)
def test_a_file_of_nobody_or_of_another_kind_is_told_with_its_line(by_password, capsys, text, severity, words):
    site, file = by_password
    file.write_text(text)

    [(found, what, do)] = found_by(site, capsys)

    assert (found, words in what) == (severity, True), what
    assert do
    assert "plain-password-of-somebody" not in what + do


@pytest.mark.parametrize("kind", ["by_password", "by_proxy"])
@pytest.mark.parametrize(("mode", "command"), [(0o644, "chmod o= "), (0o660, "chmod g-w ")])
def test_rights_that_are_too_wide_are_a_warning_with_the_command(request, capsys, kind, mode, command):
    site, file = request.getfixturevalue(kind)
    file.chmod(mode)

    [(severity, _, do), _fine] = found_by(site, capsys)

    assert (severity, do) == ("warning", f"{command}{file}")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to other users needs root")
@pytest.mark.parametrize("kind", ["by_password", "by_proxy"])
def test_a_file_that_the_watch_service_may_not_read_is_an_error_until_it_may(request, kind):
    site, file = request.getfixturevalue(kind)
    settings = config.load(site.file)
    nobody = pwd.getpwnam("nobody")
    opened = [file.parent, *(each for each in file.parents if each.stat().st_mode & 0o001 == 0)]
    modes = {each: each.stat().st_mode for each in opened}
    for each in opened:
        each.chmod(0o755)
    try:
        [(severity, what)] = [(each.severity.name, each.what) for each in look_at_page_login(settings, "nobody")]
        os.chown(file, 0, nobody.pw_gid)
        again = [each.severity.name for each in look_at_page_login(settings, "nobody")]
        file.parent.chmod(0o700)
        shut = [each.severity.name for each in look_at_page_login(settings, "nobody")]
    finally:
        for each, mode in modes.items():
            each.chmod(mode)

    assert (severity, "may not be read by nobody, which serves the page" in what) == ("ERROR", True)
    assert (again, shut) == (["OK"], ["ERROR"])


@pytest.mark.parametrize(
    ("secret", "severity", "words"),
    [
        ("", "error", "is empty"),
        ("short", "warning", "has 5 characters"),
        ("two lines\nof a secret that is long", "error", "no proxy can send"),
        ("x" * 5000, "error", "no proxy can send"),
    ],
)
def test_a_secret_that_is_none_or_can_be_guessed_is_told(by_proxy, capsys, secret, severity, words):
    site, file = by_proxy
    file.write_text(secret)

    [(found, what, do)] = found_by(site, capsys)

    assert (found, words in what, "openssl rand" in do) == (severity, True, True)


def test_a_link_is_not_followed(by_password, capsys, tmp_path):
    site, file = by_password
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    [(severity, what, _)] = found_by(site, capsys)

    assert (severity, "cannot be read (Unsafe)" in what) == ("error", True)
