"""More places for secrets, written as somebody who wants the engine to fail: forms of text, and things in things."""

import base64
import json
import zlib

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.romanised import romanised
from tests.make.corpus_people import Chance, Person
from tests.make.corpus_studies import item
from tests.make.secrets import implicit

_SCRIPTS = ("абсдефгхийклмнопярстувшхуз", "αβξδεφγηιξκλμνοπθρστυβωχψζ", "ابصدعفغهيجكلمنوبقرستثوخطظز")


def sequence_in_unknown_in_sequence(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """A safe private sequence, in it an unknown, in that a private sequence, in that public and private names."""
    words = [chance.word() for _ in range(2)]
    deepest = implicit(0x00100010, words[0].encode()) + implicit(0x00330010, b"DEEPER MAKER")
    deepest += implicit(0x00331001, words[1].encode("utf-16-le"))
    inside = implicit(0x00310010, b"DEEP MAKER") + implicit(0x00311001, _item(deepest))
    outer = item(StackID="1")
    outer.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x02, "UN", _item(inside))
    data.private_block(0x2005, "Philips MR Imaging DD 002", create=True).add_new(0x32, "SQ", Sequence([outer]))
    return words


def split_over_values(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(2)]
    halves = [word[: len(word) // 2] for word in words] + [word[len(word) // 2 :] for word in words]
    data.MedicalAlerts = [f"see {halves[0]}", f"{halves[2]} asthma"]
    data.Allergies = [halves[1], halves[3], "penicillin"]
    return halves


def packed_in_text(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    packed = [base64.b64encode(words[0].encode()).decode(), words[1].encode().hex(),
              base64.b64encode(zlib.compress(f"name {words[2]}".encode())).decode()]  # fmt: skip
    data.AcquisitionComments = f"Thorax {packed[0]} {packed[1]}"
    data.FrameComments = packed[2]
    return [*words, *packed]


def hl7(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words, numbers = [chance.word() for _ in range(3)], [chance.digits(9) for _ in range(2)]
    data.VisitComments = (
        f"PID|1||{numbers[0]}^^^KH^MR||{words[0]}^{words[1]}^^^^^L||19610203|F\r\nNK1|1|{words[2]}|SPO|PH^{numbers[1]}"
    )
    return [*words, *numbers]


def markup(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words, number = [chance.word() for _ in range(3)], chance.digits(9)
    data.CommentsOnThePerformedProcedureStep = f'<patient id="{number}"><name>{words[0]}</name></patient>'
    data.CommentsOnTheScheduledProcedureStep = json.dumps({"name": words[1], "mrn": number, "findings": "nodule"})
    data.ImagingServiceRequestComments = "".join(f"&#{ord(letter)};" for letter in words[2])
    return [*words, number]


def links(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words, numbers = [chance.word() for _ in range(3)], [chance.digits(9) for _ in range(2)]
    data.ResultsComments = f"https://pacs.{words[0].lower()}.example/wado?patientID={numbers[0]}&name={words[1]}%20x"
    data.InterpretationText = f"//server/share/{words[2]}_CT_{numbers[1]}.dcm; C:/img/{words[2].upper()}/1.dcm"
    return [*words, *numbers]


def dates_backwards(data: Dataset, person: Person, chance: Chance) -> list[str]:
    year, month, day = person.born[:4], person.born[4:6], person.born[6:]
    told = [f"{day}{month}{year}", f"{year}.{day}.{month}", person.born[::-1], f"{day} {month} {year}"]
    data.AcquisitionProtocolDescription = "born " + ", ".join(told)
    data.ContrastBolusAgent = f"Thorax {told[0]}"
    return [text for text in told if text != person.born]


def own_name_in_disguise(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """The patient's own name with marks between, backwards, in Latin letters, and the number likewise."""
    word = person.words[0]
    told = [" ".join(word), "-".join(word).upper(), word[::-1], ".".join(person.number)]
    latin = romanised(word.casefold())
    told += [latin] if latin.isascii() and len(latin) > 3 else []
    data.DeviceDescription = f"CT {told[1]}"[:64]
    data.ReasonForVisit = " / ".join(told)
    return [text for text in told if len(text) > 3]


def text_in_other_scripts(data: Dataset, person: Person, chance: Chance) -> list[str]:
    letters = [chance.word().lower().translate(dict(zip(range(97, 123), script, strict=True))) for script in _SCRIPTS]
    data.ReferencedRequestSequence = Sequence(
        [item(SpecificCharacterSet="ISO_IR 192", RequestedProcedureDescription=f"CT {letters[0]}",
              RequestedProcedureComments=f"nodule {letters[1]}, {letters[2]}")]
    )  # fmt: skip
    return letters


def letters_apart(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(2)]
    told = [" ".join(words[0]).upper(), "_".join(words[1])]
    data.PerformedProcedureStepDescription, data.RequestedProcedureDescription = f"pat. {told[0]}", f"for {told[1]}"
    return told


def annotations(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    data.WaveformAnnotationSequence = Sequence(
        [item(UnformattedTextValue=f"sinus rhythm, {words[0]}", ReferencedWaveformChannels=[1, 1],
              AnnotationGroupNumber=1, PersonName=words[1], TextValue=f"by {words[2]}")]
    )  # fmt: skip
    return words


def private_in_codes(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """Texts in an unlisted block: UTF-16 XML, zlib in base64, a moved Siemens header, odd lengths of bytes."""
    words = [chance.word() for _ in range(4)]
    block = data.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    block.add_new(0x71, "UN", f"<n>{words[0]}</n>".encode("utf-16"))
    block.add_new(0x72, "UN", base64.b64encode(zlib.compress(words[1].encode())))
    data.add_new(0x00210013, "LO", "SIEMENS CSA HEADER")
    csa = b"SV10\4\3\2\1" + words[2].encode().ljust(5000, b"\0")
    data.add_new(0x00211310, "OB", csa)
    data.add_new(0x00211320, "UN", words[3].encode("utf-8") + b"\0" * (len(words[3]) % 2))
    return words


def _item(inside: bytes) -> bytes:
    return b"\xfe\xff\0\xe0" + len(inside).to_bytes(4, "little") + inside


HARD_PLANTS = (
    sequence_in_unknown_in_sequence, split_over_values, packed_in_text, hl7, markup, links, dates_backwards,
    own_name_in_disguise, text_in_other_scripts, letters_apart, annotations, private_in_codes,
)  # fmt: skip
