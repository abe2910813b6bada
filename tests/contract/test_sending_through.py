"""``doctor --send``: what an invented image proves about a destination; a scripted one, and real Orthancs."""

import json

import pytest

from appliance.cli.main import main
from appliance.cli.sent_through import PATIENT
from tests.make.site import configured


@pytest.fixture
def proved(tmp_path, capsys):
    """Sends through to a cloud; returns the exit status, and the findings about it."""

    def call(cloud, existing="kept", more=""):
        there = f"[{{name: research, url: '{cloud.dicomweb}', existing: {existing}, timeout_s: 5{more}}}]"
        site = configured(tmp_path, "scp: {host: 127.0.0.1, port: 0}\n", destinations=there)
        status = main(["doctor", "--send", "--json", "-c", str(site.file)])
        found = json.loads(capsys.readouterr().out)["checks"]
        return status, [each for each in found if each["check"] == "sent to research"]

    return call


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("existing", ["kept", "replaced"])
def test_whether_a_real_orthanc_keeps_or_replaces_is_proved_by_a_pair(proved, orthancs, overwrite, existing):
    orthanc = orthancs(overwrite=overwrite)

    _, (said, left) = proved(orthanc, existing, ", recall: {kind: orthanc}")

    is_right = existing == ("replaced" if overwrite else "kept")
    assert said["severity"] == ("ok" if is_right else "error")
    assert f"existing: {'replaced' if overwrite else 'kept'}" in said["do"] or is_right
    assert left["what"] == "The invented image was deleted there again."
    assert orthanc.count() == 0


def test_what_is_left_there_is_told(proved, orthancs):
    orthanc = orthancs(overwrite=False)

    _, (_, left) = proved(orthanc)

    assert PATIENT in left["what"]
    assert orthanc.count() == 1


def test_without_being_asked_nothing_is_sent(tmp_path, capsys, cloud):
    site = configured(
        tmp_path,
        "scp: {host: 127.0.0.1, port: 0}\n",
        destinations=f"[{{name: research, url: '{cloud.dicomweb}', timeout_s: 5}}]",
    )

    main(["doctor", "--json", "-c", str(site.file)])

    assert "sent to" not in capsys.readouterr().out
    assert cloud.sent == []


@pytest.mark.parametrize("status", [401, 403, 413, 503])
def test_a_destination_that_does_not_store_is_an_error_with_its_answer(proved, cloud, status):
    cloud.always(status)

    exit_status, (said, *_) = proved(cloud)

    assert exit_status == 2
    assert "did not store an invented image" in said["what"]


def test_a_destination_that_lets_nobody_look_leaves_it_unproved(proved, cloud):
    cloud.lets_look = False

    _, (said, _) = proved(cloud)

    assert (said["severity"], "unproved" in said["what"]) == ("warning", True)
