"""Where secrets hide: each function puts one into an instance, in a place or form where one was ever seen.

A plant returns what must not come out. The words are nobody's names, so finding one is no accident; places that the
Standard keeps (Software Versions and the like) get the patient's own identity only, which a proof can know.
"""

import base64
import gzip
import struct
import zlib
from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.make import make
from tests.make.corpus_people import Chance, Person
from tests.make.corpus_studies import item
from tests.make.secrets import implicit, unknown

Plant = Callable[[Dataset, Person, Chance], list[str]]


def study_description(data: Dataset, person: Person, chance: Chance) -> list[str]:
    name, phone = chance.word(), chance.digits(7)
    data.StudyDescription = f"CT Thorax {name} tel 0221/{phone}"
    return [name, phone]


def series_description(data: Dataset, person: Person, chance: Chance) -> list[str]:
    name = chance.word()
    data.SeriesDescription = f"Thorax_{name.upper()} 1.5 mm"
    return [name]


def comments(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    data.ImageComments = f"{words[0]}, {words[1]}: contrast 15 ml; call Dr. {words[2]} 030-{chance.digits(6)}"
    return words


def history(data: Dataset, person: Person, chance: Chance) -> list[str]:
    name, mail = chance.word(), chance.word().lower()
    data.AdditionalPatientHistory = f"husband {name.lower()} says nodule left lung\r\nmail {mail}@example.org"
    return [name, mail]


def birth_date_in_text(data: Dataset, person: Person, chance: Chance) -> list[str]:
    year, month, day = person.born[:4], person.born[4:6], person.born[6:]
    data.PatientComments = f"* {day}.{month}.{year}, born {year}-{month}-{day}, {int(month)}/{int(day)}/{year}"
    return [f"{day}.{month}.{year}", f"{year}-{month}-{day}", f"{int(month)}/{int(day)}/{year}"]


def own_name_in_text(data: Dataset, person: Person, chance: Chance) -> list[str]:
    data.ProtocolName = "Thorax " + " ".join(reversed(person.words[:2]))
    data.ReasonForStudy = f"{person.words[0].upper()}{person.words[1].lower()} {person.number} lung"
    return [*person.words, person.number]


def uid_in_text(data: Dataset, person: Person, chance: Chance) -> list[str]:
    other = chance.uid()
    data.RequestedProcedureComments = f"compare {other}, {data.StudyInstanceUID}"
    return [other, str(data.StudyInstanceUID)]


def people(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(4)]
    data.OperatorsName, data.PerformingPhysicianName = f"{words[0]}^{words[1]}", words[2]
    data.NameOfPhysiciansReadingStudy = f"{words[3]}^Dr"
    return words


def numbers(data: Dataset, person: Person, chance: Chance) -> list[str]:
    told = [chance.digits(9) for _ in range(5)]
    data.AccessionNumber, data.AdmissionID, data.StudyID = told[0], told[1], told[2]
    data.PatientTelephoneNumbers, data.DeviceSerialNumber = f"+49 {told[3]}", told[4]
    return told


def places(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(5)]
    data.InstitutionName, data.InstitutionAddress = f"Klinik {words[0]}", f"{words[1]}str. 7, 50667"
    data.StationName, data.PatientAddress, data.InstitutionalDepartmentName = words[2][:16], words[3], words[4]
    return [words[0], words[1], words[2][:16], words[3], words[4]]


def request(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words, number = [chance.word() for _ in range(2)], chance.digits(8)
    data.RequestAttributesSequence = Sequence(
        [item(ScheduledProcedureStepDescription=f"CT {words[0]}", RequestedProcedureID=number,
              ReasonForTheRequestedProcedure=f"tumor, see {words[1]}")]
    )  # fmt: skip
    return [*words, number]


def original_attributes(data: Dataset, person: Person, chance: Chance) -> list[str]:
    word = chance.word()
    before = item(PatientName=word, PatientID=chance.digits(8))
    data.OriginalAttributesSequence = Sequence(
        [item(ModifiedAttributesSequence=Sequence([before]), ModifyingSystem=word, SourceOfPreviousValues="",
              AttributeModificationDateTime="20200101", ReasonForTheAttributeModification="CORRECT")]
    )  # fmt: skip
    return [word, before.PatientID]


def equipment(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    data.ContributingEquipmentSequence = Sequence(
        [item(Manufacturer="SIEMENS", InstitutionName=words[0], StationName=words[1][:16],
              ContributionDescription=f"sent by {words[2]}",
              PurposeOfReferenceCodeSequence=Sequence([make.code("109101", "DCM", "Acquisition Equipment")]))]
    )  # fmt: skip
    return [words[0], words[1][:16], words[2]]


def other_ids(data: Dataset, person: Person, chance: Chance) -> list[str]:
    number, name = chance.digits(8), chance.word()
    data.OtherPatientIDsSequence = Sequence([item(PatientID=number, IssuerOfPatientID=name, TypeOfPatientID="TEXT")])
    data.OtherPatientNames = f"{name}^born"
    return [number, name]


def local_code(data: Dataset, person: Person, chance: Chance) -> list[str]:
    word = chance.word()
    data.ProcedureCodeSequence = Sequence([make.code("X1", "99LOCAL", f"CT for {word}")])
    return [word]


def diagnosis(data: Dataset, person: Person, chance: Chance) -> list[str]:
    word = chance.word()
    data.AdmittingDiagnosesDescription = f"Carcinoma of lung, ref {word}"
    data.AdmittingDiagnosesCodeSequence = Sequence([make.code("A1", "99KH", word)])
    return [word]


def private_text(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(2)]
    block = data.private_block(0x0029, f"MAKER {words[0].upper()}", create=True)
    block.add_new(0x01, "LO", words[1])
    block.add_new(0x02, "UN", words[1].encode("utf-16-le"))
    return words


def private_moved(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """A block somewhere else than usual, and another maker's at the usual place."""
    words = [chance.word() for _ in range(2)]
    data.add_new(0x00190010 if 0x00190010 not in data else 0x00190011, "LO", "OTHER MAKER")
    data.add_new(0x00190077, "LO", "GEMS_ACQU_01")
    data.add_new(0x00197723, "DS", "12.5")
    data.add_new(0x001977F0, "LO", words[0])
    data.add_new(0x00198823, "LO", words[1])  # no creator
    return words


def private_sequence(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    inner = item(PatientName=words[0], StudyDescription=f"Thorax {words[1]}", PatientID=chance.digits(8))
    inner.private_block(0x0033, "DEEP MAKER", create=True).add_new(0x01, "LT", words[2])
    data.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x5F, "SQ", Sequence([inner]))
    return [*words, inner.PatientID]


def private_csa(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """A Siemens CSA header: SV10, tags, and the protocol text with the patient in it."""
    word = chance.word()
    name = b"PatientName".ljust(64, b"\0")
    tag = name + struct.pack("<l4sLLL", 1, b"PN\0\0", 0, 1, 77) + struct.pack("<4L", 12, 12, 77, 12)
    body = b"SV10\4\3\2\1" + struct.pack("<LL", 2, 77) + tag + word.encode().ljust(64, b"\0")
    body += f'### ASCCONV BEGIN ###\ntPatientName = "{word}"\n### ASCCONV END ###'.encode()
    block = data.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", body + b"\0" * (len(body) % 2))
    block.add_new(0x20, "OB", body * 60)
    return [word]


def private_packed(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    block = data.private_block(0x0025, "GEMS_SERS_01", create=True)
    block.add_new(0x1B, "OB", gzip.compress(f"set PATIENT {words[0]}".encode(), mtime=0) + b"\0")
    block.add_new(0x1C, "UN", zlib.compress(words[1].encode()) + b"\0")
    xml = base64.b64encode(f"<name>{words[2]}</name>".encode())
    block.add_new(0x1D, "LT", xml.decode())
    return words


def private_implicit(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """UN bytes that are a sequence in implicit VR, private and public."""
    words = [chance.word() for _ in range(2)]
    inside = implicit(0x00100010, words[0].encode())
    data.private_block(0x0031, "UNSEEN", create=True).add_new(0x01, "UN", _item(inside))
    data[0x00089215] = unknown(0x00089215, _item(implicit(0x00080104, words[1].encode())))
    return words


def public_unknown(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    data[0x00081048] = unknown(0x00081048, words[0].encode() + b" " * (len(words[0]) % 2))
    data[0x00324000] = unknown(0x00324000, words[1].encode() + b" " * (len(words[1]) % 2))
    data.add_new(0x0009FFF8 - 0x10000, "LO", words[2])  # a public element that no dictionary knows
    return words


def groups(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """Texts of overlays and curves, signatures, padding, encrypted attributes."""
    words = [chance.word() for _ in range(5)]
    data.add_new(0x60020022, "LO", words[0])
    data.add_new(0x60021500, "LO", words[1])
    data.add_new(0x50000022, "LO", words[2])
    data.EncryptedAttributesSequence = Sequence([item(EncryptedContentTransferSyntaxUID=make.EXPLICIT,
                                                      EncryptedContent=words[3].encode() * 2)])  # fmt: skip
    data.add_new(0xFFFCFFFC, "OB", words[4].encode() * 2)
    return words


def charset_of_item(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """An item with a character set of its own."""
    word = "Щеглов" + chance.word().lower().translate(str.maketrans("abcdefghilmnoprstuvwxz", "абсдефгхилмнопрстувщхз"))
    inner = item(SpecificCharacterSet="ISO_IR 144", PersonName=word, CodeMeaning="Doctor")
    data.ReferringPhysicianIdentificationSequence = Sequence(
        [item(SpecificCharacterSet="ISO_IR 144", InstitutionName=word,
              PersonIdentificationCodeSequence=Sequence([inner]))]
    )  # fmt: skip
    return [word]


def addresses(data: Dataset, person: Person, chance: Chance) -> list[str]:
    host, number = chance.word().lower(), chance.digits(9)
    data.RetrieveURL = f"https://{host}.example/wado?patient={number}"
    data.RetrieveAETitle = host[:16].upper()
    return [host[:16], number]


def devices(data: Dataset, person: Person, chance: Chance) -> list[str]:
    words = [chance.word() for _ in range(3)]
    data.ScheduledStationName, data.PerformedStationName = words[0][:16], words[1][:16]
    data.DetectorID = words[2][:16]
    return [word[:16] for word in words]


def creators(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """Names and labels in what refers or draws: by modality."""
    words = [chance.word() for _ in range(3)]
    if data.Modality == "SR":
        data.ContentSequence[0].PersonName = words[0]
        data.ContentSequence[1].ContentSequence[0].TextValue = f"Nodule 5 mm seen with {words[1]}. No tumor."
        data.VerifyingObserverSequence = Sequence([item(VerifyingObserverName=words[2], VerifyingOrganization=words[2],
                                                        VerificationDateTime="20200101")])  # fmt: skip
    elif data.Modality == "PR":
        data.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = f"tumor? {words[0]}"
        data.GraphicLayerSequence[0].GraphicLayerDescription = f"by {words[1]}"
        data.ContentCreatorName = words[2]
    elif data.Modality == "RTSTRUCT":
        data.StructureSetROISequence[0].ROIName = f"Lung {words[0]}"
        data.RTROIObservationsSequence[0].ROIInterpreter = words[1]
        data.StructureSetDescription = f"drawn by {words[2]}"
    else:
        data.DerivationDescription = f"recon by {words[0]}"
        data.RequestingPhysician, data.PatientMotherBirthName = words[1], words[2]
    return words


def documents(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """A PDF whose text is in a Flate stream, and its title."""
    if data.Modality != "DOC":
        return []
    words = [chance.word() for _ in range(2)]
    stream = zlib.compress(f"BT ({words[0]}) Tj ET".encode())
    body = b"%%PDF-1.4\n1 0 obj<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream endobj %%%%EOF" % (
        len(stream), stream,
    )  # fmt: skip
    data.EncapsulatedDocument, data.DocumentTitle = body + b" " * (len(body) % 2), f"Letter to {words[1]}"
    return words


def where_it_stays(data: Dataset, person: Person, chance: Chance) -> list[str]:
    """The patient's own name or number where the Standard keeps the attribute: only a proof can notice."""
    place = chance.random.choice(("SoftwareVersions", "ManufacturerModelName", "ImageType"))
    what = chance.random.choice((person.words[0], person.number))
    if place == "ImageType" and not what.isascii():
        place = "SoftwareVersions"
    if place == "ImageType":
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", what.upper()[:16]]
        return [what[:16]]
    setattr(data, place, f"V1 {what}")
    return [what]


def _item(inside: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside


PLANTS: tuple[Plant, ...] = (
    study_description, series_description, comments, history, birth_date_in_text, own_name_in_text, uid_in_text,
    people, numbers, places, request, original_attributes, equipment, other_ids, local_code, diagnosis, private_text,
    private_moved, private_sequence, private_csa, private_packed, private_implicit, public_unknown, groups,
    charset_of_item, addresses, devices, creators, documents,
)  # fmt: skip
