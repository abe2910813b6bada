from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.make.spooled import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path / "var")
    yield found
    found.close()
