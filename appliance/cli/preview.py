"""A page that shows what rules do: each instance before and after, its header and its first frame side by side.

One file without anything outside of it: it works offline, and loads nothing. It shows originals, so it stays inside.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import BinaryIO

from appliance.cli.trial import Trial, Tried
from appliance.deid.explain import Line
from appliance.deid.pixels.rendering import side_by_side, telling_frame
from appliance.dicom.element import DataSet
from appliance.dicom.thumbnail import thumbnail
from appliance.reasons import Reason

_EDGE = 640  # pixels of the longer side of a picture that was cleaned: text in it can be read
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 110rem; padding: 1rem; }
.warning { border: 2px solid #b3261e; padding: .5rem 1rem; font-weight: 600; }
form { position: sticky; top: 0; background: Canvas; padding: .6rem 0; display: flex; flex-wrap: wrap; gap: .4rem 1rem;
  border-bottom: 1px solid #8888; z-index: 1; }
input[type=search] { min-width: 18rem; font: inherit; padding: .2rem .4rem; }
details { border: 1px solid #8888; margin: .8rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.delivered { color: #1a7f37; } .excluded { color: #9a6700; } .withheld { color: #b3261e; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; text-align: center; }
img { image-rendering: pixelated; max-width: 100%; min-width: 10rem; background: #000; display: block; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .15rem .4rem; border-top: 1px solid #8884;
  overflow-wrap: anywhere; }
th:nth-child(1) { width: 15%; } th:nth-child(2) { width: 18%; } th:nth-child(3) { width: 8%; }
th:nth-child(4) { width: 17%; }
tr[data-a=keep] td { opacity: .7; }
tr[data-a=removed] td:nth-child(5) { text-decoration: line-through; }
@media print { form { display: none; } }
"""

_SCRIPT = """
const words = document.getElementById('words'), count = document.getElementById('count');
const kinds = [...document.querySelectorAll('input[name=kind]')];
function choose() {
  const text = words.value.trim().toLowerCase();
  const wanted = new Set(kinds.filter(each => each.checked).map(each => each.value));
  let rows = 0;
  for (const part of document.querySelectorAll('details')) {
    let any = false;
    for (const row of part.querySelectorAll('tbody tr')) {
      const fits = wanted.has(row.dataset.k) && (!text || row.textContent.toLowerCase().includes(text));
      row.hidden = !fits;
      if (fits) { any = true; rows++; }
    }
    part.hidden = !any && (text !== '') && !part.querySelector('summary').textContent.toLowerCase().includes(text);
  }
  count.textContent = rows + ' elements';
}
document.querySelector('form').addEventListener('input', choose);
document.querySelector('form').addEventListener('submit', event => event.preventDefault());
words.value = decodeURIComponent(location.hash.slice(1));
choose();
"""

_KINDS = (("changed", "changed"), ("removed", "removed"), ("added", "added"), ("kept", "kept"))


def page(title: str, trial: Trial, files: Iterable[tuple[Path, BinaryIO]]) -> Iterator[str]:
    """Yield the page in pieces, an instance at a time. Each file is looked at before the next is asked for."""
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        '<p class="warning">This page shows original patient data. It must not leave the hospital.</p>'
        f"<p>Rules {escape(str(trial.rules.file))}, digest {trial.rules.digest[:16]}.</p>{_form()}\n"
    )
    for path, file in files:
        yield _instance(path, trial, file)
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _form() -> str:
    boxes = "".join(
        f'<label><input type="checkbox" name="kind" value="{kind}" checked> {words}</label>' for kind, words in _KINDS
    )
    return (
        '<form><label>Filter <input type="search" id="words" placeholder="tag, name, rule or value"></label>'
        f'{boxes}<output id="count"></output></form>'
    )


def _instance(path: Path, trial: Trial, file: BinaryIO) -> str:
    tried = trial.of(file)
    why = f": {tried.reason}" if tried.reason else ""
    head = f'<summary>{escape(str(path))} <span class="{tried.outcome}">{tried.outcome}{escape(why)}</span></summary>'
    return f"<details open>{head}{_advice(tried)}{_pictures(tried)}{_table(trial.lines(tried))}</details>\n"


def _advice(tried: Tried) -> str:
    if not tried.reason:
        return ""
    what = f"{Reason(tried.reason).words.what} {tried.detail}".strip()
    would = " Below: what would leave if it were accepted." if tried.result is not None else ""
    return f"<p>{escape(what)}{would}</p>"


def _pictures(tried: Tried) -> str:
    if tried.original is None or tried.result is None:
        return ""
    looked = tried.result.report.pixels
    if looked is not None:
        frame = telling_frame(looked)
        both = side_by_side(tried.original, tried.result, frame=frame, edge=_EDGE)
        words = f"before, {len(looked.hidden)} boxes outlined, and after; frame {frame} of {looked.frames}"
        return "" if both is None else _figure(words, both)
    source = tried.original.source
    sides = (("before", tried.original.dataset), ("after", tried.result.dataset))
    return "".join(_picture(words, data_set, source) for words, data_set in sides)


def _picture(words: str, data_set: DataSet, source: BinaryIO) -> str:
    picture = thumbnail(data_set, source)
    if picture is None:
        return ""
    return _figure(words, picture)


def _figure(words: str, picture: bytes) -> str:
    data = b64encode(picture).decode("ascii")
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'


def _table(lines: list[Line]) -> str:
    if not lines:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in ("Tag", "Name", "Action", "Because of", "Before", "After"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(map(_row, lines))}</tbody></table>"


def _row(line: Line) -> str:
    cells = (line.path, line.name, line.action, line.cause, line.before, line.after)
    body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    action = escape(line.action, quote=True)
    return f'<tr data-a="{action}" data-k="{_kind(line)}">{body}</tr>'


def _kind(line: Line) -> str:
    known = {"removed": "removed", "add": "added", "keep": "kept", "into sequence": "kept"}
    return known.get(line.action, "changed")
