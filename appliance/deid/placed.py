"""Values that a site writes into its rules: constants, and what is known of how an instance came.

``{clinic}``, ``{source}``, ``{project}``, ``{calling_ae}`` and ``{called_ae}`` stand for that; ``{{`` and ``}}`` for
a brace. A value must be one that its VR allows: what can be known when the rules are read is refused then.
"""

import re
import struct
from dataclasses import dataclass

from appliance.deid.dates import capped_age, is_time, shifted_date, shifted_date_time
from appliance.deid.uids import is_uid
from appliance.dicom.text import ONE_VALUED
from appliance.model import Provenance
from appliance.yamlfile import Node, kind, suggestion

WORDS = ("clinic", "source", "project", "calling_ae", "called_ae")

_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_LONGEST = {  # characters of one value. PS3.5 Table 6.2-1
    "AE": 16, "CS": 16, "DS": 16, "IS": 12, "LO": 64, "LT": 10_240, "PN": 64, "SH": 16, "ST": 1024,
}  # fmt: skip
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_CODE = re.compile(r"[A-Z0-9_ ]*")
_WHOLE = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0e-\x1f\x7f]")  # line ends may stand in long texts
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ", "AT"})


@dataclass(frozen=True, slots=True)
class Value:
    """A value as written, in parts: a text, or the name of a fact (True)."""

    parts: tuple[tuple[str, bool], ...]

    @property
    def fixed(self) -> bool:
        """Whether it says the same for every instance."""
        return not any(is_word for _, is_word in self.parts)

    def filled(self, provenance: Provenance) -> str:
        """Return the value for an instance that came so."""
        return "".join(str(getattr(provenance, text)) if is_word else text for text, is_word in self.parts)

    def demand_fit(self, vr: str, node: Node) -> None:
        """Raise ConfigError if no instance could have this value in an element of ``vr``."""
        if vr in _BYTES:
            raise node.wrong(f"Value is a text, and no text can be written into an element of VR {vr}.")
        if self.fixed and problem(self.filled(Provenance("")), vr):
            raise node.wrong(f"Value does not fit its VR: {problem(self.filled(Provenance('')), vr)}.")


def value_of(node: Node) -> Value:
    """Return the value that a node of the rules says."""
    text = node.value
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        raise node.wrong(f"Value must be a text, not {kind(node)}; write it in quotes.")
    parts: list[tuple[str, bool]] = []
    for found in _PARTS.finditer(text):
        if found[0] in ("{{", "}}"):
            parts.append((found[0][0], False))
        elif found[0] in "{}":
            raise node.wrong("Value has a brace without its other half. For a brace itself write it twice.")
        elif found[1] is not None:
            if found[1] not in WORDS:
                raise node.wrong(f"Value: {{{found[1]}}} is not known.{suggestion(found[1], WORDS)}")
            parts.append((found[1], True))
        else:
            parts.append((found[0], False))
    return Value(tuple(parts))


def problem(text: str, vr: str) -> str:
    """Return why ``text`` is no value of ``vr``; "" if it is one. The empty text always is."""
    if not text:
        return ""
    if vr in _BYTES:
        return f"no text can be written into VR {vr}"
    if _CONTROL.search(text) or (vr not in ("LT", "ST", "UT") and ("\n" in text or "\r" in text)):
        return "it holds control characters"
    values = [text] if vr in ONE_VALUED else text.split("\\")
    return next((found for value in values if (found := _problem(value, vr))), "")


def number_bytes(text: str, vr: str, *, little_endian: bool) -> bytes | None:
    """Return the bytes of a binary VR; None for a VR that is written as text."""
    code = _NUMBERS.get(vr)
    if code is None:
        return None
    kind_of = float if vr in ("FL", "FD") else int
    numbers = [kind_of(value) for value in text.split("\\")] if text else []
    return struct.pack(f"{'<' if little_endian else '>'}{len(numbers)}{code}", *numbers)


def _problem(value: str, vr: str) -> str:
    longest = _LONGEST.get(vr)
    groups = value.split("=") if vr == "PN" else [value]
    if longest is not None and any(len(group) > longest for group in groups):
        return f"VR {vr} holds {longest} characters at most"
    if vr in _NUMBERS:
        return _no_number(value, vr)
    fits = {
        "AE": value.isascii(),
        "AS": capped_age(value) is not None,
        "CS": _CODE.fullmatch(value) is not None,
        "DA": "-" not in value and shifted_date(value, 0) == value and len(value) == 8,
        "DS": _DECIMAL.fullmatch(value.strip()) is not None,
        "DT": shifted_date_time(value, 0) is not None,
        "IS": _WHOLE.fullmatch(value.strip()) is not None,
        "TM": "-" not in value and is_time(value),
        "UI": is_uid(value),
        "UR": value.isascii() and " " not in value.strip(),
    }.get(vr, True)
    return "" if fits else f"it is no value of VR {vr}"


def _no_number(value: str, vr: str) -> str:
    form = _DECIMAL if vr in ("FL", "FD") else _WHOLE
    if form.fullmatch(value) is None:
        return f"it is no number of VR {vr}"
    try:
        number_bytes(value, vr, little_endian=True)
    except (struct.error, OverflowError):
        return f"the number is too large for VR {vr}"
    return ""
