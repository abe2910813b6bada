"""How much one request carries."""

from appliance.outlet.batch_size import FIRST_BYTES, FIRST_INSTANCES, LEAST_BYTES, QUICK_S, SLOW_S, BatchSize

MiB = 1024 * 1024


def size() -> BatchSize:
    return BatchSize(most_instances=100, most_bytes=64 * MiB)


def test_quick_full_requests_grow_up_to_what_the_configuration_allows():
    batch = size()

    for _ in range(10):
        batch.took(QUICK_S - 1, batch.instances, batch.bytes)

    assert (batch.instances, batch.bytes) == (100, 64 * MiB)


def test_a_quick_small_request_proves_nothing():
    batch = size()

    for _ in range(10):
        batch.took(0.1, 1, 1000)

    assert (batch.instances, batch.bytes) == (FIRST_INSTANCES, FIRST_BYTES)


def test_only_the_limit_that_was_reached_grows():
    batch = size()

    batch.took(0.1, FIRST_INSTANCES, 1000)

    assert (batch.instances, batch.bytes) == (2 * FIRST_INSTANCES, FIRST_BYTES)


def test_a_slow_request_does_not_grow_and_a_very_slow_one_halves():
    batch = size()
    batch.took(QUICK_S + 1, FIRST_INSTANCES, FIRST_BYTES)
    assert (batch.instances, batch.bytes) == (FIRST_INSTANCES, FIRST_BYTES)

    batch.took(SLOW_S + 1, FIRST_INSTANCES, FIRST_BYTES)

    assert (batch.instances, batch.bytes) == (FIRST_INSTANCES // 2, FIRST_BYTES // 2)


def test_connections_that_break_together_halve_once():
    batch = size()

    for _ in range(4):
        batch.was_too_much(FIRST_INSTANCES, FIRST_BYTES)

    assert (batch.instances, batch.bytes) == (FIRST_INSTANCES // 2, FIRST_BYTES // 2)


def test_it_shrinks_down_to_one_instance_and_no_further():
    batch = size()

    for _ in range(30):
        batch.was_too_much(batch.instances, batch.bytes)

    assert batch.instances == 1
    assert batch.bytes == LEAST_BYTES


def test_a_413_is_a_limit_that_is_not_tried_again():
    batch = size()
    batch.was_too_large(4 * MiB)

    for _ in range(10):
        batch.took(0.1, batch.instances, batch.bytes)

    assert batch.bytes == 2 * MiB
    assert batch.instances == 100


def test_a_configuration_smaller_than_the_first_size_is_kept():
    batch = BatchSize(most_instances=1, most_bytes=1 * MiB)

    batch.took(0.1, 1, 1 * MiB)

    assert (batch.instances, batch.bytes) == (1, 1 * MiB)
