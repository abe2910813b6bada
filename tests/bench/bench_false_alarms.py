"""How often the second look stops a clean instance by mistake: the unit test's sample, ten times as large."""

import random
import sys
from collections import Counter

from appliance.deid.outcome import Deidentified
from appliance.deid.ruleset import load_rules
from tests.make import make
from tests.make.deidentified import outcome_of
from tests.unit.deid.test_false_alarms import clean_instance

INSTANCES = 20_000


def test_fewer_than_one_clean_instance_in_a_thousand_is_stopped_by_mistake() -> None:
    rules, chance = load_rules(None), random.Random(11)
    where: Counter[str] = Counter()

    for number in range(INSTANCES):
        outcome = outcome_of(make.file(clean_instance(chance, number)), rules)
        if not isinstance(outcome, Deidentified):
            where[str(outcome)] += 1

    stopped = where.total()
    sys.stdout.write(f"\n{INSTANCES} clean instances: {stopped} stopped by mistake {dict(where.most_common(5))}\n")
    assert stopped * 1000 < INSTANCES
