"""Who was refused because of who he is, as the receiver remembers it."""

from appliance.intake.callers import Callers
from appliance.intake.troubles import Trouble
from appliance.services.strangers import refused_since


def remembered(folder, *failures):
    """The receiver's memory after these failures (moment, address, AE title, trouble)."""
    now = 0.0
    callers = Callers(folder / "callers.json", clock=lambda: now)
    for at, address, calling, trouble in failures:
        now = at
        callers.failed(address, calling, trouble)
    now += 10
    callers.save()
    return folder / "callers.json"


def test_strangers_are_told_once_a_reason_with_how_often_and_others_are_not(tmp_path):
    file = remembered(
        tmp_path,
        (100.0, "10.0.0.9", "MALLORY", Trouble.UNKNOWN_CALLER),
        (101.0, "10.0.0.9", "MALLORY", Trouble.UNKNOWN_CALLER),
        (102.0, "10.0.0.7", "CT1", Trouble.ABORTED),
        (103.0, "10.0.0.8", "", Trouble.TLS_CERTIFICATE_REFUSED),
    )

    found = refused_since(file, 99.0)

    assert [(each.at, each.address, each.ae_title, each.times) for each in found] == [
        (101.0, "10.0.0.9", "MALLORY", 2),
        (103.0, "10.0.0.8", "", 1),
    ]
    assert "calling AE title not recognized" in found[0].why
    assert refused_since(file, 103.0) == []


def test_where_nothing_is_remembered_nobody_was_refused(tmp_path):
    assert refused_since(tmp_path / "callers.json", 0.0) == []
