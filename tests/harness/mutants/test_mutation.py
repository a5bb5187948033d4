"""What a session of generated mutants says: survivors are told by what they change, and argued away by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.mutation.survivors import Change, argued, change_in, summed_up

LISTED = Path(__file__).parents[2] / "mutation" / "survivors.toml"
ROOT = Path(__file__).parents[3]
DIFF = """--- mutation diff ---
--- amodel/payments_model/capture.py
+++ bmodel/payments_model/capture.py
@@ -1,3 +1,3 @@
 def capture() -> None:
-    if now >= end:
+    if now > end:
         return
"""


def line(outcome: str | None, worker: str = "normal", diff: str = DIFF) -> str:
    item = {"mutations": [{"module_path": "model/payments_model/capture.py"}]}
    result: Any = {"worker_outcome": worker, "test_outcome": outcome, "output": "why", "diff": diff}
    return json.dumps([item, None if worker == "waiting" else result])


def test_a_session_is_summed_up() -> None:
    found = summed_up(
        [line("killed"), line("survived"), line(None, "skipped"), line(None, "waiting"), line("incompetent")]
    )
    assert (found.killed, found.skipped, found.waiting) == (1, 1, 1)
    assert found.survived == [Change("model/payments_model/capture.py", "if now >= end:", "if now > end:")]
    assert found.broken == ["model/payments_model/capture.py: normal, incompetent: why"]


def test_a_change_of_several_lines_is_one() -> None:
    diff = DIFF.replace("-    if now >= end:", "-    if (now\n-        >= end):")
    assert change_in("m", diff) == Change("m", "if (now >= end):", "if now > end:")


def test_a_survivor_without_a_reason_is_not_argued_away(tmp_path: Path) -> None:
    path = tmp_path / "survivors.toml"
    entry = '[[survivor]]\nmodule = "m"\nwas = "a"\nbecomes = "b"\nwhy = "{}"\n'
    path.write_text(entry.format("it is the same"))
    assert argued(path) == {Change("m", "a", "b"): "it is the same"}
    path.write_text(entry.format(" "))
    with pytest.raises(ValueError, match="no reason is given for 'a'"):
        argued(path)
    path.write_text(entry.replace("why", "because").format("x"))
    with pytest.raises(msgspec.ValidationError, match="because"):
        argued(path)


def test_what_is_argued_away_stands_in_the_code() -> None:
    for change in argued(LISTED):
        source = " ".join((ROOT / change.module).read_text().split())
        assert " ".join(change.was.split()) in source, change
