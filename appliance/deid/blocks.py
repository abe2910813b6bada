"""Reading the entries of ``Transformations``: closed, and nothing that could only do nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.deid.placed import value_of
from appliance.deid.plan import dictionary_vrs
from appliance.deid.reading import at, keys_of, list_of, number_of, one_or_list, text_of, word_of, yes_or_no
from appliance.deid.scopes import ALL, SCOPE_KEYS, Names, Scope
from appliance.deid.transforms import (
    CLEANED,
    MOVED,
    Add,
    Block,
    BurnedIn,
    Clean,
    Delete,
    Keep,
    RandomText,
    RandomUid,
    Replace,
    Reuse,
    Selector,
    Shift,
    Transcode,
)
from appliance.deid.uids import is_uid
from appliance.dicom.dictionary import tag_of, vr_of
from appliance.dicom.element import Tag
from appliance.dicom.encoding import LONG_CODES, SHORT_CODES
from appliance.dicom.syntaxes import syntax_of
from appliance.dicom.tagpath import TagPattern, parse_path, parse_pattern
from appliance.dicom.text import TEXT_VRS
from appliance.yamlfile import Node

LONGEST_SHIFT = 36_524  # days of a century; of seconds, ten hours
LONGEST_PREFIX = 40  # letters before a UID's own number, which then has 24 digits at least
REUSES = tuple(reuse for reuse in Reuse if reuse is not Reuse.NEVER)

VRS = sorted((set(SHORT_CODES) | set(LONG_CODES)) - {"SQ", "UN"})
_UIDS = frozenset(map(tag_of, ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")))

_SELECTED = ("TagPatterns", "ExceptTagPatterns")
KEYS: Mapping[str, tuple[str, ...]] = {  # what an entry of each type may say
    "Keep": _SELECTED,
    "Clean": _SELECTED,
    "ShiftDateTime": (*_SELECTED, "ShiftBy", "ReuseMapping"),
    "RandomizeText": (*_SELECTED, "Split", "IgnoreCase", "ReuseMapping"),
    "RandomizeUID": (*_SELECTED, "Prefix"),
    "Replace": (*_SELECTED, "Value"),
    "AddTags": ("Tag", "VR", "Value", "OverwriteIfExists"),
    "RemoveBurnedInAnnotations": ("Type", "BoxCoordinates"),
    "DeleteTags": (*_SELECTED, "Action"),
}
SHORT = ("Keep", "Clean")  # an entry may be a pattern alone
VALUE_RULES = ("Keep", "Clean", "ShiftDateTime", "RandomizeText", "RandomizeUID", "Replace")
BLOCK_KEYS = ("Scope", *KEYS, "Transcode")


def read_block(node: Node, names: Names) -> Block:
    """Return one entry of ``Transformations``."""
    keys = keys_of(node, BLOCK_KEYS, needed=("Scope",))
    scope = names.scope(keys["Scope"], keys_of(keys["Scope"], SCOPE_KEYS))
    transcode = _transcode(keys["Transcode"]) if "Transcode" in keys else None
    rules: dict[str, list[Any]] = {kind: [] for kind in KEYS}
    for kind, reader in _READERS.items():
        for child in _short(keys[kind], kind) if kind in keys else ():
            rules[kind].append(reader(child, keys_of(child, KEYS[kind])))
    return Block(
        scope,
        tuple(rule for kind in VALUE_RULES for rule in rules[kind]),
        tuple(rules["AddTags"]),
        tuple(rules["RemoveBurnedInAnnotations"]),
        tuple(rules["DeleteTags"]),
        transcode,
    )


def read_everywhere(keys: Mapping[str, Node]) -> tuple[Block, ...]:
    """Return the block that ``Keep``, ``Clean`` and ``Replace`` at the top of a file stand for."""
    rules = [
        _READERS[kind](entry, keys_of(entry, KEYS[kind])) for kind, node in keys.items() for entry in _short(node, kind)
    ]
    return (Block(Scope(frozenset({ALL})), tuple(rules)),) if rules else ()


def _short(node: Node, kind: str) -> tuple[Node, ...]:
    """Return the entries of a list; for Keep and Clean, a pattern alone stands for an entry."""
    if kind not in SHORT:
        return list_of(node, kind)
    return tuple(
        Node({"TagPatterns": each}, each.file, each.line) if isinstance(each.value, str) else each
        for each in one_or_list(node, kind)
    )


def read_prefix(nodes: Sequence[Node]) -> str:
    """Return the one ``Prefix`` of all RandomizeUID entries of these blocks; "" for none.

    One for a file, and for every UID that is replaced under it: with two, a reference would not meet its instance.
    """
    found: dict[str, Node] = {}
    for block in nodes:
        keys = keys_of(block, BLOCK_KEYS)
        for entry in list_of(keys["RandomizeUID"], "RandomizeUID") if "RandomizeUID" in keys else ():
            prefix = keys_of(entry, KEYS["RandomizeUID"]).get("Prefix")
            if prefix is not None:
                found[_prefix(prefix)] = prefix
    if len(found) > 1:
        last = list(found.values())[-1]
        raise last.wrong(
            "two different Prefix values in one file would give one UID two names and break references. Use one."
        )
    return next(iter(found), "")


def _prefix(node: Node) -> str:
    prefix = text_of(node, "Prefix")
    root = prefix.removesuffix(".")
    if not is_uid(root) or any(part != "0" and part.startswith("0") for part in root.split(".")):
        raise node.wrong("Prefix must be the beginning of a UID: digits and dots, in quotes.")
    if len(root) >= LONGEST_PREFIX:
        raise node.wrong(f"Prefix has more than {LONGEST_PREFIX - 1} letters, so new UIDs would not differ safely.")
    return root + "."


def _keep(node: Node, keys: dict[str, Node]) -> Keep:
    return Keep(_selector(node, keys, lambda tag: True, ""), node.line)


def _clean(node: Node, keys: dict[str, Node]) -> Clean:
    return Clean(_selector(node, keys, lambda tag: vr_of(tag) in CLEANED, "is no free text"), node.line)


def _shift(node: Node, keys: dict[str, Node]) -> Shift:
    selector = _selector(
        node, keys, lambda tag: vr_of(tag) in MOVED, "is no date or time (DA, TM, DT), so it cannot be shifted"
    )
    if "ShiftBy" not in keys:
        raise node.wrong("ShiftBy is missing: by how many days (DA) or seconds (TM, DT) at most.")
    by = number_of(keys["ShiftBy"], "ShiftBy", least=1, most=LONGEST_SHIFT)
    return Shift(selector, by, _reuse(keys) or Reuse.PATIENT, node.line)


def _random_text(node: Node, keys: dict[str, Node]) -> RandomText:
    selector = _selector(node, keys, lambda tag: vr_of(tag) in TEXT_VRS, "holds no text, so none can be made for it")
    split = keys.get("Split")
    if split is not None and (not isinstance(split.value, str) or not split.value):
        raise split.wrong("Split must be the text between the parts, such as '^', in quotes.")
    ignore = yes_or_no(keys.get("IgnoreCase"), "IgnoreCase")
    return RandomText(selector, split.value if split else "", ignore, _reuse(keys) or Reuse.NEVER, node.line)


def _random_uid(node: Node, keys: dict[str, Node]) -> RandomUid:
    return RandomUid(_selector(node, keys, lambda tag: vr_of(tag) == "UI", "is no UID (VR UI)"), node.line)


def _replace(node: Node, keys: dict[str, Node]) -> Replace:
    selector = _selector(node, keys, lambda tag: vr_of(tag) != "SQ", "is a sequence; name what is inside it")
    if "Value" not in keys:
        raise node.wrong("Value is missing: what shall stand there; '' for nothing.")
    value = value_of(keys["Value"])
    for pattern, where in zip(selector.patterns, one_or_list(keys["TagPatterns"], "TagPatterns"), strict=True):
        last = pattern.parts[-1]
        _not_a_key(tag_of(last.text), len(pattern.parts), where)
        vr = last.vr or (vr_of(tag) if (tag := tag_of(last.text)) is not None else "")
        if vr:
            value.demand_fit(vr, keys["Value"])
    return Replace(selector, value, node.line)


def _add(node: Node, keys: dict[str, Node]) -> Add:
    for name in ("Tag", "VR", "Value"):
        if name not in keys:
            raise node.wrong(f"{name} is missing. AddTags needs Tag, VR and Value.")
    with at(keys["Tag"], "Tag"):
        path = parse_path(_dotted(text_of(keys["Tag"], "Tag")))
    tag = path.steps[-1].tag
    if tag >> 16 < 0x0008 or not tag & 0xFFFF or path.steps[-1].item is not None:
        raise keys["Tag"].wrong(
            "Tag cannot be added: File Meta, commands, group lengths and items are not rules' to make."
        )
    _not_a_key(tag, len(path.steps), keys["Tag"])
    for step in path.steps[:-1]:
        if vr_of(step.tag) not in ("SQ", "UN"):
            raise keys["Tag"].wrong(f"Tag: {step.tag:08X} is no sequence, so nothing can be in it.")
    vr = word_of(keys["VR"], "VR", VRS)
    expected = dictionary_vrs(tag)
    if expected and vr not in expected:
        raise keys["VR"].wrong(f"VR is {vr}, but the dictionary says {' or '.join(expected)} for this Tag.")
    value = value_of(keys["Value"])
    value.demand_fit(vr, keys["Value"])
    return Add(path, vr, value, yes_or_no(keys.get("OverwriteIfExists"), "OverwriteIfExists"), node.line)


def _burned_in(node: Node, keys: dict[str, Node]) -> BurnedIn:
    if "Type" not in keys:
        raise node.wrong("Type is missing: Manual or OCR.")
    if word_of(keys["Type"], "Type", ("Manual", "OCR")) == "OCR":
        if "BoxCoordinates" in keys:
            raise keys["BoxCoordinates"].wrong("BoxCoordinates belong to Type: Manual.")
        return BurnedIn((), node.line)
    if "BoxCoordinates" not in keys or not list_of(keys["BoxCoordinates"], "BoxCoordinates"):
        raise node.wrong("BoxCoordinates are missing: [[left, top, right, bottom], ...].")
    return BurnedIn(tuple(read_box(each) for each in list_of(keys["BoxCoordinates"], "BoxCoordinates")), node.line)


def read_box(node: Node) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box, half open."""
    edges = list_of(node, "a box")
    if len(edges) != 4:
        raise node.wrong("a box has four numbers: left, top, right, bottom.")
    left, top, right, bottom = (number_of(edge, "an edge of a box", least=0, most=65_535) for edge in edges)
    if left >= right or top >= bottom:
        raise node.wrong("a box is empty: left must be below right, and top below bottom.")
    return left, top, right, bottom


def _delete(node: Node, keys: dict[str, Node]) -> Delete:
    selector = _selector(node, keys, lambda tag: True, "")
    if "Action" not in keys:
        raise node.wrong("Action is missing: Remove or Empty.")
    empty = word_of(keys["Action"], "Action", ("Remove", "Empty")) == "Empty"
    for pattern, where in zip(selector.patterns, one_or_list(keys["TagPatterns"], "TagPatterns"), strict=True):
        _not_a_key(tag_of(pattern.parts[-1].text), len(pattern.parts), where)
    return Delete(selector, empty, node.line)


def _transcode(node: Node) -> Transcode:
    uid = text_of(node, "Transcode")
    if not is_uid(uid) or not syntax_of(uid).known:
        raise node.wrong("Transcode must be a transfer syntax UID of the Standard, in quotes.")
    return Transcode(uid, node.line)


def _selector(node: Node, keys: dict[str, Node], fits: Callable[[Tag], bool], otherwise: str) -> Selector:
    """Return the selector; ``otherwise`` says why a keyword that does not fit could only do nothing."""
    if "TagPatterns" not in keys:
        raise node.wrong("TagPatterns is missing: which elements are meant.")
    patterns = [_pattern(each, "TagPatterns") for each in one_or_list(keys["TagPatterns"], "TagPatterns")]
    if not patterns:
        raise keys["TagPatterns"].wrong("TagPatterns is empty, so nothing is meant.")
    for pattern, where in zip(patterns, one_or_list(keys["TagPatterns"], "TagPatterns"), strict=True):
        tag = tag_of(pattern.parts[-1].text)
        if tag is not None and not fits(tag):
            raise where.wrong(f"TagPatterns: {pattern.parts[-1].text} {otherwise}.")
    excepted = keys.get("ExceptTagPatterns")
    return Selector(
        tuple(patterns),
        tuple(_pattern(each, "ExceptTagPatterns") for each in one_or_list(excepted, "ExceptTagPatterns"))
        if excepted is not None
        else (),
    )


def _pattern(node: Node, name: str) -> TagPattern:
    with at(node, name):
        return parse_pattern(_dotted(text_of(node, name)))


def _dotted(text: str) -> str:
    """Return a path with dots between its parts: the seed's documents write commas, its program reads dots."""
    inside = False
    letters = []
    for letter in text:
        inside = letter == "{" or (inside and letter != "}")
        letters.append("." if letter == "," and not inside else letter)
    return "".join(letters)


def _reuse(keys: dict[str, Node]) -> Reuse | None:
    node = keys.get("ReuseMapping")
    return None if node is None else Reuse(word_of(node, "ReuseMapping", REUSES))


def _not_a_key(tag: Tag | None, depth: int, node: Node) -> None:
    """Refuse to replace, add or delete what an instance is known by: all would become one, or none."""
    if depth == 1 and tag is not None and tag in _UIDS:
        raise node.wrong(f"{tag:08X} names the instance; it can get a new UID by RandomizeUID only.")


_READERS: Mapping[str, Callable[[Node, dict[str, Node]], Any]] = {
    "Keep": _keep,
    "Clean": _clean,
    "ShiftDateTime": _shift,
    "RandomizeText": _random_text,
    "RandomizeUID": _random_uid,
    "Replace": _replace,
    "AddTags": _add,
    "RemoveBurnedInAnnotations": _burned_in,
    "DeleteTags": _delete,
}
