"""What holds for every DICOMweb destination: the scripted cloud and the real Orthanc pass the same assertions."""

from dataclasses import replace

from appliance.outlet.destination import FileLost, FileSpoilt, Later, RefusedForGood, Stored, There, deliver_changed
from appliance.reasons import Reason
from tests.make.parcels import changed, damaged, data_set_digest, parcels, spoil


def test_a_batch_is_stored_and_each_instance_is_named(keeping, connect, outbound):
    batch = parcels(outbound, count=4)

    receipt = connect(keeping).deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}
    assert receipt.unavailable is None
    assert set(keeping.instances()) == {parcel.sop_instance for parcel in batch}


def test_the_bytes_arrive_as_they_were(keeping, connect, outbound):
    parcel = parcels(outbound, count=1)[0]

    connect(keeping).deliver([parcel])

    assert keeping.file(parcel.sop_instance) == parcel.file.read_bytes()


def test_the_same_instance_again_is_stored_again(keeping, connect, outbound):
    parcel = parcels(outbound, count=1)[0]
    connection = connect(keeping)
    connection.deliver([parcel])

    again = connection.deliver([parcel])

    assert again.verdicts == {parcel.out: Stored()}


def test_a_batch_of_old_and_new_is_stored(keeping, connect, outbound):
    batch = parcels(outbound, count=3)
    connection = connect(keeping)
    connection.deliver(batch[:1])

    receipt = connection.deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}


def test_a_damaged_instance_in_a_batch_costs_its_neighbours_nothing(keeping, connect, outbound):
    good, bad, fine = parcels(outbound, count=3)
    bad = damaged(bad)

    receipt = connect(keeping).deliver([good, bad, fine])

    assert receipt.verdicts[good.out] == receipt.verdicts[fine.out] == Stored()
    assert receipt.verdicts[bad.out] == Later(0, "HTTP 400 to a batch; next time alone")
    assert receipt.unavailable is None


def test_a_damaged_instance_alone_is_refused_for_good(keeping, connect, outbound):
    bad = damaged(parcels(outbound, count=1)[0])

    receipt = connect(keeping).deliver([bad])

    verdict = receipt.verdicts[bad.out]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.DESTINATION_REFUSED


def test_a_destination_that_keeps_the_old_one_names_the_new_one_as_stored(keeping, connect, outbound):
    """The trap: its word is no proof for a changed version. Fails when Orthanc's answer becomes honest."""
    first = parcels(outbound, count=1)[0]
    second = changed(first, "a second look")
    connection = connect(keeping)
    connection.deliver([first])

    receipt = connection.deliver([second])

    assert receipt.verdicts == {second.out: Stored()}
    assert keeping.file(first.sop_instance) == first.file.read_bytes()


def test_a_changed_version_is_not_called_stored_by_a_destination_that_keeps_the_old_one(keeping, connect, outbound):
    first = parcels(outbound, count=1)[0]
    second = changed(first, "a second look")
    connection = connect(keeping)
    connection.deliver([first])

    receipt = deliver_changed(connection, second)

    verdict = receipt.verdicts[second.out]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT


def test_a_changed_version_is_stored_when_the_old_one_was_deleted_there(keeping, connect, outbound):
    second = changed(parcels(outbound, count=1)[0], "a second look")

    receipt = deliver_changed(connect(keeping), second)

    assert receipt.verdicts == {second.out: Stored()}
    assert data_set_digest(keeping.file(second.sop_instance)) == second.digest


def test_a_destination_that_replaces_has_the_new_version(replacing, connect, outbound):
    first = parcels(outbound, count=1)[0]
    second = changed(first, "a second look")
    connection = connect(replacing)
    connection.deliver([first])

    receipt = connection.deliver([second])

    assert receipt.verdicts == {second.out: Stored()}
    assert replacing.file(first.sop_instance) == second.file.read_bytes()


def test_looking_tells_absent_same_and_different_apart(keeping, connect, outbound):
    parcel, other = parcels(outbound, count=2)
    connection = connect(keeping)
    connection.deliver([parcel])

    assert connection.look(parcel) is There.SAME
    assert connection.look(changed(parcel, "a second look")) is There.DIFFERENT
    assert connection.look(other) is There.ABSENT


def test_a_wrong_root_pauses_the_destination_and_refuses_nothing(orthancs, connect, outbound):
    """Orthanc only: a scripted 404 is judged in the unit tests."""
    orthanc = orthancs(overwrite=False)
    batch = parcels(outbound, count=1)

    class Wrong:
        dicomweb = orthanc.root + "/nowhere"

    receipt = connect(Wrong).deliver(batch)

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert "404" in receipt.unavailable.detail


def test_an_instance_whose_ready_file_vanished_is_told_apart(keeping, connect, outbound):
    here, gone = parcels(outbound, count=2)
    gone.file.unlink()

    receipt = connect(keeping).deliver([here, gone])

    assert receipt.verdicts == {gone.out: FileLost()}


def test_of_a_file_that_the_disk_spoilt_nothing_is_sent_and_its_neighbours_go_next_time(keeping, connect, outbound):
    good, spoilt, fine = parcels(outbound, count=3)
    spoil(spoilt.file)
    connection = connect(keeping)

    receipt = connection.deliver([good, spoilt, fine])

    assert receipt.verdicts == {spoilt.out: FileSpoilt()}
    assert not keeping.instances()
    assert connection.deliver([good, fine]).verdicts == {good.out: Stored(), fine.out: Stored()}


def test_a_link_in_ready_is_never_followed(keeping, connect, outbound, tmp_path):
    parcel = parcels(outbound, count=1)[0]
    secret = tmp_path / "secret"
    secret.write_bytes(parcel.file.read_bytes())
    link = outbound / "link.dcm"
    link.symlink_to(secret)

    connect(keeping).deliver([replace(parcel, file=link)])

    assert not keeping.instances()
