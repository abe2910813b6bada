"""Devices that write into their pictures at places that are known: a signature, and the boxes to hide.

The packaged ones stand in ``rules/devices/``; a site adds its own under ``Devices`` in its rules.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from appliance.deid.blocks import read_box
from appliance.deid.pixels.box import Box
from appliance.deid.reading import at, keys_of, list_of, number_of, text_of
from appliance.deid.uids import is_uid
from appliance.dicom.dictionary import tag_of
from appliance.dicom.element import DataSet
from appliance.dicom.query import Both, Condition, Operator, Query, parse_query
from appliance.errors import ConfigError
from appliance.yamlfile import Node, meaning, parse_file

_TEXTS = {  # key of a signature -> attribute; "*" stands for any text, case does not count
    "Manufacturer": "Manufacturer",
    "Model": "ManufacturerModelName",
    "Software": "SoftwareVersions",
    "Modality": "Modality",
    "SopClass": "SOPClassUID",
}
_NUMBERS = {"Rows": "Rows", "Columns": "Columns"}
SIGNATURE_KEYS = (*_TEXTS, *_NUMBERS, "DICOMQueryFilter")
DEVICE_KEYS = ("Name", *SIGNATURE_KEYS, "Boxes")
MOST_PIXELS = 65_535  # of an edge: PS3.3 C.7.6.3.1, VR US


@dataclass(frozen=True, slots=True)
class Device:
    """A signature, and what to hide in every frame of an instance that has it. ``name`` is for the report."""

    name: str
    signature: Query
    boxes: tuple[Box, ...]

    def matches(self, readable: DataSet, meta: DataSet | None) -> bool:
        """Whether an original, see ``scopes.readable``, came from such a device."""
        return self.signature.matches(readable, meta)


def read_devices(node: Node) -> tuple[Device, ...]:
    """Return the entries of ``Devices``; raises ConfigError with file and line for whatever is not understood."""
    devices: dict[str, Device] = {}
    for child in list_of(node, "Devices"):
        device = _device(child)
        if device.name in devices:
            raise child.wrong(f"the device '{device.name}' stands here twice. Keep one, with all its boxes.")
        devices[device.name] = device
    return tuple(devices.values())


@lru_cache(maxsize=1)
def packaged_devices() -> tuple[Device, ...]:
    """Return the devices of ``rules/devices/*.yaml``."""
    return tuple(device for node in _packaged() for device in read_devices(node))


@lru_cache(maxsize=1)
def packaged_meaning() -> list[object]:
    """Return what the packaged devices mean, for a digest: comments and order of keys do not change it."""
    return [meaning(node) for node in _packaged()]


@lru_cache(maxsize=1)
def _packaged() -> tuple[Node, ...]:
    """Return the list of devices of each file, in the order of the files' names."""
    # In a checkout this is a link to rules/devices; a wheel holds the files themselves.
    with as_file(files("appliance.deid").joinpath("data", "devices")) as folder:
        found = [_devices_in(file) for file in sorted(folder.glob("*.yaml"))]
    if not found:
        raise ConfigError("no file of devices is installed: install the appliance again.", file=Path("rules/devices"))
    return tuple(found)


def _devices_in(file: Path) -> Node:
    return keys_of(parse_file(file), ("Devices",), needed=("Devices",))["Devices"]


def _device(node: Node) -> Device:
    keys = keys_of(node, DEVICE_KEYS, needed=("Name", "Boxes"))
    conditions: list[Query] = []
    for key, keyword in _TEXTS.items():
        if key in keys:
            conditions.append(_equals(keyword, _text(keys[key], key)))
    for key, keyword in _NUMBERS.items():
        if key in keys:
            number = number_of(keys[key], key, least=1, most=MOST_PIXELS)
            conditions.append(Condition((_tag(keyword),), Operator.NB_EQUALS, Decimal(number)))
    if "DICOMQueryFilter" in keys:
        with at(keys["DICOMQueryFilter"], "DICOMQueryFilter"):
            conditions.append(parse_query(text_of(keys["DICOMQueryFilter"], "DICOMQueryFilter")))
    if not conditions:
        raise node.wrong(f"a signature is missing: by which of {', '.join(SIGNATURE_KEYS)} the device is known.")
    boxes = list_of(keys["Boxes"], "Boxes")
    if not boxes:
        raise keys["Boxes"].wrong("Boxes are missing: [[left, top, right, bottom], ...].")
    name = text_of(keys["Name"], "Name")
    return Device(name, Both(tuple(conditions)), tuple(Box(*read_box(box)) for box in boxes))


def _text(node: Node, key: str) -> str:
    text = text_of(node, key)
    if not text.strip("* "):
        raise node.wrong(f"{key} must name something; '*' alone means every device.")
    if key == "SopClass" and not is_uid(text):
        raise node.wrong("SopClass must be a SOP Class UID: digits and dots, in quotes.")
    return text


def _equals(keyword: str, text: str) -> Condition:
    return Condition((_tag(keyword),), Operator.STR_EQUALS, text)


def _tag(keyword: str) -> int:
    tag = tag_of(keyword)
    assert tag is not None  # noqa: S101 - keywords of the tables above
    return tag
