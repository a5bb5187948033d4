"""What the growth model says of costs that are known."""

import pytest

from lab.bench.bench_citus import bound


@pytest.mark.parametrize(("workers", "captures"), [(1, 1_000), (2, 2_000), (3, 2_500), (4, 2_500)])
def test_workers_help_until_the_coordinator_is_full(workers: int, captures: int) -> None:
    """A capture takes 800 µs of the coordinator, and 2,000 µs of one of the workers."""
    cost = {"coordinator": 800.0, "worker 1": 1_500.0, "worker 2": 500.0}
    assert bound(cost, workers, cores=2) == captures
