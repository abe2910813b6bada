"""The status page in a real browser: light, dark and as wide as a telephone; it loads nothing and shows no name."""

import io
import shutil
import subprocess
import time

import pytest
from PIL import Image

from appliance import config
from appliance.intake.callers import Callers
from appliance.intake.troubles import Trouble
from appliance.reasons import Reason
from appliance.services.receive import callers_file
from appliance.services.watch import Watch
from appliance.spool.missing import Delivered
from appliance.watch import backup_told
from tests.make.spooled import House
from tests.peers.patience import PATIENCE_S

STUDY = "2.25.329800735698586629295641978511506172918"


@pytest.fixture
def browser(tmp_path):
    """Asks a browser for a page: its elements as they became, what it complained of, a picture."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("package chromium is not installed")

    def run(url, *more):
        arguments = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
            # Nothing that would ask the network for updates.
            *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={tmp_path / 'browser'}", *more, url),
        ]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE_S, check=True)

    def look(url, *, width=1200, dark=False):
        scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        document = run(url, "--dump-dom", *scheme)
        picture = tmp_path / "page.png"
        run(url, f"--screenshot={picture}", f"--window-size={width},1000", *scheme)
        return document.stdout, document.stderr, Image.open(io.BytesIO(picture.read_bytes())).convert("RGB")

    return look


@pytest.fixture
def page(tmp_path):
    """A site where everything that the page can tell has happened."""
    file = tmp_path / "site.yaml"
    file.write_text(
        "site: st-elsewhere\nstate: ./var\nspool: {reserve_gb: 0}\nwatch: {port: 0}\n"
        "backup: {folder: ./backups, recipients: [age1x]}\n"
        "scp: {peers: [{ae_title: CT1}]}\n"
        "destinations: [{name: research, url: 'http://localhost:1/dicom-web'}]\n"
    )
    site = config.load(file)
    house = House(site.state)
    house.clock.now = time.time()
    quarantined, held, *others = house.receive(*range(8))
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "", study="2.25.77")
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    sent = house.pass_on(others[:3], study=STUDY)
    house.deliver()
    house.pass_on(others[3:5], study="2.25.9")
    house.follow()
    house.outbox.missing.asked(
        "research", Delivered(STUDY, frozenset({sent[0].sop_instance})), {sent[0].sop_instance}, house.clock()
    )
    house.outbox.missing.ended("research", house.clock())
    backup_told.made(site.state, time.time() - 7200, 1000, 3)
    backup_told.verified(site.state, time.time() - 3600, 1)
    callers = Callers(callers_file(site))
    callers.failed("10.1.2.3", "CT1", Trouble.UNKNOWN_CALLED, called="WRONG", facts="")
    callers.failed("10.1.2.4", "ZWIRNLEIN_Q", Trouble.UNKNOWN_CALLER, called="EDGE", facts="")
    callers.save()
    watch = Watch(site)
    watch.start()
    watch.step()
    yield f"http://127.0.0.1:{watch.port}/"
    watch.stop()
    house.close()


def test_a_person_sees_in_a_browser_how_everything_is_and_what_to_do(page, browser):
    document, complaints, _ = browser(page)

    for words in (
        "Received 8, of which waiting 1",
        "no-patient-id",
        STUDY,
        "Missing where it was delivered: 1.",
        "Nothing: it is on its way.",
        "2.25.77",
        "Not complete: see what needs a person",
        "made 2.0 h ago, looked at 1.0 h ago; 1 damaged: appliance backup verify",
        "At the sender, give the AE title of this receiver",
        "Rules of the newest image",
    ):
        assert words in document
    assert "unlisted" in document
    assert "ZWIRNLEIN" not in document  # what a stranger calls himself may be a name
    assert "Refused to" not in complaints
    assert "Content Security Policy" not in complaints


@pytest.mark.parametrize(("dark", "bright"), [(False, True), (True, False)])
def test_it_is_bright_or_dark_as_its_reader_likes(page, browser, dark, bright):
    _, _, picture = browser(page, dark=dark)

    assert (sum(picture.getpixel((5, 5))) > 3 * 128) is bright


def test_on_a_telephone_nothing_stands_beyond_the_edge(page, browser):
    _, _, picture = browser(page, width=500)

    paper = picture.getpixel((2, 2))
    edge = {picture.getpixel((picture.width - 3, y)) for y in range(picture.height)}
    assert edge == {paper}
    assert any(picture.getpixel((x, y)) != paper for x in range(20, 480) for y in range(900, 990))
