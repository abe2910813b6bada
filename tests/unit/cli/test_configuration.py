import json

from appliance import config
from appliance.cli.main import main


def test_the_example_is_a_configuration_that_runs_as_it_is(capsys, tmp_path):
    assert main(["config", "example"]) == 0
    file = tmp_path / "appliance.yaml"
    file.write_text(capsys.readouterr().out)

    assert main(["config", "check", str(file)]) == 0

    found = config.load(file)
    assert found.inbox.clinics["clinic-a"].source == "clinic_a"
    assert "can be used: site st-elsewhere receives as EDGE on port 11112" in capsys.readouterr().out


def test_every_setting_that_the_example_shows_in_a_comment_exists(capsys, tmp_path):
    """Each commented-out line is switched on by itself; a setting that is unknown or wrong would be an error."""
    main(["config", "example"])
    lines = capsys.readouterr().out.splitlines()
    file = tmp_path / "appliance.yaml"
    tried = 0
    for number, line in enumerate(lines):
        bare = line.replace("# ", "", 1)
        name = bare.strip().partition(":")[0]
        if not line.strip().startswith("# ") or not name.replace("_", "").isalpha() or ":" not in bare:
            continue
        following = lines[number + 1 :]
        under = [text.replace("# ", "", 1) for text in following[: _indented(following)]]
        kept = [text for text in lines if not _names(text, name, like=bare)]
        replaced = lines.index(line) - sum(_names(text, name, like=bare) for text in lines[:number])
        file.write_text(
            "\n".join([*_without_folder(kept[:replaced], name), bare, *under, *kept[replaced + 1 :]]) + "\n"
        )
        assert main(["config", "check", str(file)]) in (0, 1)
        problem = capsys.readouterr().err
        assert "is not a known setting" not in problem, (line, problem)
        tried += 1

    assert tried > 15


def _indented(lines):
    """How many of the following comment lines belong to the setting above: a list or mapping below it."""
    count = 0
    while count < len(lines) and lines[count].strip().startswith("#   "):
        count += 1
    return count


def _names(text, name, *, like):
    return text.strip().startswith(f"{name}:") and len(text) - len(text.lstrip()) == len(like) - len(like.lstrip())


def _without_folder(lines, name):
    return [line for line in lines if not (name == "url" and "folder:" in line)]


def test_a_wrong_configuration_is_told_with_its_line_and_exit_status_1(capsys, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("site: st-elsewhere\nstat: ./var\n")

    assert main(["config", "check", "-c", str(file)]) == 1

    told = capsys.readouterr().err
    assert told.startswith(f"appliance: {file} line 2: 'stat' is not a known setting. Did you mean 'state'?")
    assert "Traceback" not in told


def test_a_wrong_configuration_is_told_to_programs_too(capsys, tmp_path):
    file = tmp_path / "site.yaml"
    file.write_text("site: st-elsewhere\nstat: ./var\n")

    assert main(["config", "check", "--json", str(file)]) == 1

    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["line"], found["file"]) == (False, 2, str(file))


def test_rules_that_cannot_be_used_make_the_configuration_unusable(capsys, tmp_path):
    (tmp_path / "rules.yaml").write_text("Nonsense: 1\n")
    file = tmp_path / "site.yaml"
    file.write_text("site: s\nstate: v\nrules: ./rules.yaml\ndestinations: [{name: a, folder: ./o}]\n")

    assert main(["config", "check", str(file)]) == 1
    assert "rules.yaml line 1" in capsys.readouterr().err


def _two(tmp_path, before, after):
    site = "site: st-elsewhere\nstate: ./var\ndestinations: [{name: a, folder: ./o}]\n"
    files = [tmp_path / "old.yaml", tmp_path / "new.yaml"]
    for file, text in zip(files, (before, after), strict=True):
        file.write_text(site + text)
    return [str(file) for file in files]


def test_what_a_change_asks_for_is_told_as_the_commands_to_give(capsys, tmp_path):
    changed = _two(tmp_path, "", "scp: {max_associations: 9}\nwatch: {port: 9113}\n")

    assert main(["config", "compare", *changed]) == 2

    told = capsys.readouterr().out
    assert "Different: scp.max_associations, watch.port." in told
    assert "systemctl reload appliance-receive\n" in told
    assert "systemctl restart appliance-watch\n" in told


def test_what_no_service_starts_anew_for_ends_with_status_0(capsys, tmp_path):
    assert main(["config", "compare", "--json", *_two(tmp_path, "", "scp: {idle_s: 9}\n")]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["changed"]) == (True, ["scp.idle_s"])
    assert (told["services"]["receive"], told["services"]["forward"]) == ("reload", "nothing")


def test_nothing_different_is_said_so(capsys, tmp_path):
    assert main(["config", "compare", *_two(tmp_path, "", "# a remark\n")]) == 0

    assert "no service needs to be told" in capsys.readouterr().out


def test_a_configuration_that_cannot_be_used_is_not_compared(capsys, tmp_path):
    changed = _two(tmp_path, "", "scp: {prot: 104}\n")

    assert main(["config", "compare", "--json", *changed]) == 1

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["line"], told["file"]) == (False, 4, changed[1])
