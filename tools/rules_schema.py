"""Make rules/schema.json: what an editor can know of the rules language while somebody types.

    python -m tools.rules_schema > rules/schema.json

Keys, options and words are the program's own, so that neither can know more than the other; a test compares them.
"""

import json
from typing import Any

from appliance.deid import blocks, language
from appliance.deid.pixels import devices, policy
from appliance.deid.plan import CARRIED_OUT
from appliance.deid.reading import SPELLINGS
from appliance.deid.scopes import SCOPE_KEYS

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
PATTERNS = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
VALUE = {"type": ["string", "integer"]}
EDGE = {"type": "integer", "minimum": 0, "maximum": 65_535}
SIZE = {"type": "integer", "minimum": 1, "maximum": devices.MOST_PIXELS}
BOXES = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "items": EDGE, "minItems": 4, "maxItems": 4},
}
VALUES: dict[str, Any] = {  # of a key of an entry, by its name
    "TagPatterns": PATTERNS,
    "ExceptTagPatterns": TEXTS,
    "ShiftBy": {"type": "integer", "minimum": 1, "maximum": blocks.LONGEST_SHIFT},
    "ReuseMapping": {"enum": list(blocks.REUSES)},
    "Split": TEXT,
    "IgnoreCase": {"type": "boolean"},
    "Prefix": {"type": "string", "pattern": r"^[0-2](\.\d+)+\.?$"},
    "Value": VALUE,
    "Tag": TEXT,
    "VR": {"enum": blocks.VRS},
    "OverwriteIfExists": {"type": "boolean"},
    "Type": {"enum": ["Manual", "OCR"]},
    "BoxCoordinates": BOXES,
    "Action": {"enum": ["Remove", "Empty"]},
}
NEEDED = {  # by type of transformation
    "Keep": ("TagPatterns",),
    "Clean": ("TagPatterns",),
    "ShiftDateTime": ("TagPatterns", "ShiftBy"),
    "RandomizeText": ("TagPatterns",),
    "RandomizeUID": ("TagPatterns",),
    "Replace": ("TagPatterns", "Value"),
    "AddTags": ("Tag", "VR", "Value"),
    "RemoveBurnedInAnnotations": ("Type",),
    "DeleteTags": ("TagPatterns", "Action"),
}
_OTHERS = {usual: other for other, usual in SPELLINGS.items()}


def closed(properties: dict[str, Any], *, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """A mapping with these keys, in either spelling, and no others."""
    spelled = {_OTHERS[name]: value for name, value in properties.items() if name in _OTHERS}
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {**properties, **spelled}}
    if needed:
        schema["required"] = list(needed)
    return schema


def listed(items: dict[str, Any]) -> dict[str, Any]:
    """A list of these."""
    return {"type": "array", "items": items}


def transformation(kind: str) -> dict[str, Any]:
    """The list of one type of transformation."""
    entry = closed({key: VALUES[key] for key in blocks.KEYS[kind]}, needed=NEEDED[kind])
    if kind not in blocks.SHORT:
        return listed(entry)
    return {"anyOf": [TEXT, listed({"anyOf": [TEXT, entry]})]}


def device() -> dict[str, Any]:
    """A device and where it writes."""
    sizes = {"Rows": SIZE, "Columns": SIZE, "Boxes": BOXES}
    return closed({key: sizes.get(key, TEXT) for key in devices.DEVICE_KEYS}, needed=("Name", "Boxes"))


def schema() -> dict[str, Any]:
    """The whole."""
    scope = dict.fromkeys(SCOPE_KEYS, TEXTS)
    kinds = {kind: transformation(kind) for kind in blocks.KEYS}
    uid = {"type": "string", "pattern": r"^[0-2](\.\d+)+$"}
    query = {"type": ["string", "null"]}
    meanings: dict[str, Any] = {
        "Profile": {"enum": list(language.PROFILES)},
        "Options": listed({"enum": sorted(CARRIED_OUT)}),
        "DateShiftDays": closed({"From": {"type": "integer"}, "To": {"type": "integer"}}, needed=("From", "To")),
        "SopClasses": listed(uid),
        "Vocabularies": {"type": "object", "additionalProperties": listed(TEXT)},
        "Labels": listed(closed({"Name": TEXT, "DICOMQueryFilter": query}, needed=("Name",))),
        "Categories": listed(closed({"Name": TEXT, "Labels": TEXTS}, needed=("Name", "Labels"))),
        "ScopeToForward": closed(scope),
        "Destinations": listed(closed({"Name": TEXT, **scope}, needed=("Name",))),
        "Hold": listed(closed({**scope, "Why": TEXT}, needed=("Why",))),
        "Quarantine": listed(
            closed({**scope, "Why": TEXT, "Reason": {"enum": sorted(language.REASONS)}}, needed=("Why",))
        ),
        "Pixels": listed(
            closed(
                {**scope, "Regions": {"type": "boolean"}, "Text": {"enum": list(policy.Text)}, "Why": TEXT},
                needed=("Why",),
            )
        ),
        "Devices": listed(device()),
        **{kind: kinds[kind] for kind in language.EVERYWHERE},
        "Transformations": listed(closed({"Scope": closed(scope), **kinds, "Transcode": uid}, needed=("Scope",))),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of the appliance",
        "description": "Made by tools/rules_schema.py. What the keys mean: rules/README.md.",
        **closed({key: meanings[key] for key in language.KEYS}),
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
