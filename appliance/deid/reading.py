"""Reading the rules' YAML: closed. Every complaint has file and line, and a suggestion where one can be made."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from appliance.dicom.query import BadQuery
from appliance.dicom.tagpath import BadPath
from appliance.errors import ConfigError
from appliance.yamlfile import Node, kind, suggestion

# Spellings that the seed's documents use and its program does not. The meaning is the same, so both are understood.
SPELLINGS = {
    "NotLabels": "ExceptLabels",
    "NotCategories": "ExceptCategories",
    "NotTagPatterns": "ExceptTagPatterns",
    "DICOMFilterQuery": "DICOMQueryFilter",
    "Transformation": "Transformations",
    "PrefixUID": "Prefix",
}


def keys_of(node: Node, known: Iterable[str], *, needed: Iterable[str] = ()) -> dict[str, Node]:
    """Return the keys of a mapping, other spellings as the usual one. Raises ConfigError for an unknown or missing one.

    needed  names that must be there, most telling first
    """
    names = tuple(known)
    found: dict[str, Node] = {}
    for key, child in node.items():
        name = SPELLINGS.get(key, key)
        line = node.key_lines.get(key, child.line)
        if name not in names:
            raise ConfigError(f"'{key}' is not known here.{suggestion(key, names)}", file=node.file, line=line)
        if name in found:
            raise ConfigError(f"'{key}' and '{name}' mean the same. Keep one.", file=node.file, line=line)
        found[name] = child
    for name in needed:
        if name not in found:
            raise node.wrong(f"{name} is missing. Known here: {', '.join(names)}.")
    return found


def list_of(node: Node, name: str) -> tuple[Node, ...]:
    """Return the entries of a list."""
    if not isinstance(node.value, tuple):
        raise node.wrong(f"{name} must be a list, not {kind(node)}.")
    return node.value


def one_or_list(node: Node, name: str) -> tuple[Node, ...]:
    """Return the entries of a list, or the one text that stands for a list of one."""
    return (node,) if isinstance(node.value, str) else list_of(node, name)


def text_of(node: Node, name: str) -> str:
    """Return a text that says something, stripped."""
    if not isinstance(node.value, str) or not node.value.strip():
        raise node.wrong(f"{name} must be a text, not {kind(node)}; write it in quotes.")
    return node.value.strip()


def number_of(node: Node, name: str, *, least: int, most: int) -> int:
    """Return a whole number between the two, both included."""
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise node.wrong(f"{name} must be a whole number from {least} to {most}.")
    return value


def yes_or_no(node: Node | None, name: str) -> bool:
    """Return true or false; left out is false."""
    if node is None:
        return False
    if not isinstance(node.value, bool):
        raise node.wrong(f"{name} must be true or false, not {kind(node)}.")
    return node.value


def word_of(node: Node, name: str, known: Iterable[str]) -> str:
    """Return one of the known words."""
    words = tuple(known)
    word = text_of(node, name)
    if word not in words:
        raise node.wrong(f"{name} cannot be '{word}'.{suggestion(word, words)}")
    return word


@contextmanager
def at(node: Node, name: str) -> Iterator[None]:
    """Say where it stands if what is parsed within is no query, path or pattern."""
    try:
        yield
    except (BadQuery, BadPath) as error:
        raise node.wrong(f"{name}: {error}") from None
