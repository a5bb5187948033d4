"""The formats of other checkers, and telling formats apart."""

from __future__ import annotations

import gzip
import random
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgweave.history.formats import FORMATS, detect, load
from pgweave.history.formats.jepsen_log import parse_jepsen
from pgweave.history.formats.porcupine import parse_porcupine
from pgweave.history.operations import History, HistoryError, Operation, Outcome
from tests.pgweave.small_specs import OURS
from tests.support.peer_histories import needs_peers, peer_verdicts

JEPSEN = b"""\
INFO  jepsen.core - a line of something else
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:cas\t[3 -1]
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:fail\t:cas\t[3 -1]
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:ok\t:read\tnil
INFO  jepsen.util - 0\t:invoke\t:write\t4
INFO  jepsen.util - 0\t:info\t:write\t:timed-out
"""

PORCUPINE = b"""\
{:process 0, :type :invoke, :f :put, :key "a b", :value "x \\"1\\" y"}
{:process 1, :type :invoke, :f :get, :key "a b", :value nil}
{:process 1, :type :ok, :f :get, :key "a b", :value ""}
"""


def answered_put(key: bytes, value: bytes) -> bytes:
    """A put of "x" under "a" that is answered with this."""
    invoked = b'{:process 0, :type :invoke, :f :put, :key "a", :value "x"}\n'
    return invoked + b"{:process 0, :type :ok, :f :put, :key %s, :value %s}\n" % (key, value)


def test_reads_jepsen_logs() -> None:
    history = parse_jepsen(JEPSEN, "log")
    assert history.spec == "cas-register"
    assert history.operations == (
        Operation(0, "write", 3, Outcome.OK, 3, 0, 2),
        Operation(1, "cas", [3, -1], Outcome.FAIL, [3, -1], 1, 4),
        Operation(2, "read", None, Outcome.FAIL, None, 3, 5),
        Operation(2, "read", None, Outcome.OK, None, 6, 7),
        Operation(0, "write", 4, Outcome.UNKNOWN, None, 8, None),
    )


def test_reads_porcupine_logs() -> None:
    history = parse_porcupine(PORCUPINE, "log")
    assert history.spec == "kv"
    assert history.operations == (
        Operation(0, "put", {"key": "a b", "value": 'x "1" y'}, Outcome.UNKNOWN, None, 0, None),
        Operation(1, "get", {"key": "a b"}, Outcome.OK, {"key": "a b", "value": ""}, 1, 2),
    )


@pytest.mark.parametrize("value", [b'"x"', b'"\\u0078"', b"nil"])
def test_an_answer_of_porcupine_says_what_was_put_or_nothing(value: bytes) -> None:
    (put,) = parse_porcupine(answered_put(b'"a"', value), "log").operations
    assert (put.value, put.outcome) == ({"key": "a", "value": "x"}, Outcome.OK)


def test_tells_the_format_by_the_content() -> None:
    assert detect(JEPSEN, "f") == "jepsen"
    assert detect(b"\n" + PORCUPINE, "f") == "porcupine"
    for path in OURS:
        assert detect(path.read_bytes(), "f") == "ours"


@needs_peers
def test_tells_the_format_of_peer_histories() -> None:
    found = {path: load(path) for path in peer_verdicts()}
    assert {(path.parent.name, history.format) for path, history in found.items()} == {
        ("jepsen", "jepsen"),
        ("kv", "porcupine"),
    }
    answers = [one.outcome for history in found.values() for one in history.operations]
    # what a search for the words in the logs counts: 884 :fail, 638 :info
    assert answers.count(Outcome.FAIL) == 884
    assert answers.count(Outcome.UNKNOWN) == 638


@pytest.mark.parametrize(
    ("format_name", "data", "message"),
    [
        ("jepsen", b"nothing of interest\n", "f: no line reads `INFO  jepsen.util"),
        ("jepsen", JEPSEN.replace(b":info", b":gone"), "f:11: type 'gone'"),
        ("jepsen", JEPSEN.replace(b"[3 -1]", b"[3 x]"), r"f:3: 'cas' '\[3 x\]' is none of read nil"),
        ("jepsen", JEPSEN.replace(b":cas", b":inc"), "f:3: 'inc'"),
        ("jepsen", JEPSEN.replace(b"- 2\t:ok", b"- 0\t:ok"), "f:9: process 0 has no open invocation"),
        ("porcupine", PORCUPINE.replace(b":put", b":del"), "f:1: expected {:process P"),
        ("porcupine", PORCUPINE + b"\xff\n", "f:4: 'utf-8' codec"),
        ("porcupine", PORCUPINE.replace(b'\\"1\\"', b"\\q"), "f:1: Invalid .*escape"),
        ("porcupine", PORCUPINE.replace(b":invoke", b":ok"), "f:1: process 0 has no open invocation"),
        ("porcupine", answered_put(b'"b"', b'"x"'), "f:2: put is invoked with .*'b'.*: which was it"),
        ("porcupine", answered_put(b'"a"', b'"y"'), "f:2: put is invoked with .*'y'.*: which was it"),
        ("porcupine", answered_put(b'"\\u0061"', b'"\\u0079"'), "f:2: put .*: which was it"),
        ("porcupine", answered_put(b'"b"', b'"x"').replace(b":put", b":append"), "f:2: append .*which was"),
        ("porcupine", answered_put(b'"b"', b"nil").replace(b":put", b":get"), "f:2: get .*which was it"),
    ],
)
def test_says_where_and_what_was_wrong(format_name: str, data: bytes, message: str) -> None:
    with pytest.raises(HistoryError, match=f"^{message.replace('{', '[{]')}"):
        FORMATS[format_name](data, "f")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "f: the file is empty"), (b"\x7fELF", r"f: the content starts with b'\\x7fELF'; it is like no")],
)
def test_content_like_no_format_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(HistoryError, match=f"^{message}"):
        detect(data, "f")


@given(st.randoms(use_true_random=False), st.sampled_from([JEPSEN, PORCUPINE]), st.binary(max_size=4))
def test_a_damaged_log_is_a_history_or_a_clear_error(rng: random.Random, log: bytes, noise: bytes) -> None:
    data = bytearray(log)
    place = rng.randrange(len(data))
    data[place : place + rng.randrange(8)] = noise
    assert_history_or_error(bytes(data), None)


@given(st.binary(max_size=100), st.sampled_from(sorted(FORMATS)))
def test_any_bytes_are_a_history_or_a_clear_error(data: bytes, format_name: str) -> None:
    assert_history_or_error(data, format_name)


def assert_history_or_error(data: bytes, format_name: str | None) -> None:
    try:
        history = FORMATS[format_name or detect(data, "the-file")](data, "the-file")
    except HistoryError as error:
        message = str(error)
    else:
        message = f"the-file: {history.format}"
    assert message.startswith("the-file:")


def test_a_named_format_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(PORCUPINE)
    assert load(path, "porcupine").format == "porcupine"
    with pytest.raises(HistoryError, match="log:1: not a valid event"):
        load(path, "ours")


@given(st.randoms(use_true_random=False), st.text(alphabet='\n\\"{};, #_0N:a\ud7ff\U0001f600', max_size=3))
def test_a_usual_key_value_log_is_read_as_any_other_edn(rng: random.Random, noise: str) -> None:
    text = PORCUPINE.decode() * 2
    place = rng.randrange(len(text))
    data = (text[:place] + noise + text[place + rng.randrange(3) :]).encode()
    found = [read_or_refused(data), read_or_refused(b"#_nothing " + data)]
    assert found[0] == found[1]


def read_or_refused(data: bytes) -> History | str:
    try:
        return FORMATS["porcupine"](data, "f")
    except HistoryError as error:
        return str(error)


REGISTER = b"".join(
    b"INFO  jepsen.util - %d\t:invoke\t:cas\t[%d %d]\nINFO  jepsen.util - %d\t:ok\t:cas\t[%d %d]\n"
    % (each % 5, each % 3, each % 4, each % 5, each % 3, each % 4)
    for each in range(200)
)
KEYS = b"".join(
    b'{:process %d, :type :invoke, :f :get, :key "%d", :value nil}\n'
    b'{:process %d, :type :ok, :f :get, :key "%d", :value "x %d y"}\n'
    % (each % 5, each % 7, each % 5, each % 7, each)
    for each in range(200)
)
LINES = b"".join(
    b'{"type":"invoke","process":%d,"f":"get","value":{"key":"a"}}\n'
    b'{"type":"ok","process":%d,"f":"get","value":{"key":"a","value":"%d"}}\n' % (each % 5, each % 5, each)
    for each in range(200)
)


@pytest.mark.parametrize(
    ("format_name", "data", "most"),
    [("jepsen", REGISTER, 11.1), ("porcupine", KEYS, 14.6), ("ours", LINES, 10.1)],
)
def test_a_line_costs_few_calls(format_name: str, data: bytes, most: float) -> None:
    # time is the machine's; the number of functions called is the reader's
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    FORMATS[format_name](data, "f")
    sys.setprofile(count)
    try:
        FORMATS[format_name](data, "f")
    finally:
        sys.setprofile(None)
    assert calls / len(data.splitlines()) < most


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_long_file_is_never_in_memory_as_a_whole(is_compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with gzip.open(path, "wb") if is_compressed else path.open("wb") as file:
        file.write(b'\xef\xbb\xbf{"type": "invoke", "process": 0, "f": "get", "value": {"key": "a"}}\r\n')
        file.writelines(b" " * 1_000_000 + b"\n" for _ in range(30))
        file.write(b'{"type": "ok", "process": 0, "f": "get", "value": {"key": "a", "value": ""}}\r')
        file.write(b'{"type": "invoke", "process": 1, "f": "get", "value": {"key": "a"}}')
    tracemalloc.start()
    try:
        history = load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history.operations) == 2
    assert history.lines == (1, 32, 33)
    assert peak < 10_000_000


def test_a_compressed_file_that_is_cut_off_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(LINES)[:-20])
    with pytest.raises(HistoryError, match="compressed with gzip, and damaged: "):
        load(path)
