"""The other stack answers as the service does, and the comparison notices where one would not."""

from __future__ import annotations

import pytest

from lab.bench.service.agreement import compare
from lab.bench.service.database import database, durable_server
from lab.bench.service.servers import ALTERNATIVE, SERVICE, TOKEN, serving

pytestmark = pytest.mark.long  # it needs what only the benchmark installs: make test-long does


def test_both_stacks_answer_the_same() -> None:
    with (
        durable_server() as postgres,
        database(postgres, 1) as one,
        database(postgres, 1) as other,
        serving(SERVICE, one.dsn) as ours,
        serving(ALTERNATIVE, other.dsn) as theirs,
    ):
        assert compare((ours.url, TOKEN), (theirs.url, TOKEN)) == []
        # The service asks for its token, and the other stack knows none.
        assert len(compare((ours.url, "no-token"), (theirs.url, "no-token"))) > 20
