"""The de-identification summary of a study for people: as text, and as a page of its own that can be printed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from appliance.cli.options import plain
from appliance.cli.study_report import DATES, KINDS

WIDEST = 60  # columns of a cell in the text

_STYLE = """
:root { font: 14px/1.45 system-ui, sans-serif; color: #111; background: #fff; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem; border-top: 1px solid #bbb;
  overflow-wrap: anywhere; }
thead { display: table-header-group; } tr { break-inside: avoid; }
footer { margin-top: 2rem; border-top: 1px solid #bbb; padding-top: .5rem; color: #444; }
@media print { body { max-width: none; padding: 0; font-size: 9pt; } @page { margin: 15mm; } }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the summary: a title, sentences, a table."""

    title: str
    sentences: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def text(content: dict[str, Any]) -> str:
    """Return the summary as plain text."""
    lines = [f"De-identification of study {content['study']}", f"{content['site']}, {content['made']}"]
    for section in sections(content):
        lines += ["", section.title, "-" * len(section.title), *section.sentences, *_table(section)]
    return "\n".join([*lines, "", _END, ""])


def page(content: dict[str, Any]) -> str:
    """Return the summary as one HTML file that loads nothing."""
    parts = "".join(_part(section) for section in sections(content))
    title = f"De-identification of study {content['study']}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{escape(plain(content['site']))}, {escape(content['made'])}</p>{parts}"
        f"<footer>{escape(_END)}</footer></body></html>\n"
    )


def sections(content: dict[str, Any]) -> Iterator[Section]:
    """Yield the parts, those that have nothing to tell left out."""
    yield _instances(content["instances"])
    for each in content["carried_out"]:
        yield _carried_out(each)
    for kind in KINDS:
        rows = tuple(
            (
                each["path"],
                each["keyword"],
                each["action"],
                each["cause"],
                f"{each['instances']}",
                f"{each['elements']}",
            )
            for each in content["attributes"]
            if each["kind"] == kind
        )
        if rows:
            headings = ("attribute", "keyword", "action", "because of", "instances", "elements")
            yield Section(f"Attributes {kind}", (), headings, rows)
    yield from _what_stayed(content)
    yield from _rows("Pixels", content["pixels"], ("engine", "instances", "frames", "searched", "hidden"))
    yield from _rows("Withheld", content["withheld"], ("reason", "what", "instances", "places"))
    yield from _rows("Accepted by a person", content["accepted"], ("reason", "by", "instances", "last"))
    yield from _rows("Destinations", content["deliveries"], ("destination", "state", "instances", "first", "last"))
    yield from _rows("Taken back", content["recalls"], ("destination", "state", "instances", "last"))


_END = (
    "Made from reports that are kept for each image. It holds tags, words, counts and pseudonymous UIDs, and no value "
    "of an original."
)


def _instances(found: dict[str, int]) -> Section:
    said = [f"{found['deidentified']} de-identified, {found['withheld']} withheld."]
    if found["without_report"]:
        said.append(f"{found['without_report']} went out of which no report is kept (any more).")
    return Section("Images", tuple(said))


def _carried_out(found: dict[str, Any]) -> Section:
    said = [f"Rules {found['rules_digest']}."]
    if not found["profile"]:
        said.append("No profile of PS3.15 was carried out: the rules alone decide.")
    elif found["exceptions"]:
        said.append("The rules keep elements against the Basic Profile, so it is not claimed.")
    said.append(DATES.get(found["dates"], "What became of dates is the rules' to say."))
    rows = tuple((each["code"], each["meaning"]) for each in found["codes"])
    images = "1 image" if found["instances"] == 1 else f"{found['instances']} images"
    return Section(f"Carried out on {images}", tuple(said), ("code", "meaning"), rows)


def _what_stayed(content: dict[str, Any]) -> Iterator[Section]:
    stayed = content["stayed"]
    if stayed["elements"]:
        rows = tuple((each["path"], each["keyword"], f"{each['instances']}") for each in stayed["attributes"])
        said = (f"{stayed['elements']} elements in all; those at the top of an image by attribute:",)
        yield Section("Stayed as they were", said, ("attribute", "keyword", "instances"), rows)
    yield from _rows("Private elements that stayed", content["private"], ("creator", "element", "instances"))


def _rows(title: str, found: Sequence[dict[str, Any]], names: tuple[str, ...]) -> Iterator[Section]:
    if found:
        yield Section(title, (), names, tuple(tuple(_cell(each[name]) for name in names) for each in found))


def _cell(value: object) -> str:
    return plain(", ".join(map(str, value)) if isinstance(value, list) else value)


def _table(section: Section) -> list[str]:
    if not section.rows:
        return []
    rows = [section.headings, *section.rows]
    widths = [min(WIDEST, max(len(row[column]) for row in rows)) for column in range(len(section.headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _part(section: Section) -> str:
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in section.sentences)
    if not section.rows:
        return f"<h2>{escape(section.title)}</h2>{said}"
    heads = "".join(f"<th>{escape(name)}</th>" for name in section.headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in section.rows)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f"<h2>{escape(section.title)}</h2>{said}{table}"
