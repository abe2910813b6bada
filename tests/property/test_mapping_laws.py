"""Whatever is committed, in whatever order and how often: one original, one pseudonym, and the way back is true."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.deid.outcome import Minted
from appliance.mapping.cipher import Cipher, Tampered
from appliance.mapping.store import MappingStore

few = st.sampled_from(["a", "b", "ab", "", "1", "Ä"])
minted = st.builds(Minted, st.sampled_from(["patient", "uid"]), few, few, st.sampled_from(["x", "y", "z"]), few)
batches = st.lists(st.lists(minted, max_size=6), max_size=5)


@settings(max_examples=60, deadline=None)
@given(batches)
def test_the_first_that_came_keeps_its_pseudonym_and_every_collision_is_told(given_batches):
    model: dict[tuple[str, ...], str] = {}
    taken: dict[tuple[str, str], tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory() as folder, MappingStore(Path(folder) / "m.db", b"k" * 32) as store:
        for batch in given_batches:
            expected = []
            for each in batch:
                original = (each.kind, each.scope, each.domain, each.original)
                place = (each.kind, each.pseudonym)
                if model.get(original, each.pseudonym) != each.pseudonym or taken.get(place, original) != original:
                    expected.append(each)
                    continue
                model[original], taken[place] = each.pseudonym, original

            assert store.commit(batch) == expected

        assert store.count() == len(model)
        for (kind, scope, domain, original), pseudonym in model.items():
            assert store.pseudonym_of(kind, domain, original, scope) == pseudonym


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.binary(max_size=20), st.integers(0, 127))
def test_what_was_sealed_opens_only_unchanged_and_in_its_place(key, content, place, at):
    cipher = Cipher(key)
    sealed = cipher.seal(content, place)
    changed = bytearray(sealed)
    changed[at % len(sealed)] ^= 1

    assert cipher.open(sealed, place) == content
    for wrong, where in ((bytes(changed), place), (sealed, place + b"x"), (sealed[:5], place)):
        try:
            cipher.open(wrong, where)
        except Tampered:
            continue
        raise AssertionError("opened what was not sealed so")
