"""What the demo says at its end."""

import io
import threading

import pytest
from rich.console import Console

from appliance.cli import demo
from appliance.cli.demo_cloud import FolderCloud
from appliance.intake.receipts import CLOSED


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def told(console):
    return console.file.getvalue()


@pytest.mark.parametrize(("stays", "is_named"), [(True, True), (False, False)])
def test_a_demo_that_ends_names_no_address_that_ends_with_it(tmp_path, console, stays, is_named):
    demo._say_where(
        tmp_path,
        FolderCloud(tmp_path / "cloud"),
        tmp_path / "appliance.yaml",
        {"scp": 11112, "watch": 9112},
        console,
        stays=stays,
    )

    assert ("/metrics" in told(console)) is ("storescu" in told(console)) is is_named
    assert "appliance.yaml" in told(console)
    assert str(tmp_path / "cloud") in told(console)


def test_the_receipt_is_shown_when_it_is_complete(tmp_path, console):
    receipts = tmp_path / "inbox" / "clinic-a" / "_receipts"
    receipts.mkdir(parents=True)
    receipt = receipts / "2026-11-21-000001.txt"
    receipt.write_text("  3 delivered.\n  1 on their way.\n")
    later = threading.Timer(0.5, lambda: receipt.write_text(f"  4 delivered.\n{CLOSED}\n"))

    later.start()
    demo._show_receipt(tmp_path, console)
    later.join()

    assert "4 delivered" in told(console)
    assert "on their way" not in told(console)
