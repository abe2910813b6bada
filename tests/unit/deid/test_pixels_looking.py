"""What somebody must look at leaves only if somebody did; what the answer does to the result, and to its marks."""

import io

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Hidden, Looked, Refused
from appliance.deid.pixels.looking import Cleaned
from appliance.dicom import part10
from appliance.dicom.element import Element
from appliance.reasons import Reason
from tests.make import make
from tests.make.deidentified import outcome_of, rules_from

POLICY = (
    "Labels: [{Name: us, DICOMQueryFilter: Modality StrEquals US}]\nPixels: [{Labels: us, Why: it may show a name}]\n"
)
SYNTAX = make.EXPLICIT
LOOKED = Looked("By rule, line 2: it may show a name.", 1, 1, "engine 1.0", (Hidden(0, (0, 0, 16, 2), "engine 1.0"),))


class Answers:
    """Gives one answer, and remembers what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def clean(self, original, ask):
        self.asked.append(ask)
        return self.answer


@pytest.fixture
def rules(tmp_path):
    return lambda text: rules_from(text, tmp_path)


def read(outcome, body):
    """The result as pydicom reads it."""
    assert isinstance(outcome, Deidentified), outcome
    target = io.BytesIO()
    source = part10.read(io.BytesIO(body)).source
    part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, source, target)
    return pydicom.dcmread(io.BytesIO(target.getvalue()))


def claimed(data):
    return {item.CodeValue for item in data.DeidentificationMethodCodeSequence}


def test_where_nobody_can_look_what_must_be_looked_at_is_refused_and_all_else_leaves(rules):
    read_rules = rules(POLICY)

    refused = outcome_of(make.file(make.us()), read_rules)

    assert refused == Refused(Reason.BURNED_IN_RISK, "By rule, line 2: it may show a name. Nobody here can look.")
    assert isinstance(outcome_of(make.file(make.ct()), read_rules), Deidentified)
    assert isinstance(outcome_of(make.file(make.us()), read_rules, accepted={"burned-in-risk"}), Deidentified)


def test_pixels_that_nobody_need_look_at_are_never_asked_for(rules):
    pixels = Answers(Cleaned(LOOKED, SYNTAX))

    outcome = outcome_of(make.file(make.ct()), rules(POLICY), pixels=pixels)

    assert isinstance(outcome, Deidentified) and outcome.report.pixels is None
    assert pixels.asked == []
    assert "113101" not in outcome.report.codes


def test_what_was_looked_at_says_so_and_what_was_not_does_not(rules):
    body = make.file(make.us(BurnedInAnnotation="YES"))

    looked_at = read(outcome_of(body, rules(POLICY), pixels=Answers(Cleaned(LOOKED, SYNTAX))), body)
    accepted = read(outcome_of(body, rules(POLICY), accepted={"burned-in-risk"}), body)

    assert looked_at.BurnedInAnnotation == "NO" and "113101" in claimed(looked_at)
    assert accepted.BurnedInAnnotation == "YES" and "113101" not in claimed(accepted)


def test_without_a_profile_the_mark_is_true_and_nothing_is_claimed(rules):
    body = make.file(make.us(BurnedInAnnotation="YES"))

    outcome = outcome_of(
        body, rules("Profile: none\n" + POLICY), pixels=Answers(Cleaned(LOOKED, SYNTAX)), accepted={"identifier-left"}
    )

    assert read(outcome, body).BurnedInAnnotation == "NO" and outcome.report.codes == ()


def test_new_elements_stand_in_the_result_and_what_is_no_longer_true_goes(rules):
    body = make.file(make.us(LossyImageCompression="01"))
    new = Cleaned(LOOKED, SYNTAX, put=(Element(0x7FE00010, "OB", bytes(768)),), remove=(0x00282110,))

    result = read(outcome_of(body, rules(POLICY), pixels=Answers(new)), body)

    assert result.PixelData == bytes(768) and "LossyImageCompression" not in result


def test_a_refusal_is_the_outcome(rules):
    no = Refused(Reason.PIXELS_UNDECODABLE, "By rule.")

    assert outcome_of(make.file(make.us()), rules(POLICY), pixels=Answers(no)) is no


def test_icons_and_overlays_beside_pixels_that_were_looked_at_go_whatever_rules_keep(rules):
    data = make.us()
    icon, holder = Dataset(), Dataset()
    icon.PixelData = b"icon"
    icon["PixelData"].VR = "OB"
    holder.IconImageSequence = Sequence([icon])
    data.IconImageSequence, data.ReferencedImageSequence = Sequence([icon]), Sequence([holder])
    data.add_new(0x60003000, "OW", b"overlay!")
    body, kept = make.file(data), "Profile: none\n" + POLICY

    outcome = outcome_of(body, rules(kept), pixels=Answers(Cleaned(LOOKED, SYNTAX)), accepted={"identifier-left"})

    result = read(outcome, body)
    assert "IconImageSequence" not in result and 0x60003000 not in result
    assert "IconImageSequence" not in result.ReferencedImageSequence[0]
    assert ("(0008,1140)[0].(0088,0200)", "removed", "beside pixels that were looked at") in outcome.report.lines


def test_floating_point_pixels_are_refused_and_an_instance_without_pixels_needs_nobody(rules):
    floating, none = make.us(PixelData=None, FloatPixelData=bytes(64)), make.us(PixelData=None)

    refused = outcome_of(make.file(floating), rules(POLICY), pixels=Answers(Cleaned(LOOKED, SYNTAX)))

    assert isinstance(refused, Refused) and refused.reason is Reason.PIXELS_UNDECODABLE
    outcome = outcome_of(make.file(none), rules(POLICY))
    assert isinstance(outcome, Deidentified) and "113101" not in outcome.report.codes


def test_who_accepts_text_that_was_left_has_pixels_cleaned_all_the_same(rules):
    pixels = Answers(Cleaned(LOOKED, SYNTAX))

    outcome_of(make.file(make.us()), rules(POLICY), pixels=pixels)
    outcome_of(make.file(make.us()), rules(POLICY), pixels=pixels, accepted={"text-left"})
    outcome_of(make.file(make.us()), rules(POLICY), pixels=pixels, accepted={"pixels-too-large"})

    assert [ask.prove for ask in pixels.asked] == [True, False]
    assert pixels.asked[0].judge.identifies(["Invented"])


def test_the_report_says_what_was_hidden_and_by_whom_and_never_a_text(rules):
    outcome = outcome_of(make.file(make.us()), rules(POLICY), pixels=Answers(Cleaned(LOOKED, SYNTAX)))
    assert isinstance(outcome, Deidentified)

    told = outcome.report.as_json()["pixels"]

    assert told["engine"] == "engine 1.0" and told["searched"] == 1
    assert told["hidden"] == ({"frame": 0, "box": (0, 0, 16, 2), "cause": "engine 1.0"},)
