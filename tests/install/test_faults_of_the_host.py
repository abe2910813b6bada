"""A booted host under load whose disk, share, clock or journal goes wrong, and the sum afterwards."""

import time

import pytest

from tests.make import make
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.troubled import INBOX, SHARE, image

STATE = "/var/lib/appliance"
JOURNAL = f"{STATE}/inside/journal.db"
OUT_OF_RESOURCES = 0xA700


def _answer(troubled, number):
    """What a scanner is told: a status, or None for an association that was not let in."""
    data = image("asked", number)
    with Caller(11112, host=troubled.host.address) as caller:
        if caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1").rejected is not None:
            return None
        status = caller.store(1, CT, data.SOPInstanceUID, make.data_set(data))
    troubled.acknowledged += status == 0
    return status


# --- the disk ---------------------------------------------------------------------------------------------------------


def test_while_the_disk_is_full_scanners_are_told_to_come_again_and_nothing_is_lost(troubled):
    """The state lies on a file system of its own, which a ballast fills to the last byte."""
    with troubled.load("full"):
        for _ in range(2):  # what was being written when it was full is gone again, and leaves a little space
            troubled.host.run(f"cat /dev/zero >> {STATE}/ballast", check=False)
        assert _answer(troubled, 1) in (OUT_OF_RESOURCES, None)
        time.sleep(5)  # every service meets it
        assert _answer(troubled, 2) in (OUT_OF_RESOURCES, None)
        troubled.host.run(f"rm {STATE}/ballast")

    troubled.host.wait_until(troubled.each_is_active)
    troubled.settles()


# --- the share --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meanwhile", ["it runs", "it starts anew"])
def test_an_inbox_share_that_goes_away_and_comes_back_loses_nothing(troubled, tmp_path, meanwhile):
    """The share is a mount that is taken off the host at once, while the file server goes on and takes what is dropped.

    A share that hangs instead of being gone is not covered: no mount of this kernel hangs by itself.
    """
    name = meanwhile.replace(" ", "-")
    with troubled.load(f"share-{name}") as caller:
        _drop(troubled, tmp_path / "first", f"{name}-first")
        troubled.host.run(f"umount -l {INBOX}")
        _drop(troubled, tmp_path / "second", f"{name}-second")
        if meanwhile == "it starts anew":
            troubled.host.run("systemctl kill --signal=KILL appliance-inbox.service")
            troubled.host.wait_until(lambda: troubled.host.is_active("appliance-inbox.service"))
        sent = len(caller.acknowledged)
        troubled.host.wait_until(lambda: len(caller.acknowledged) >= sent + 8)
        troubled.host.run(f"mount --bind {SHARE} {INBOX}")
        _drop(troubled, tmp_path / "third", f"{name}-third")

    troubled.acknowledged += 9
    troubled.settles()
    # What was taken when the share went is met again when it is back, known, and put away as all the others.
    troubled.host.wait_until(lambda: troubled.host.run(f"ls {SHARE}/clinic-a | grep -v ^_; true") == "")


def _drop(troubled, folder, seed):
    """Three images into the file server's folder of the clinic."""
    folder.mkdir()
    for number in range(1, 4):
        make.stored(folder / f"{number}.dcm", image(seed, number))
    there = f"{SHARE}/clinic-a/{seed}"
    troubled.host.push(folder, there)
    troubled.host.run(f"chown -R appliance-inbox: {there}")


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.fixture
def wall_clock(troubled):
    """Sets the wall clock of the services, and of nothing else, forward or back, as date(1) does.

    A booted host shares this machine's clock, which no test may set. So libfaketime stands before the clock of every
    service: the wall clock jumps in all of them at once while they run; not the monotonic one, as on a real host.
    Not covered: timers of systemd, times of files (the kernel's), and what OpenSSL or SQLite read past the C library.
    """
    host = troubled.host
    got = host.tool(
        "exec", "--online", host.name, "--", "sh", "-c",
        "apt-get -q update && apt-get -qy install --no-install-recommends libfaketime", check=False,
    )  # fmt: skip
    if got.returncode != 0:
        pytest.skip("package libfaketime cannot be installed on the host")
    folder = "/etc/systemd/system/appliance-.service.d"
    library = host.run("dpkg -L libfaketime | grep libfaketimeMT.so.1").strip()
    host.run(
        f"echo '+0' > /etc/faketime; printf '[Service]\\nEnvironment=LD_PRELOAD={library} FAKETIME_NO_CACHE=1"
        " FAKETIME_TIMESTAMP_FILE=/etc/faketime FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\\n'"
        f" > {folder}/zz-faketime.conf; systemctl daemon-reload; systemctl restart appliance.target"
    )
    host.wait_until(troubled.each_is_active)
    yield lambda moved: host.run(f"echo '{moved}' > /etc/faketime")
    host.run(f"rm {folder}/zz-faketime.conf /etc/faketime; systemctl daemon-reload; systemctl restart appliance.target")
    host.wait_until(troubled.each_is_active)


def test_a_clock_that_is_set_back_a_day_and_forward_again_stops_nothing(troubled, wall_clock):
    with troubled.load("clock") as caller:
        wall_clock("-1d")
        sent = len(caller.acknowledged)
        troubled.host.wait_until(lambda: len(caller.acknowledged) >= sent + 10)
        yesterday = troubled.host.run("date -u -d yesterday +%Y-%m-%dT").strip()
        assert f'{{"at": "{yesterday}' in troubled.host.run("journalctl -n 200 --no-pager -o cat -u 'appliance*'")
        troubled.host.wait_until(lambda: troubled.states()["FORWARDED"] >= troubled.acknowledged + sent + 10)
        wall_clock("+0")

    troubled.settles()


# --- the journal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["it stands still", "it runs"])
def test_a_journal_that_is_damaged_is_made_again_from_the_files(troubled, when):
    """What a person discarded waits again; nothing that was released, or that came twice, goes out once more."""
    aside = _set_aside(troubled)
    known = troubled.queue()
    with troubled.load(f"damaged-{when}"):
        if when == "it stands still":
            troubled.host.run("systemctl stop appliance.target")
        troubled.host.run(
            f"dd if=/dev/urandom of={JOURNAL} bs=4096 seek=1 conv=notrunc status=none"
            f" count=$(( $(stat -c %s {JOURNAL}) / 4096 - 1 ))"
        )
        if when == "it stands still":
            troubled.host.run("systemctl start appliance.target")
        troubled.host.wait_until(lambda: _set_aside(troubled) > aside)

    troubled.host.wait_until(troubled.each_is_active)
    troubled.host.wait_until(lambda: troubled.queue().get("received", 0) >= known["received"])
    troubled.host.wait_until(lambda: troubled.orthanc.count() == troubled.acknowledged)
    troubled.discard_what_waits()
    troubled.settles()


def _set_aside(troubled):
    return int(troubled.host.run(f"ls {STATE}/inside | grep -c 'journal.db.damaged-[0-9TZ]*$'; true"))
