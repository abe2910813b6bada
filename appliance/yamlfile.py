"""YAML read into frozen dataclasses: closed, typed, and every complaint with file, line and a remedy.

The only home of pyyaml. ``read`` binds a whole file to a dataclass; ``parse`` gives the tree with its lines to whoever
has a language of its own (the rules). Aliases, tags and duplicate keys are refused: a configuration says what it says.
"""

import dataclasses
import difflib
import ipaddress
import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from appliance.errors import ConfigError

T = TypeVar("T")

# Other spellings of numbers in YAML 1.1 surprise: 0123 is octal, 1:30 is 90. Such a scalar stays a text.
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*|[0-9]*\.[0-9]+|[0-9]+\.[0-9]*|\.inf|\.nan)([eE][-+]?[0-9]+)?", re.I)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a YAML file.

    value  None, bool, int, float, str, a tuple of Nodes, or a dict of key -> Node
    line   counted from 1
    """

    value: Any
    file: Path
    line: int
    key_lines: dict[str, int] = dataclasses.field(default_factory=dict)

    def wrong(self, problem: str) -> ConfigError:
        """Return (not raise) the error that says ``problem`` at this place."""
        return ConfigError(problem, file=self.file, line=self.line)

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """The keys and values of a mapping; a ConfigError if it is none."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"a mapping (key: value) is needed here, not {kind(self)}.")
        yield from self.value.items()


def parse(text: str, file: Path) -> Node:
    """Return the tree of one YAML document; raises ConfigError with the line of what is wrong."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"not valid YAML: {error.problem or error.context}. Check indentation, colons and quotes.",
            file=file,
            line=None if mark is None else mark.line + 1,
        ) from None
    except yaml.YAMLError:
        raise ConfigError("not valid YAML: it holds characters that YAML forbids.", file=file) from None
    except RecursionError:
        raise ConfigError("is nested too deeply to be meant.", file=file) from None
    if root is None:
        return Node({}, file, 1)
    return _tree(root, file, seen=set())


def parse_file(file: Path) -> Node:
    """``parse`` for a file; a missing or unreadable file is a ConfigError too."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}. Check its path, owner and mode.", file=file) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text. Save it as UTF-8.", file=file) from None
    return parse(text, file)


def read(cls: type[T], file: Path) -> T:
    """Return ``file`` bound to the dataclass ``cls``; relative paths in it are relative to the file's folder."""
    return typing.cast(T, bind(cls, parse_file(file), name=""))


def meaning(node: Node) -> Any:
    """Return what stands in a node, without lines: two nodes that mean the same have equal ones."""
    if isinstance(node.value, dict):
        return {key: meaning(child) for key, child in node.value.items()}
    return [meaning(child) for child in node.value] if isinstance(node.value, tuple) else node.value


def demand(ok: bool, problem: str) -> None:
    """Raise ValueError with ``problem`` unless ``ok``: how a dataclass says, in ``__post_init__``, what it cannot be.

    ``problem`` begins with the key that it is about, by which ``bind`` finds the line.
    """
    if not ok:
        raise ValueError(problem)


def kind(node: Node) -> str:
    """What stands at a node, in words."""
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "yes/no"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case tuple():
            return "a list"
        case _:
            return "a mapping"


def suggestion(word: str, known: typing.Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` or the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f" Did you mean '{near[0]}'?" if near else f" Known here: {', '.join(names)}."


def bind(hint: Any, node: Node, *, name: str) -> Any:
    """Return the value of ``node`` as the type ``hint``; ``name`` is the path of keys for the message."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _bind_dataclass(hint, node, name)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _bind_union(get_args(hint), node, name)
    if origin is Literal:
        return _bind_literal(get_args(hint), node, name)
    if origin is tuple:
        return _bind_list(get_args(hint)[0], node, name)
    if origin is dict:
        return {key: bind(get_args(hint)[1], child, name=f"{name}.{key}") for key, child in node.items()}
    return _bind_scalar(hint, node, name)


def _bind_dataclass(cls: type[Any], node: Node, name: str) -> Any:
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init and field.metadata.get("yaml", True)}
    values = {}
    for key, child in node.items():
        if key not in fields:
            line = node.key_lines.get(key, child.line)
            raise ConfigError(
                f"'{_join(name, key)}' is not a known setting.{suggestion(key, fields)}", file=node.file, line=line
            )
        values[key] = bind(hints[key], child, name=_join(name, key))
    for key, field in fields.items():
        if key not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise node.wrong(f"'{_join(name, key)}' is missing and must be given.")
    try:
        return cls(**values)
    except ValueError as error:
        # A complaint of a dataclass begins with the key that it is about, if it is about one.
        about = re.match(r"\w*", str(error))
        line = node.key_lines.get(about[0] if about else "", node.line)
        raise ConfigError(f"{name}: {error}" if name else str(error), file=node.file, line=line) from None


def _bind_union(choices: tuple[Any, ...], node: Node, name: str) -> Any:
    if node.value is None and type(None) in choices:
        return None
    rest = [choice for choice in choices if choice is not type(None)]
    problem: ConfigError | None = None
    # A list or a mapping can only mean one of the choices; its own complaint is the helpful one.
    shaped = [c for c in rest if _shape(c) is type(node.value)] or rest
    for choice in shaped:
        try:
            return bind(choice, node, name=name)
        except ConfigError as error:
            problem = error
    assert problem is not None  # noqa: S101 - a union has at least one choice
    raise problem


def _shape(hint: Any) -> type | None:
    origin = get_origin(hint)
    if origin in (tuple, dict):
        return typing.cast(type, origin)
    if dataclasses.is_dataclass(hint):
        return dict
    if origin is Literal:
        return str
    return hint if isinstance(hint, type) else None


def _bind_literal(words: tuple[Any, ...], node: Node, name: str) -> Any:
    if node.value in words and not isinstance(node.value, bool):
        return node.value
    if len(words) == 1:
        raise node.wrong(f"'{name}' must be a list, or the word '{words[0]}'.")
    raise node.wrong(f"'{name}' must be one of: {', '.join(str(word) for word in words)}.")


def _bind_list(hint: Any, node: Node, name: str) -> tuple[Any, ...]:
    if not isinstance(node.value, tuple):
        raise node.wrong(f"'{name}' must be a list, not {kind(node)}.")
    return tuple(bind(hint, child, name=f"{name}[{index}]") for index, child in enumerate(node.value))


def _bind_scalar(hint: Any, node: Node, name: str) -> Any:
    value = node.value
    if hint is Path and isinstance(value, str) and value.startswith("~"):
        raise node.wrong(f"'{name}' begins with ~, which means another folder for each service user. Write it out.")
    if hint is Path and isinstance(value, str) and value:
        return (node.file.parent / value).absolute()
    if hint in (ipaddress.IPv4Network, ipaddress.IPv6Network):
        try:
            return hint(str(value))
        except ValueError:
            raise node.wrong(
                f"'{name}' must be an IP address or a network such as 10.1.2.0/24, with no host bits set."
            ) from None
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise node.wrong(f"'{name}' must be a finite number. Write a large one instead.")
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return value
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        raise node.wrong(f"'{name}' must be a text; write it in quotes.")
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    raise node.wrong(f"'{name}' must be {words.get(hint, 'something else')}, not {kind(node)}.")


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _tree(node: yaml.Node, file: Path, seen: set[int]) -> Node:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise ConfigError("aliases (*name) are not supported here; write the value out.", file=file, line=line)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, file, seen)
    if isinstance(node, yaml.SequenceNode):
        return Node(tuple(_tree(child, file, seen) for child in node.value), file, line)
    return Node(_scalar(node, file), file, line)


def _mapping(node: yaml.MappingNode, file: Path, seen: set[int]) -> Node:
    children: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key_node, child in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str) or not key or key_node.tag.endswith(":merge"):
            raise ConfigError("a key must be a plain word.", file=file, line=line)
        if key in children:
            raise ConfigError(
                f"'{key}' stands here twice (first on line {lines[key]}). Keep one.", file=file, line=line
            )
        children[key] = _tree(child, file, seen)
        lines[key] = line
    return Node(children, file, node.start_mark.line + 1, lines)


def _scalar(node: yaml.Node, file: Path) -> Any:
    short = node.tag.rpartition(":")[2]
    text = str(node.value)
    if short in ("timestamp", "str"):
        return text
    if short in ("int", "float") and not _PLAIN_NUMBER.fullmatch(text):
        return text
    if short in ("null", "bool", "int", "float"):
        try:
            return yaml.safe_load(text) if node.tag.startswith("tag:yaml.org") else text
        except (yaml.YAMLError, ValueError):
            return text
    raise ConfigError(f"the tag {node.tag} is not supported here.", file=file, line=node.start_mark.line + 1)
