"""From DCMTK's senders through the whole appliance into a real Orthanc behind a TLS front, in every transfer syntax."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.make import make, pictures, secrets
from tests.make.certificates import Authority
from tests.peers import dcmtk
from tests.peers.appliance_process import Appliance
from tests.peers.nginx import Nginx
from tests.peers.orthanc import Orthanc

PATIENT, PATIENT_ID = "Zwirnlein^Quasimodo", "00QX4711"

# storescu's option -> how the file it sends is made: a converter with its options, or the syntax (bits of no code)
STORESCU = {
    "-x=": ("dcmconv", "+te"),
    "-xe": ("dcmconv", "+te"),
    "-xb": ("dcmconv", "+tb"),
    "-xi": ("dcmconv", "+ti"),
    "-xd": ("dcmconv", "+td"),
    "-xs": ("dcmcjpeg", "+e1"),
    "-xy": ("dcmcjpeg", "+eb"),
    "-xx": ("dcmcjpeg", "+ee"),
    "-xt": ("dcmcjpls", "+el"),
    "-xu": ("dcmcjpls", "+en"),
    "-xr": ("dcmcrle",),
    "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91",
    "-xm": "1.2.840.10008.1.2.4.100",
    "-xh": "1.2.840.10008.1.2.4.101",
    "-xn": "1.2.840.10008.1.2.4.102",
    "-xl": "1.2.840.10008.1.2.4.103",
    "-x2": "1.2.840.10008.1.2.4.104",
    "-x3": "1.2.840.10008.1.2.4.105",
    "-xo": "1.2.840.10008.1.2.4.106",
    "-x4": "1.2.840.10008.1.2.4.107",
    "-x5": "1.2.840.10008.1.2.4.108",
}
# Nobody can look at these, so they wait.
VIDEOS = frozenset(
    how for how in STORESCU.values() if isinstance(how, str) and how.startswith("1.2.840.10008.1.2.4.10")
)
# What dcmsend offers is what the files hold: the syntaxes above, and more.
DCMSEND = {
    **{f"as {option}": how for option, how in STORESCU.items() if option != "-x="},
    "jpeg spectral": ("dcmcjpeg", "+es"),
    "jpeg progressive": ("dcmcjpeg", "+ep"),
    "jpeg lossless 14": ("dcmcjpeg", "+el"),
    "jpeg 2000 part 2": "1.2.840.10008.1.2.4.92",
}
PROPOSES_EXPLICIT = ("as -xb", "as -xi")  # dcmsend offers explicit first, and converts what is not compressed


@dataclass
class Sent:
    """What went in: the file whose bits were sent, what the sender said; and what came out, "" if nothing did."""

    file: Path
    exit_code: int
    told: str
    source: str
    uid: str
    new_uid: str = ""


@dataclass
class Way:
    """A whole appliance before a TLS front before an Orthanc, and all that was sent, by sender and syntax."""

    edge: Appliance
    orthanc: Orthanc
    sent: dict[str, Sent]


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """Everything is sent first, so that the tests need not wait one by one."""
    folder = tmp_path_factory.mktemp("way")
    authority = Authority(folder / "ca")
    with (
        Orthanc(folder / "orthanc") as orthanc,
        Nginx(folder / "nginx", behind=orthanc.root, tls=authority.sign("front"), max_body="100m") as front,
        Appliance(
            folder / "edge",
            [{"name": "cloud", "url": front.dicomweb, "ca": str(authority.certificate)}],
            scp={"peers": [{"ae_title": "STORESCU", "source": "CT1"}, {"ae_title": "DCMSEND", "source": "CT2"}]},
        ) as edge,
    ):
        sent = {}
        for option, how in STORESCU.items():
            file = prepared(folder / f"storescu {option}", f"storescu {option}", how)
            sent[f"storescu {option}"] = _sent(dcmtk.storescu(edge.port, file, options=[option]), file, "CT1")
        for name, how in DCMSEND.items():
            file = prepared(folder / f"dcmsend {name}", f"dcmsend {name}", how)
            ran = dcmtk.dcmsend(edge.port, file, options=["--decompress-never"])
            went = file.with_name("plain.dcm") if name in PROPOSES_EXPLICIT else file
            sent[f"dcmsend {name}"] = _sent(ran, went, "CT2")
        edge.until_settled(sum(each.exit_code == 0 for each in sent.values()))
        for each in sent.values():
            each.new_uid = _new_uid(edge, each)
        yield Way(edge, orthanc, sent)


def _sent(ran: subprocess.CompletedProcess[str], file: Path, source: str) -> Sent:
    uid = str(pictures.read(file.read_bytes()).SOPInstanceUID)
    return Sent(file, ran.returncode, ran.stdout + ran.stderr, source, uid)


def _new_uid(edge: Appliance, sent: Sent) -> str:
    if sent.exit_code:
        return ""
    (trace,) = edge.trace(sent.uid)
    told = pictures.read(sent.file.read_bytes()).file_meta.TransferSyntaxUID
    state = ("QUARANTINED", "pixels-undecodable") if told in VIDEOS else ("FORWARDED", None)
    assert (trace["state"], trace["reason"] or None, trace["source"]) == (*state, sent.source)
    return str(trace["sop_instance"])


def prepared(folder: Path, seed: str, how: str | tuple[str, ...]) -> Path:
    """A file of an invented patient in the syntax: 12 bit, or 8 bit where the code takes no more."""
    data = make.ct(patient=PATIENT, patient_id=PATIENT_ID, seed=seed, size=32, SpacingBetweenSlices="2")
    if how in (("dcmcjpeg", "+eb"), ("dcmcjpls", "+en")):
        data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
        data.PixelData = data.PixelData[::2]
        data["PixelData"].VR = "OB"
    else:
        data.BitsStored, data.HighBit = 12, 11
    plain = make.stored(folder / "plain.dcm", data)
    made = folder / "made.dcm"
    if isinstance(how, str):
        return make.stored(made, data, how)
    converter, *options = how
    ran = dcmtk.run(converter, *options, plain, made)
    assert ran.returncode == 0, ran.stderr
    return made


def leaves(how: str | tuple[str, ...]) -> bool:
    return how not in VIDEOS


NAMES = [
    *(f"storescu {option}" for option, how in STORESCU.items() if leaves(how)),
    *(f"dcmsend {name}" for name, how in DCMSEND.items() if leaves(how)),
]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_sender_offers_arrives_de_identified_with_its_pixel_bits_untouched(way, name):
    sent = way.sent[name]

    assert sent.exit_code == 0, sent.told
    got, was = way.orthanc.file(sent.new_uid), sent.file.read_bytes()

    assert pictures.pixel_bits(got) == pictures.pixel_bits(was)
    assert secrets.found(got, ["Zwirnlein", "Quasimodo", PATIENT_ID, sent.uid, "19500317"]) == []
    assert pictures.read(got).PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("name", NAMES)
def test_dciodvfy_finds_no_error_that_it_did_not_find_before(way, name, tmp_path):
    sent = way.sent[name]

    got = way.orthanc.file(sent.new_uid)

    assert pictures.errors(got, tmp_path) - pictures.errors(sent.file.read_bytes(), tmp_path) == {}


def test_all_of_it_is_one_patient_at_the_destination_and_counted_once(way):
    assert way.orthanc.count() == len(NAMES)
    assert len(way.orthanc.get("/patients")) == 1
    assert way.edge.states() == {"FORWARDED": len(NAMES), "QUARANTINED": len(way.sent) - len(NAMES)}
