"""The two clouds that must behave alike: the scripted one, and the real Orthanc."""

from pathlib import Path

import pytest

from appliance.outlet.auth import NoLogin
from appliance.outlet.stow import Stow, new_session
from tests.make.destinations import stow_destination
from tests.peers.fake_cloud import FakeCloud
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S


@pytest.fixture(scope="session")
def orthancs(tmp_path_factory):
    """Orthancs by OverwriteInstances, started when first asked for and kept for all tests."""
    started: dict[bool, Orthanc] = {}

    def get(*, overwrite: bool) -> Orthanc:
        if overwrite not in started:
            orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"), overwrite=overwrite)
            orthanc.start()
            started[overwrite] = orthanc
        started[overwrite].clear()
        return started[overwrite]

    yield get
    for orthanc in started.values():
        orthanc.kill()


@pytest.fixture(params=["fake cloud", "orthanc"])
def keeping(request, orthancs):
    """A cloud that keeps an instance that it has."""
    if request.param == "orthanc":
        yield orthancs(overwrite=False)
    else:
        with FakeCloud(keeps=True) as cloud:
            yield cloud


@pytest.fixture(params=["fake cloud", "orthanc"])
def replacing(request, orthancs):
    """A cloud that replaces an instance that it has."""
    if request.param == "orthanc":
        yield orthancs(overwrite=True)
    else:
        with FakeCloud(keeps=False) as cloud:
            yield cloud


@pytest.fixture
def cloud():
    """The scripted cloud, for what a real one cannot be made to do."""
    with FakeCloud() as fake:
        yield fake


@pytest.fixture
def outbound(tmp_path) -> Path:
    """Where the parcels of a test lie."""
    folder = tmp_path / "ready"
    folder.mkdir()
    return folder


@pytest.fixture
def connect():
    """Opens a connection to a cloud; all are closed after the test."""
    opened: list[Stow] = []

    def to(cloud, *, login=None, timeout_s: float = PATIENCE_S) -> Stow:
        destination = stow_destination(cloud.dicomweb)
        opened.append(Stow(destination.url, new_session(destination), login or NoLogin(), timeout_s=timeout_s))
        return opened[-1]

    yield to
    for stow in opened:
        stow.close()
