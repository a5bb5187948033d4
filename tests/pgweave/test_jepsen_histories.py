"""What Jepsen's tests write: each file is read for what it means, or refused by name; no line is lost."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from tests.support.peer_histories import needs_peers, peer_verdicts

LOG = "INFO  jepsen.util - "
NEW = "2026-01-02 03:04:05,678{GMT}\tINFO\t[jepsen worker 0] jepsen.util: "
FAILED_CAS = "0 :invoke :write 1\n0 :ok :write 1\n0 :invoke :cas [1 2]\n0 :fail :cas [1 2]\n"
STALE = "0 :invoke :write 1\n0 :ok :write 1\n1 :invoke :read nil\n1 :ok :read nil\n"
FRESH = STALE.replace("1 :ok :read nil", "1 :ok :read 1")
MAPS = """\
{:type :invoke, :f :write, :value 1, :process 0, :time 10, :index 0}
{:process 0, :index 1, :time 20, :type :ok, :value 1, :f :write}
#jepsen.history.Op{:index 2, :time 30, :type :invoke, :process 1, :f :read, :value nil}
{:index 3 :process :nemesis, :type :info, :f :start, :value {"n1" #{"n2" "n3"}, [1 2.5] \\a}}
{:type :ok :f :read :value 1 :process 1 :time 40 :index 4 \
 :error {:cause #inst "2026-01-01" :at #object[a.b 0x1f "x"]}}
"""


def prefixed(log: str, prefix: str = LOG) -> str:
    return "".join(prefix + line for line in log.splitlines(keepends=True))


def check(folder: Path, content: str | bytes, *arguments: str, name: str = "history") -> Result:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CliRunner().invoke(app, ["history", str(path), *arguments])


def verdict(result: Result) -> str:
    """The verdict, or what was said in its stead."""
    if result.exit_code == 2:
        return result.stderr.partition("/history")[2].strip()
    return {0: "holds", 1: "violated"}[result.exit_code]


@pytest.mark.parametrize(("spec", "expected"), [("cas-register", "holds"), ("etcd", "violated")])
@pytest.mark.parametrize("prefix", ["", LOG, NEW])
def test_a_failed_compare_and_set_has_the_specifications_meaning(
    prefix: str, spec: str, expected: str, tmp_path: Path
) -> None:
    assert verdict(check(tmp_path, prefixed(FAILED_CAS, prefix), "--spec", spec)) == expected


def test_jepsens_meaning_is_the_one_without_a_name(tmp_path: Path) -> None:
    assert verdict(check(tmp_path, FAILED_CAS)) == "holds"


@needs_peers
def test_the_etcd_logs_have_their_verdicts_as_etcd_too() -> None:
    known = {path: found for path, found in peer_verdicts().items() if path.parent.name == "jepsen"}
    for wanted, code in (("holds", 0), ("violated", 1)):
        files = [str(path) for path, found in known.items() if found == wanted]
        result = CliRunner().invoke(app, ["history", "--spec", "etcd", *files])
        assert result.exit_code == code
        assert result.stdout.count(f": {wanted} (") == len(files) > 5


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        LOG,
        NEW,
        "INFO jepsen.util - ",
        "2026-01-02T03:04:05.678Z INFO  [jepsen worker 3] jepsen.util - ",
        "12:00:01 ",
        "jepsen worker 0 - ",
        "\t",
        "WARN  some.other.logger - ",
    ],
)
@pytest.mark.parametrize(("log", "expected"), [(FRESH, "holds"), (STALE, "violated")])
def test_an_operation_is_read_after_any_prefix(prefix: str, log: str, expected: str, tmp_path: Path) -> None:
    assert verdict(check(tmp_path, prefixed(log, prefix))) == expected
    # also where one line alone has it, wherever it stands
    lines = prefixed(log).splitlines(keepends=True)
    for number in range(len(lines)):
        bare = lines[number].removeprefix(LOG)
        mixed = "".join([*lines[:number], prefix + bare, *lines[number + 1 :]])
        assert verdict(check(tmp_path, mixed)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FRESH.replace("1 :ok :read 1", "1 :info :read nil :timeout"), "holds"),
        (FRESH.replace("1 :ok :read 1", "1 :fail :read :timed-out"), "holds"),
        (FRESH.replace("1 :ok :read 1", '1\t:info\t:read\tnil\t{:error "Connection (refused [x"}'), "holds"),
        (FRESH.replace("1 :ok :read 1", "1\t:fail\t:read\tnil\tindeterminate: [no) answer"), "holds"),
        (FRESH.replace(":read nil", ":read 1"), "holds"),
        (
            STALE.replace(":invoke :read nil", ":invoke :read 1"),
            ":4: read is invoked with 1 and answers None",
        ),
        (FRESH.replace("0 :ok :write 1", "0 :ok :write 2"), ":2: write is invoked with 1 and answers 2"),
        (FRESH + ":nemesis :info :start [1 2\n", "holds"),
        (":nemesis :info :start nil\n:nemesis :info :stop nil\n", ": it has no operation of a client"),
        (prefixed(":nemesis\t:info\t:start\tnil\n"), ": it has no operation of a client"),
        (prefixed(FRESH) + "INFO  jepsen.core - Everything looks good!\n\tat x.y(z.java:3)\n", "holds"),
        (prefixed(FRESH) + "{:valid? true, :count 3, :op {:process 1, :type :ok, :f :read}}\n", "holds"),
        (FRESH + "Everything looks good!\n", ":5: no operation, and in this file operations stand alone"),
        (
            prefixed(FRESH) + "INFO  jepsen.util - 0 :ok\n",
            ":5: 'INFO  jepsen.util - 0 :ok' lacks something of",
        ),
        (FRESH + "0 :invoke :wri", ":5: '' is not one value"),
        (FRESH + "0 :inv", ":5: '0 :inv' lacks something of PROCESS :TYPE :F VALUE"),
        (FRESH + "0 :invoke :write", ":5: '' is not one value"),
        (FRESH + "0 :invoke :cas [1", ":5: [ is not closed before the end"),
        (FRESH + "0 :invoke :cas [1 2] 3", ":5: '[1 2] 3' is not one value"),
        (FRESH + "0 :invoke :write 1.0", ":5: 'write' '1.0' is none of read"),
        (FRESH + "0 :invoke :write true", ":5: 'write' 'true' is none of read"),
        (FRESH + "x :invoke :write 1", ":5: 'x :invoke :write 1' lacks something of"),
        (FRESH + ":client :invoke :write 1", ":5: process :client is neither a number nor :nemesis"),
        (FRESH + "-3 :invoke :write 1", ":5: process -3 is neither"),
        ("\ufeff" + FRESH, "holds"),
        ("\ufeff" + STALE, "violated"),
        (STALE.replace("\n", "\r\n"), "violated"),
        (FRESH.replace("\n", "\r"), "holds"),
        (STALE.encode("utf-16"), "violated"),
        (b"\xff\xfe\x00", ": its byte-order mark says UTF-16, and it is not"),
        (gzip.compress(STALE.encode(), mtime=0), "violated"),
        (gzip.compress(STALE.encode(), mtime=0)[:-9], ": compressed with gzip, and damaged"),
        ("", ": the file is empty"),
        ("\ufeff", ": the file is empty"),
    ],
)
def test_a_log_is_read_or_refused_by_name(content: str | bytes, expected: str, tmp_path: Path) -> None:
    assert verdict(check(tmp_path, content)).startswith(expected)


KEYS = """\
0 :invoke :write [x 1]
1 :invoke :write [y 2]
0 :ok :write [x 1]
1 :ok :write [y 2]
0 :invoke :cas [x [1 3]]
0 :ok :cas [x [1 3]]
1 :invoke :read [y nil]
1 :ok :read [y 2]
"""


@pytest.mark.parametrize(("x", "y"), [("7", "8"), ('"a"', ":a"), ("1", '"1"')])
def test_registers_are_told_apart_by_their_keys(x: str, y: str, tmp_path: Path) -> None:
    log = KEYS.replace("x", x).replace("[y", f"[{y}")
    assert verdict(check(tmp_path, log)) == "holds"
    assert verdict(check(tmp_path, log.replace(f":ok :read [{y} 2]", f":ok :read [{y} 3]"))) == "violated"
    other = check(tmp_path, log.replace(f":ok :read [{y} 2]", f":ok :read [{x} 3]"))
    assert verdict(other).startswith(":8: read is invoked with")


def test_one_register_and_several_do_not_mix(tmp_path: Path) -> None:
    found = verdict(check(tmp_path, KEYS.replace("x", "7").replace("y", "8") + "0 :invoke :write 4\n"))
    assert found.startswith(":9: write 4: ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (MAPS, "holds"),
        (MAPS.replace(":read :value 1", ":read :value nil"), "violated"),
        (f"; a comment\n[{MAPS}]", "holds"),
        (f"({MAPS})", "holds"),
        (f"#_{{:not :this}}\n{MAPS}", "holds"),
        (MAPS.replace("{:type :invoke", "{:type #_:ok :invoke"), "holds"),
        (gzip.compress(MAPS.replace(":read :value 1", ":read :value nil").encode(), mtime=0), "violated"),
        (MAPS.encode("utf-16"), "holds"),
        (MAPS.replace(":value 1,", ":value 1.0,"), ":1: 'write' '1.0' is none of"),
        (MAPS.replace(":value 1,", ":value true,"), ":1: 'write' 'true' is none of"),
        (MAPS.replace(":value 1,", ":value #foo/bar 1,"), ":1: 'write' '#foo/bar 1' is none of"),
        (MAPS.replace(":f :write", ":f :txn"), ":1: 'txn' '1' is none of read"),
        (MAPS.replace(":type :invoke, :f", ":f"), ":1: the operation has no :type"),
        (MAPS.replace(":type :ok, :value 1", ":type :ok, :value 1, :value 2"), ":2: :value stands twice"),
        (MAPS.replace(":index 2", ":index 1"), ":3: its :index is 1, and one before it has 1"),
        (MAPS[:-3], ":5: { is not closed before the end"),
        (f"[{MAPS}", ":6: the EDN ends in the middle"),
        (f"[{MAPS}]\n{MAPS}", ":7: '{' follows the end of the vector"),
        (MAPS + "[1 2]\n", ":6: [1 2] is no operation"),
        (MAPS + "]", ":6: ']' begins no form"),
        (MAPS.replace(":process 1", ":process 1.5"), ":3: process 1.5 is neither a number"),
        (MAPS.encode() + b"\xff", ":6: 'utf-8' codec"),
        ("[]", ": it has no operation of a client"),
        ("; nothing\n", ": it has no operation of a client"),
        ("{:process :nemesis, :type :info, :f :start, :value nil}", ": it has no operation of a client"),
        ("{:a " * 100_000, ":1: the EDN is nested too deeply"),
    ],
)
def test_a_history_edn_is_read_or_refused_by_name(
    content: str | bytes, expected: str, tmp_path: Path
) -> None:
    assert verdict(check(tmp_path, content)).startswith(expected)


def test_big_numbers_are_told_apart(tmp_path: Path) -> None:
    big = 2**53
    log = FRESH.replace(":write 1", f":write {big}").replace(":read 1", f":read {big + 1}")
    assert verdict(check(tmp_path, log)) == "violated"
    assert verdict(check(tmp_path, log.replace(str(big + 1), f"{big}N"))) == "holds"


def test_porcupines_maps_may_have_their_keys_in_any_order(tmp_path: Path) -> None:
    lines = (
        '{:process 0, :type :invoke, :f :put, :key "k", :value "1"}\n'
        '{:type :ok, :f :put, :process 0, :key "k", :value "1"}\n'
        '{:value nil :key "k" :f :get :type :invoke :process 1}\n'
        '{:value "%s" :key "k" :f :get :type :ok :process 1}\n'
    )
    assert verdict(check(tmp_path, lines % "1")) == "holds"
    assert verdict(check(tmp_path, lines % "")) == "violated"


@pytest.mark.parametrize(
    "content", [", \n" * 100_000 + "x", "[, \n" + ";x\n" * 100_000 + "x", "0 :ok :read " + "1 " * 10_000_000]
)
def test_a_long_file_that_is_no_history_is_refused_at_once(content: str, tmp_path: Path) -> None:
    done = check(tmp_path, content)
    assert done.exit_code == 2
    assert len(done.stderr) < 1_000
