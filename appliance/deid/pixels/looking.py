"""The question to whoever can look at pixels, and what an answer does to the result. ``clean`` answers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.deid.outcome import Looked, Refused, Report
from appliance.deid.pixels.devices import Device
from appliance.deid.pixels.identifying import Judge
from appliance.deid.pixels.policy import Task
from appliance.dicom.element import PIXEL_DATA, DataSet, Element, Tag, tag_text
from appliance.dicom.part10 import Part10
from appliance.reasons import Reason

_ICON: Tag = 0x00880200
_OTHER_PIXELS: tuple[Tag, ...] = (0x7FE00008, 0x7FE00009)  # floating point: no text is looked for in them


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be cleaned, and what for.

    devices  that write into their pictures at known places
    judge    what names the patient
    prove    the result is searched again, and refused if it names the patient
    """

    task: Task
    devices: Sequence[Device]
    judge: Judge
    prove: bool


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Pixels that may leave.

    looked  what was done, for the report
    syntax  transfer syntax of the result
    put     elements of the Data Set that are new; Pixel Data among them if any pixel is
    remove  tags of elements that are no longer true
    """

    looked: Looked
    syntax: str
    put: tuple[Element, ...] = ()
    remove: tuple[Tag, ...] = ()


class Pixels(Protocol):
    """Who can decode and look. The same question always gets the same answer."""

    def clean(self, original: Part10, ask: Ask) -> Cleaned | Refused:
        """Return what may leave of the pixels of ``original``, which is not changed, or why nothing may."""
        ...


def look(original: Part10, result: DataSet, ask: Ask, pixels: Pixels | None, report: Report) -> Refused | str:
    """Have the pixels of ``original`` cleaned, and put what may leave into ``result``.

    Return the transfer syntax of the result, or why nothing may leave. Changes ``result`` and ``report``. A result
    without pixels needs nobody who looks.
    """
    syntax = original.transfer_syntax
    if any(tag in result for tag in _OTHER_PIXELS):
        return Refused(Reason.PIXELS_UNDECODABLE, f"{ask.task.rule} They are floating point numbers.")
    if PIXEL_DATA in result:
        if pixels is None:
            return Refused(Reason.BURNED_IN_RISK, f"{ask.task.rule} Nobody here can look.")
        cleaned = pixels.clean(original, ask)
        if isinstance(cleaned, Refused):
            return cleaned
        for tag in cleaned.remove:
            result.remove(tag)
        for element in cleaned.put:
            result.put(element)
        report.pixels = cleaned.looked
        syntax = cleaned.syntax
    _without_companions(result, "", report)
    return syntax


def _without_companions(data_set: DataSet, path: str, report: Report) -> None:
    """Remove icon images and overlays, at any depth: the same picture and the same words, where nobody looked."""
    for element in list(data_set):
        group = element.tag >> 16
        if element.tag == _ICON or (0x6000 <= group < 0x6100 and not group & 1):
            data_set.remove(element.tag)
            report.lines.append((path + tag_text(element.tag), "removed", "beside pixels that were looked at"))
        for number, item in enumerate(element.items):
            _without_companions(item, f"{path}{tag_text(element.tag)}[{number}].", report)
