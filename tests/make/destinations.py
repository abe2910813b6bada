"""Destinations as a configuration gives them."""

from pathlib import Path
from typing import Any

from appliance.config import Destination


def stow_destination(url: str, **more: Any) -> Destination:
    """Return a DICOMweb destination."""
    return Destination(name="research", url=url, **more)


def folder_destination(folder: Path, **more: Any) -> Destination:
    """Return a folder destination."""
    return Destination(name="shelf", folder=folder, **more)
