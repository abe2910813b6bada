"""A name, a number, a birth date in disguise: where attributes stay as they are, only the second look can notice.

Written as somebody who wants the proof to fail. What is only alike must not be stopped.
"""

import base64
import gzip
import json
import quopri
import struct
from html import escape
from urllib.parse import quote

import pytest

from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.ruleset import load_rules
from appliance.reasons import Reason
from tests.make import make, secrets
from tests.make.deidentified import outcome_of

NAME, NUMBER, BORN = "Quirlbusch^Thaddaea", "70012345", "19430317"


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def stopped(data, rules, syntax=make.EXPLICIT):
    outcome = outcome_of(make.file(data, syntax), rules)
    assert isinstance(outcome, Deidentified | Refused), outcome
    assert isinstance(outcome, Deidentified) or outcome.reason is Reason.IDENTIFIER_LEFT, outcome
    return isinstance(outcome, Refused)


def with_text(text, **who):
    who = {"patient": NAME, "patient_id": NUMBER, "PatientBirthDate": BORN, **who}
    return make.ct(**who, SoftwareVersions=text)


HL7 = f"PID|1||{NUMBER}^^^KH||{NAME}||{BORN}|F"


@pytest.mark.parametrize(
    "text",
    [
        "Q u i r l b u s c h", "Q-u-i-r-l-b-u-s-c-h", "Q.U.I.R.L.B.U.S.C.H", "Q_u_i_r_l_b_u_s_c_h", "Quirl-busch",
        ["Quirl", "busch"], ["Thad", "daea"], "hcsublriuQ", "Qu1rlbusch", "Quirl8usch", "QUIRLBU5CH", "QUIRLBUS",
        "Quirlbus", "ThaddaeaQuirlbusch", "v1(quirlbusch)", "/img/2024/quirlbusch_thaddaea/ct1.dcm",
        "C:/Bilder/Quirlbusch,T/1.dcm", "file:///q?n=Thaddaea%20Q", f"http://pacs/wado?patientID={NUMBER}",
        HL7[:60], json.dumps({"name": "Quirlbusch"}), f"<n>{NAME}</n>", "".join(f"&#{ord(c)};" for c in "Quirlbusch"),
        "".join(f"&#x{ord(c):x};" for c in "Quirl") + "busch", "".join(f"%{ord(c):02X}" for c in "Quirlbusch"),
        "".join(f"={ord(c):02X}" for c in "Quirlbusch"),
        base64.b64encode(b"Quirlbusch").decode(), base64.b64encode(b"n=Quirlbusch").decode(), b"Quirlbusch".hex(),
        b"Thaddaea".hex(" ").upper(), base64.urlsafe_b64encode(b"\xfb\xff\xfe Quirlbusch").decode(),
        "17.03.1943", "17031943", "03171943", "71303491", "170343", "430317", "1943/3/17", "17 Mar 43", "17-MAR-1943",
        "70 01 23 45", "7001-2345", "70.012.345", "id70012345x", "0070012345",
    ],
)  # fmt: skip
def test_the_patient_is_noticed_in_disguise(text, rules):
    assert stopped(with_text(text), rules)


@pytest.mark.parametrize(
    ("name", "charset", "text"),
    [
        ("Żółwiński^Świętopełka", "ISO_IR 101", "Zolwinski"), ("Sørensen^Bjørn", "ISO_IR 100", "Sorensen"),
        ("Sørensen^Bjørn", "ISO_IR 100", "Soerensen"), ("Müllersohn^Änne", "ISO_IR 192", "Mullersohn"),
        ("Müllersohn^Änne", "ISO_IR 192", "Muellersohn"), ("Straßmeier^Ute", "ISO_IR 192", "STRASSMEIER"),
        ("Сквозняк^Ульяна", "ISO_IR 144", "Skvoznyak"), ("Сквозняк^Ульяна", "ISO_IR 144", "Skwosnjak"),
        ("Сквозняк^Ульяна", "ISO_IR 144", "Skvozniak"), ("Сквозняк^Ульяна", "ISO_IR 144", "Uljana"),
        ("Skvoznyak^Ulyana", "ISO_IR 192", "Сквозняк"), ("Ψαροκόκκαλος^Ευρυδίκη", "ISO_IR 126", "Psarokokkalos"),
        ("Ψαροκόκκαλος^Ευρυδίκη", "ISO_IR 126", "ΨΑΡΟΚΟΚΚΑΛΟΣ"), ("محمد^عبدالرحمن", "ISO_IR 127", "Mohammed"),
        ("محمد^عبدالرحمن", "ISO_IR 127", "Abdelrahman"), ("محمد^عبدالرحمن", "ISO_IR 127", "Muhamad"),
        ("גרינברג^יעקב", "ISO_IR 138", "Grinberg"), ("Wang^XiaoDong=王^小东", "GB18030", "患者王小东"),
        ("Wang^XiaoDong=王^小东", "GB18030", "Xiao Dong"), ("山白川^太郎吉", "ISO_IR 192", "山白川様"),
        ("やましろがわ^たろきち", "ISO_IR 192", "yamashirogawa"), ("김^길순자", "ISO_IR 192", "Gilsunja"),
        ("Wu^Yi", "ISO_IR 192", "Wu Yi"), ("Wu^Yi", "ISO_IR 192", "Yi, Wu"), ("O'Neill^Una", "ISO_IR 192", "ONEILL"),
        ("von der Leyenhof^Ina", "ISO_IR 192", "VonDerLeyenhof"), ("Al-Sayed^Omar", "ISO_IR 192", "AlSayed"),
        ("Çağlayanoğlu^I\u015f\u0131l", "ISO_IR 148", "CAGLAYANOGLU"),
        ("Çağlayanoğlu^I\u015f\u0131l", "ISO_IR 148", "Isil"),
    ],
)  # fmt: skip
def test_a_name_is_noticed_in_another_script_or_spelling(name, charset, text, rules):
    data = with_text("", patient=name, charset=charset)
    data.Manufacturer = "x"
    body = make.file(data)
    written = text.encode({"GB18030": "gb18030", "ISO_IR 126": "iso8859-7"}.get(charset, "utf-8"))
    head = b"\x18\0\x20\x10LO"
    padded = written + b" " * (len(written) % 2)
    assert body.count(head + b"\0\0") == 1
    changed = body.replace(head + b"\0\0", head + struct.pack("<H", len(padded)) + padded)

    outcome = outcome_of(changed, rules)

    assert isinstance(outcome, Refused), outcome
    assert outcome.reason is Reason.IDENTIFIER_LEFT


@pytest.mark.parametrize("code", ["utf-8", "cp1251", "koi8-r", "iso8859-5", "utf-16-le"])
def test_a_name_is_noticed_in_another_code_than_the_one_announced(code, rules):
    data = with_text("", patient="Сквозняк^Ульяна", charset="ISO_IR 144")
    data.add_new(0x00283006, "OW", "Сквозняк".encode(code) + b" " * (len("Сквозняк".encode(code)) % 2))
    text = "Сквозняк ".encode(code)[:16]
    body = make.file(data).replace(b"\x18\0\x20\x10LO\0\0", b"\x18\0\x20\x10LO\x10\0" + text.ljust(16))

    assert isinstance(outcome_of(body, rules), Refused)


def test_what_was_written_as_something_else_again_is_noticed(rules):
    data = with_text("Zwölfkäuz".encode().decode("latin-1"), patient="Zwölfkäuz^Änneliese", charset="ISO_IR 192")

    assert stopped(data, rules)


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN])
def test_a_number_is_noticed_where_it_is_stored_as_one(syntax, rules):
    data = with_text("V1")
    data.add_new(0x00189098 + 0x0, "FD", 1.0)
    data.add_new(0x00281401 - 0x1401 + 0x9001, "UL", int(NUMBER))  # Data Point Rows

    assert stopped(data, rules, syntax)


def test_a_name_is_known_that_was_written_as_unknown_or_in_an_unknown(rules):
    data = make.ct(patient="Nobody^Else", patient_id=NUMBER, SoftwareVersions="for Quirlbusch")
    data[0x00081060] = secrets.unknown(0x00081060, b"Quirlbusch^Dr ")
    assert stopped(data, rules)

    data = make.ct(patient="Nobody^Else", patient_id=NUMBER, SoftwareVersions="for Quirlbusch")
    inside = secrets.implicit(0x00100010, b"Quirlbusch")
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside
    data.private_block(0x0031, "UNSEEN", create=True).add_new(0x01, "UN", item)
    assert stopped(data, rules)


def test_a_mail_address_is_noticed(rules):
    data = with_text("mail to someone@Example.org", PatientTelecomInformation="Someone@example.org")

    assert stopped(data, rules)


def test_the_day_of_a_visit_is_noticed_where_it_was_not_moved(rules):
    assert stopped(with_text("V1 20240229"), rules)
    assert stopped(with_text("sent 29.2.2024"), rules)
    assert stopped(
        with_text("V1 20240111", DateOfSecondaryCapture=None, ScheduledProcedureStepStartDate="20240111"), rules
    )


def test_what_describes_the_patient_does_not_name_the_patient(rules):
    assert stopped(with_text("V1", EthnicGroup="Quirlbusch"), rules)
    assert not stopped(with_text("V1", EthnicGroup="Frisian"), rules)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("SliceThickness", b"Dr Schmalzried"), ("KVP", b"x"), ("PatientWeight", b"see Ina "), ("SeriesNumber", b"No 1")],
)
def test_where_a_number_should_be_no_text_is_passed_on(keyword, value, rules):
    data = make.ct(PatientWeight="71.5")
    body = make.file(data)
    tag = data[keyword].tag
    at = body.index(struct.pack("<HH", tag.group, tag.elem) + data[keyword].VR.encode())
    length = struct.unpack_from("<H", body, at + 6)[0]
    value += b" " * (len(value) % 2)
    changed = body[: at + 6] + struct.pack("<H", len(value)) + value + body[at + 8 + length :]

    outcome = outcome_of(changed, rules)

    assert isinstance(outcome, Deidentified)
    kept = outcome.dataset.get(int(tag))
    assert kept is None or value.strip() not in kept.value


@pytest.mark.parametrize("value", [b"1.5", b"-2e3 ", b"NaN ", b"1,5 ", b" 2 ", b"1\\2\\3 ", b"inf "])
def test_numbers_as_scanners_write_them_stay(value, rules):
    body = make.file(make.ct(SliceThickness="77777777")).replace(b"77777777", value.ljust(8))

    outcome = outcome_of(body, rules)

    assert outcome.dataset.get(0x00180050).value == value.ljust(8)


@pytest.mark.parametrize(
    "text",
    ["VA50A", "syngo CT 2012B", "27 LX MR Software release:DV26.0_R05_2008.a", "5.3.1 5.3.1.3", "VB42B 20050822",
     "Quirl", "busch", "thaddeus", "70012346", "18.03.1943", "NMR_DYN_2.0", "AAAABBBBCCCCDDDD", "%41%42%43 &amp; =3D",
     "deadbeefcafe", "T1-weighted_mprage_iso_1.0"],
)  # fmt: skip
def test_what_is_only_alike_passes(text, rules):
    assert not stopped(with_text(text), rules)


def test_packed_names_of_any_wrapping_are_noticed(rules):
    data = with_text("V1")
    data.add_new(0x00283006, "OW", gzip.compress(base64.b64encode(b"<n>Quirlbusch</n>"), mtime=0).ljust(80, b"\0"))
    assert stopped(data, rules)
    assert stopped(with_text(escape(quote("Thaddäa Quirlbusch"))), rules)
    assert stopped(with_text(quopri.encodestring("Zwölfkäuz".encode()).decode(), patient="Zwölfkäuz^A"), rules)
