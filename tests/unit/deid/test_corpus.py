"""The hard corpus, scored: no secret out, every reference and interval kept, nothing lost that research may have.

The scorer shares nothing with the engine, and is itself shown to notice each kind of fault.
"""

import io
from collections import Counter

import pydicom
import pytest

from appliance.bounds import Pixels
from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.ruleset import load_rules
from appliance.dicom import part10
from appliance.reasons import Reason
from appliance.services.looker import Looker
from tests.make.corpus import make_corpus
from tests.make.deidentified import outcome_of
from tests.make.score import score


@pytest.fixture(scope="module")
def corpus():
    return make_corpus()


@pytest.fixture(scope="module")
def outcomes(corpus, tmp_path_factory):
    """What becomes of each under the packaged rules, pixels looked at where they say so, as in a worker."""
    rules = load_rules(None)
    with Looker(Pixels()).beside(tmp_path_factory.mktemp("scratch")) as look:
        yield {specimen.name: outcome_of(specimen.body, rules, pixels=look) for specimen in corpus.specimens}


@pytest.fixture(scope="module")
def results(corpus, outcomes):
    told = {}
    for specimen in corpus.specimens:
        outcome = outcomes[specimen.name]
        if isinstance(outcome, Deidentified):
            target, source = io.BytesIO(), part10.read(io.BytesIO(specimen.body)).source
            part10.write(outcome.meta, outcome.dataset, outcome.transfer_syntax, source, target)
            told[specimen.name] = target.getvalue()
    return told


def test_the_corpus_is_as_hard_as_it_says(corpus):
    plants = Counter(secret.plant for specimen in corpus.specimens for secret in specimen.secrets)

    assert len(corpus.specimens) == 400
    assert corpus.planted > 10_000
    assert len({specimen.modality for specimen in corpus.specimens}) == 12
    assert all(count > 40 for plant, count in plants.items() if plant not in ("where_it_stays", "documents"))
    assert make_corpus().specimens[7].body == corpus.specimens[7].body


def test_no_secret_leaves_and_all_that_research_needs_does(corpus, results, tmp_path):
    scored = score(corpus, results, work=tmp_path)

    assert scored.found == []
    assert scored.broken == []
    assert scored.moved == []
    assert scored.lost == []
    assert scored.errors == Counter()
    assert scored.unreadable == []
    assert min(scored.planted, scored.references, scored.intervals, scored.attributes) > 1500


def test_pixels_of_risky_images_were_looked_at_and_no_other_s(corpus, outcomes, results):
    looked = {name for name, outcome in outcomes.items() if isinstance(outcome, Deidentified) and outcome.report.pixels}

    risky = {each.name for each in corpus.specimens if each.modality in ("US", "CR", "OT")}
    assert looked == {name for name in risky if isinstance(outcomes[name], Deidentified)}
    for specimen in corpus.specimens:
        if specimen.modality == "US":
            before, after = (pydicom.dcmread(io.BytesIO(body)) for body in (specimen.body, results[specimen.name]))
            assert (after.pixel_array[:2] == 0).all() and (after.pixel_array[2:] == before.pixel_array[2:]).all()
            assert after.BurnedInAnnotation == "NO"


def test_what_is_withheld_is_documents_and_those_that_name_the_patient_where_attributes_stay(corpus, outcomes):
    withheld = {name: outcome for name, outcome in outcomes.items() if not isinstance(outcome, Deidentified)}
    naming = {
        specimen.name
        for specimen in corpus.specimens
        if any(secret.plant == "where_it_stays" for secret in specimen.secrets)
    }

    assert all(isinstance(outcome, Refused) for outcome in withheld.values())
    documents = {name for name, outcome in withheld.items() if outcome.reason is Reason.DOCUMENT}
    assert documents == {specimen.name for specimen in corpus.specimens if specimen.modality == "DOC"}
    assert {name for name in withheld if name not in documents} == naming - documents


def test_the_scorer_finds_everything_in_what_was_not_de_identified(corpus):
    scored = score(corpus, {specimen.name: specimen.body for specimen in corpus.specimens})

    assert len(scored.found) == scored.planted
    assert scored.broken == scored.moved == scored.lost == []


def test_the_scorer_notices_broken_references_moved_dates_and_lost_attributes(corpus):
    bodies = {}
    for specimen in corpus.specimens[:40]:
        data = pydicom.dcmread(io.BytesIO(specimen.body))
        data.StudyInstanceUID, data.StudyDate, data.Modality = "1.2.3", "20000101", "XX"
        target = io.BytesIO()
        data.save_as(target)
        bodies[specimen.name] = target.getvalue()

    scored = score(corpus, bodies)

    assert len(scored.withheld) == 360
    assert {path for _, path in scored.broken} >= {"StudyInstanceUID"}
    assert ("p0s0-ct0", "Modality") in scored.lost
    assert scored.moved
