"""Labels, categories and scopes: which instances a rule means.

A label is a name for a query; a category is a name for some labels; a scope names labels and categories, and those
that are not meant although another of their labels is.
"""

from dataclasses import dataclass, field

from appliance.deid.reading import at, keys_of, list_of, one_or_list, text_of
from appliance.dicom.dictionary import vr_of
from appliance.dicom.element import Bulk, DataSet, Element, Tag, is_private
from appliance.dicom.query import EVERYTHING, Query, parse_query, tags_of
from appliance.errors import ConfigError
from appliance.yamlfile import Node, suggestion

ALL = "ALL"  # the label that every instance has
SCOPE_KEYS = ("Labels", "ExceptLabels", "Categories", "ExceptCategories")
_MOST_REMEMBERED = 1000  # different answers; the images of a series give the same
_LONGEST_REMEMBERED = 256  # bytes of a value


@dataclass(frozen=True, slots=True)
class Scope:
    """Which labels are meant; categories are their labels. An exclusion wins, and nothing named means nobody."""

    labels: frozenset[str]
    excepted: frozenset[str] = frozenset()

    def covers(self, labels: frozenset[str]) -> bool:
        """Whether an instance with these labels is meant."""
        return not labels & self.excepted and (ALL in self.labels or bool(labels & self.labels))


@dataclass(frozen=True, slots=True)
class Label:
    """A name for a query. ``line`` is where the name stands."""

    name: str
    query: Query
    line: int

    def matches(self, readable: DataSet, meta: DataSet | None = None) -> bool:
        """Whether an original, see ``readable``, has this label."""
        return self.query.matches(readable, meta)


Asked = tuple[tuple[str, bytes] | None, ...]  # the values that labels look at


@dataclass(slots=True)
class Labelling:
    """The labels of a file, asked at once. The same values give the same labels, so the last answers are remembered."""

    labels: tuple[Label, ...]
    _tags: tuple[Tag, ...] = ()
    _known: dict[tuple[bool, tuple[str, ...], Asked], frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tags = tuple(sorted({tag for label in self.labels for tag in tags_of(label.query)}))

    def of(self, data_set: DataSet, meta: DataSet | None) -> frozenset[str]:
        """Return the labels of an original, ALL among them; ``meta`` is its group 2."""
        asked = self._asked(data_set, meta)
        if asked is None:
            return self._matching(data_set, meta)
        key = (data_set.little_endian, data_set.charsets, asked)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._matching(data_set, meta)
        return found

    def _matching(self, data_set: DataSet, meta: DataSet | None) -> frozenset[str]:
        original = readable(data_set)
        return frozenset({ALL, *(label.name for label in self.labels if label.matches(original, meta))})

    def _asked(self, data_set: DataSet, meta: DataSet | None) -> Asked | None:
        """Return all that the labels look at; None if it is too much to be remembered."""
        values: list[tuple[str, bytes] | None] = []
        for tag in self._tags:
            element = (data_set if meta is None or tag >> 16 != 2 else meta).get(tag)
            if element is None:
                values.append(None)
            elif isinstance(element.value, Bulk):
                values.append(("in the file", b""))  # it exists and is not empty: nothing else is asked of it
            elif isinstance(element.value, list) or len(element.value) > _LONGEST_REMEMBERED:
                return None
            else:
                values.append((element.vr, element.value))
        return tuple(values)


@dataclass(slots=True)
class Names:
    """The labels and categories of a file, and which of them anything uses: what nothing uses does nothing.

    categories  name -> (labels, line)
    """

    labels: dict[str, Label] = field(default_factory=dict)
    categories: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)
    _used: set[tuple[str, str]] = field(default_factory=set)

    def read_labels(self, node: Node) -> None:
        """Read ``Labels``. A label without a filter means every instance, as ALL does."""
        for child in list_of(node, "Labels"):
            keys = keys_of(child, ("Name", "DICOMQueryFilter"), needed=("Name",))
            name = text_of(keys["Name"], "Name")
            if name == ALL or name in self.labels:
                raise keys["Name"].wrong(f"the label '{name}' exists already.")
            self.labels[name] = Label(name, _query(keys.get("DICOMQueryFilter")), keys["Name"].line)

    def read_categories(self, node: Node) -> None:
        """Read ``Categories``, after the labels."""
        for child in list_of(node, "Categories"):
            keys = keys_of(child, ("Name", "Labels"), needed=("Name", "Labels"))
            name = text_of(keys["Name"], "Name")
            if name in self.categories:
                raise keys["Name"].wrong(f"the category '{name}' exists already.")
            members = frozenset(self._label(each) for each in one_or_list(keys["Labels"], "Labels"))
            self.categories[name] = (members, keys["Name"].line)

    def scope(self, node: Node, keys: dict[str, Node] | None = None) -> Scope:
        """Return the scope that a mapping's keys say; ``keys``: those already read."""
        keys = keys_of(node, SCOPE_KEYS) if keys is None else keys
        if "Labels" not in keys and "Categories" not in keys:
            raise node.wrong("Labels is missing; for every instance write 'Labels: ALL'.")
        meant = self._meant(keys.get("Labels"), keys.get("Categories"))
        excepted = self._meant(keys.get("ExceptLabels"), keys.get("ExceptCategories"))
        if meant and (ALL in excepted or meant <= excepted):
            raise node.wrong("what is meant here is also excepted, so it means no instance at all.")
        return Scope(meant, excepted)

    def demand_use(self, file: Node) -> None:
        """Raise ConfigError for a label with a filter, or a category, that nothing uses: some rule forgot it."""
        for name, (_, line) in self.categories.items():
            if ("category", name) not in self._used:
                raise ConfigError(
                    f"the category '{name}' is used by no scope, so it does nothing. Use it or remove it.",
                    file=file.file,
                    line=line,
                )
        for label in self.labels.values():
            if ("label", label.name) not in self._used and label.query != EVERYTHING:
                raise ConfigError(
                    f"the label '{label.name}' is used by no scope, so it does nothing. Use it or remove it.",
                    file=file.file,
                    line=label.line,
                )

    def _meant(self, labels: Node | None, categories: Node | None) -> frozenset[str]:
        names: set[str] = set()
        for child in () if labels is None else one_or_list(labels, "Labels"):
            names.add(self._label(child))
        for child in () if categories is None else one_or_list(categories, "Categories"):
            name = text_of(child, "a category")
            if name not in self.categories:
                known = f"{suggestion(name, self.categories)}" if self.categories else ""
                raise child.wrong(f"the category '{name}' is not defined under Categories.{known}")
            self._used.add(("category", name))
            names |= self.categories[name][0]
        return frozenset(names)

    def _label(self, node: Node) -> str:
        name = text_of(node, "a label")
        if name != ALL and name not in self.labels:
            raise node.wrong(f"the label '{name}' is not defined under Labels.{suggestion(name, {ALL, *self.labels})}")
        self._used.add(("label", name))
        return name


def readable(data_set: DataSet) -> DataSet:
    """Return the Data Set with public attributes written as UN read by their tag: a label must not miss them."""
    unknown = [element for element in data_set if element.vr == "UN" and not is_private(element.tag)]
    if not unknown:
        return data_set
    result = DataSet(dict(data_set.elements), data_set.little_endian, data_set.charsets)
    for element in unknown:
        result.put(Element(element.tag, vr_of(element.tag), element.value))
    return result


def _query(node: Node | None) -> Query:
    if node is None or node.value is None or node.value == "":
        return EVERYTHING
    with at(node, "DICOMQueryFilter"):
        return parse_query(text_of(node, "DICOMQueryFilter"))
