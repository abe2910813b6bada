"""Make appliance/deid/data/vocabulary.txt: the words that free text may keep under Clean Descriptors.

    python tools/vocabulary.py appliance/deid/data

Sources: the meanings of DICOM's own codes (PS3.16 context groups in SNOMED, DCM, LOINC, UCUM, RadLex and others) and
the names of attributes and SOP Classes, as pydicom carries them; besides, terms.txt beside this file: what protocols
are called. A word that SNOMED never writes small is somebody's name (Parkinson, Towne) and left out; so are the words
of names.txt, which are names of people more often than terms.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]  # not in __all__
from pydicom.sr._cid_dict import name_for_cid
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # not in __all__

_WORD = re.compile(r"[^\W\d_]+(?:\d[^\W_]*)?")
_TITLED = {"DCM", "LN", "UCUM", "IBSI", "RADLEX", "NCIt", "MSH"}  # schemes that write Every Word So
_PRODUCTS = {"MDC", "NDC", "PUBCHEM_CID"}  # codes of device terms and brands, not of medicine
LEAST = 3  # two letters are a surname somewhere; those that medicine needs are in terms.txt
# Context groups that name breeds, countries, tongues and makers: proper names by themselves.
_PROPER = re.compile(r"breed|countr|language|ethnic|organization|manufacturer|strain", re.IGNORECASE)

# What medicine cannot do without, though somebody is called so.
_NEEDED = frozenset({"gray", "olive", "horn", "case", "black", "north", "west", "good", "house", "pit", "rod"})


def folded(text: str) -> str:
    """Lower case, without accents: as the program compares."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def meanings() -> Iterator[str]:
    """Yield phrases whose writing tells names from words: only the first word has a capital by grammar."""
    for scheme, by_keyword in concepts.items():
        if scheme in _PRODUCTS | _TITLED:
            continue
        for codes in by_keyword.values():
            yield from (meaning for meaning, groups in codes.values() if not all(map(_is_proper, groups)))


def _is_proper(group: int) -> bool:
    return _PROPER.search(name_for_cid.get(group, "")) is not None


def titles() -> Iterator[str]:
    """Yield phrases with a capital everywhere."""
    yield from (entry[2] for entry in DicomDictionary.values())
    yield from (entry[0] for entry in UID_dictionary.values() if "Storage" in entry[0])
    yield from (entry[0] for scheme in _TITLED for codes in concepts[scheme].values() for entry in codes.values())


def vocabulary(terms: str, names: set[str]) -> set[str]:
    """Return the words."""
    lower, alone = set(), set()
    for phrase in meanings():
        found = [match[0] for match in _WORD.finditer(phrase)]
        for word in found:
            if word.islower() or word.isupper() or not word.isalpha():
                lower.add(folded(word))
        if len(found) == 1:
            alone.add(folded(found[0]))  # a name stands with a noun: Towne projection, Mayer's stain
    known = {folded(match[0]) for phrase in titles() for match in _WORD.finditer(phrase)}
    own = {folded(word) for word in _listed(terms)}
    words = lower | known | alone
    kept = {word for word in words if len(word) >= LEAST and word not in names - _NEEDED}
    return kept | own


def _listed(text: str) -> set[str]:
    return {word for line in text.splitlines() if not line.startswith("#") for word in line.split()}


def main(folder: str) -> None:
    """Write the file."""
    here = Path(__file__)
    terms, names = (here.with_name(name).read_text(encoding="utf-8") for name in ("terms.txt", "names.txt"))
    words = sorted(vocabulary(terms, _listed(names)))
    lines = ["# Words that free text may keep, folded. Made by tools/vocabulary.py from DICOM's terms; see there."]
    by_letter: dict[str, list[str]] = {}
    for word in words:
        by_letter.setdefault(word[0], []).append(word)
    lines += [" ".join(group) for group in by_letter.values()]
    (Path(folder) / "vocabulary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
