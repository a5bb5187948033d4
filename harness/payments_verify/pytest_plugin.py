"""The harness from a test suite of another project: `pytest --payments-url URL` or `--payments-command CMD`.

The plugin adds options, and nothing else until one of the two is given. Then it adds tests beside those that
pytest finds: one for each of the first three levels, and at levels 4 and 5 one for each scenario. Each fails
with its counterexample; what the binding keeps from being checked stands in the header of the report. JUnit
reports are pytest's own; each test has as properties how many cases it rests on, and the seed.

Fixtures: ``payments_subject`` is the service, as an `Examination`, and
``payments_examine`` examines it at one level with the options of the command line.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from payments_verify.pytest_options import add_options, check_server

if TYPE_CHECKING:
    from payments_verify.payments.conformance.examination import Examination
    from payments_verify.payments.conformance.levels import LevelResult

_SUBJECT = pytest.StashKey["Opened"]()
_BLACK_BOX = (1, 2, 3)


@dataclass
class Opened:
    """The service of a session, opened when it is first asked for."""

    config: pytest.Config
    stack: ExitStack
    examination: Examination | None = None

    def __call__(self) -> Examination:
        """The service; with a database server of the harness's own where the harness starts it.

        Raises:
            UsageError: there is none to be had.
        """
        import psycopg  # noqa: PLC0415 - see _open

        if self.examination is None:
            try:
                self.examination = self.stack.enter_context(_open(self.config))
            except (RuntimeError, OSError, psycopg.Error) as error:
                raise pytest.UsageError(f"payments: {_in_one_line(error)}") from None
        return self.examination


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Take part only where a service is named.

    Raises:
        UsageError: two are named, a server is for none that is started, or the binding file is none.
    """
    url, command = config.getoption("--payments-url"), config.getoption("--payments-command")
    if url is not None and command is not None:
        raise pytest.UsageError("name the service by one of --payments-url and --payments-command")
    check_server(config.getoption("--payments-server"), command)
    if url is not None or command is not None:
        _binding(config)
        if config.getoption("--payments-seed") is None:
            config.option.payments_seed = secrets.randbelow(1_000_000)
        config.stash[_SUBJECT] = Opened(config, ExitStack())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was opened."""
    opened = config.stash.get(_SUBJECT, None)
    if opened is not None:
        opened.stack.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is examined, and what cannot be."""
    opened = config.stash.get(_SUBJECT, None)
    if opened is None:
        return []
    examination = opened()
    seed = config.getoption("--payments-seed")
    return [
        f"payments: {examination.name}, seed {seed}",
        *(f"payments, not checked: {each}" for each in examination.unchecked),
    ]


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the tests of the service."""
    opened = session.config.stash.get(_SUBJECT, None)
    if opened is not None:
        collector = Conformance.from_parent(
            session, name="payments", nodeid="payments", levels=_levels(session.config, opened())
        )
        report = session.config.hook.pytest_make_collect_report(collector=collector)
        session.config.hook.pytest_collectreport(report=report)  # so that they are counted
        items.extend(report.result)


def _levels(config: pytest.Config, examination: Examination) -> tuple[int, ...]:
    """The levels to be examined.

    Raises:
        UsageError: the last is none that there is for the service.
    """
    levels = _BLACK_BOX if examination.open_behind_gate is None else (*_BLACK_BOX, 4, 5)
    asked: int | None = config.getoption("--payments-level")
    last = levels[-1] if asked is None else asked
    if last not in levels:
        raise pytest.UsageError(f"--payments-level: there are {levels[0]} to {levels[-1]} for this service")
    return levels[:last]


@pytest.fixture(scope="session")
def payments_subject(request: pytest.FixtureRequest) -> Examination:
    """The service that is examined; the test is an error where none is named."""
    opened = request.config.stash.get(_SUBJECT, None)
    if opened is None:
        raise pytest.UsageError("name a service: --payments-url URL or --payments-command CMD")
    return opened()


@pytest.fixture(scope="session")
def payments_examine(
    pytestconfig: pytest.Config, payments_subject: Examination
) -> Callable[[int], LevelResult]:
    """Examines the service at one level, as the options say, and gives the result."""
    return partial(_examined, pytestconfig, payments_subject)


class Conformance(pytest.Collector):
    """The tests of a service: one for each level, and for each scenario."""

    def __init__(self, *, levels: tuple[int, ...], **arguments: Any) -> None:  # noqa: ANN401 - pytest's
        super().__init__(**arguments)
        self._levels = levels

    def collect(self) -> Iterator[pytest.Item]:
        """The tests up to the level asked for, in their order."""
        examination = self.config.stash[_SUBJECT]()
        for level in self._levels:
            for name, part in _parts(examination, level):
                yield LevelItem.from_parent(self, name=name, level=level, examination=part)


def _parts(examination: Examination, level: int) -> Iterator[tuple[str, Examination]]:
    """What is a test of its own at a level: the level, or each of its scenarios."""
    if level == 4:
        for scenario in examination.scenarios:
            part = replace(examination, scenarios=(scenario,), on_two=None)
            yield f"level-4[{scenario.name}]", part
        if (two := examination.on_two) is not None:
            for scenario in two.scenarios:
                on_two = replace(two, scenarios=(scenario,))
                yield f"level-4[{scenario.name}]", replace(examination, scenarios=(), on_two=on_two)
    elif level == 5:
        for plan in examination.fault_plans:
            part = replace(examination, fault_plans=(plan,), hangs_up=False, kills=False)
            yield f"level-5[{plan.scenario.name}]", part
        if examination.kills:
            yield "level-5[killed]", replace(examination, fault_plans=(), hangs_up=False)
        yield "level-5[disconnect]", replace(examination, fault_plans=(), kills=False)
    else:
        yield f"level-{level}", examination


class LevelItem(pytest.Item):
    """One level, or one scenario of it."""

    def __init__(self, *, level: int, examination: Examination, **arguments: Any) -> None:  # noqa: ANN401 - pytest's
        super().__init__(**arguments)
        self._level = level
        self._examination = examination
        self._result: LevelResult | None = None

    def setup(self) -> None:
        """Examine the level: what has no verdict, as where nothing starts, is then an error."""
        from payments_verify.payments.conformance.levels import LevelResult  # noqa: PLC0415 - see _open
        from payments_verify.result import ViolationFound  # noqa: PLC0415 - see _open

        self.user_properties.append(("payments_seed", self.config.getoption("--payments-seed")))
        result: LevelResult | None = None
        why = ""
        try:
            result = _examined(self.config, self._examination, self._level)
        except ViolationFound as found:
            result = LevelResult(self._level, "violated", (found.result,))
            if isinstance(found.__cause__, KeyboardInterrupt):
                self.session.shouldstop = "interrupted"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no failure of the service
            why = f"{type(error).__name__}: {error}"
        if result is None:
            _no_verdict(why)
        self.user_properties.append(("payments_cases", result.cases))
        if result.left_out is not None:
            self.user_properties.append(("payments_not_reached", result.left_out))
            self.add_report_section("setup", "payments, not reached", result.left_out)
        if result.verdict not in ("holds", "violated"):
            _no_verdict(result.reason or result.counterexample)
        self._result = result

    def runtest(self) -> None:
        """Tell what was found.

        Raises:
            NotConformingError: a violation.
        """
        if self._result is not None and self._result.verdict == "violated":
            raise NotConformingError(self._result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        """The counterexample alone; anything else as pytest shows it."""
        if isinstance(excinfo.value, NotConformingError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is, for reports."""
        return Path("payments"), None, self.name


class NotConformingError(AssertionError):
    """A level does not hold; the message is the counterexample."""

    def __init__(self, result: LevelResult) -> None:
        from pgweave.visible import visible  # noqa: PLC0415 - see _open

        super().__init__(visible(f"{result.verdict}: {result.reason or result.counterexample}"))


def _no_verdict(why: object) -> NoReturn:
    pytest.fail(f"no verdict: {_in_one_line(why)}", pytrace=False)


def _in_one_line(why: object) -> str:
    from pgweave.visible import one_line  # noqa: PLC0415 - see _open

    return one_line(" ".join(str(why).split()))


def _examined(config: pytest.Config, examination: Examination, level: int) -> LevelResult:
    from payments_verify.payments.conformance.examination import FULL, QUICK, examine_level  # noqa: PLC0415 - see _open

    return examine_level(
        examination,
        QUICK if config.getoption("--payments-quick") else FULL,
        level,
        folder=Path(config.getoption("--payments-output")),
        seed=config.getoption("--payments-seed"),
    )


def _binding(config: pytest.Config) -> Any:  # noqa: ANN401 - imported late, see _open
    from payments_verify.binding import BindingFileError, default_binding, load  # noqa: PLC0415

    file = config.getoption("--payments-binding")
    try:
        return default_binding() if file is None else load(Path(file))
    except BindingFileError as error:
        raise pytest.UsageError(str(error)) from None


def _open(config: pytest.Config) -> Any:  # noqa: ANN401 - a context manager of a Examination
    # Imported late: a suite that names no service loads nothing of the harness.
    from payments_verify.systems import examination_at, examination_of  # noqa: PLC0415

    url, binding = config.getoption("--payments-url"), _binding(config)
    if url is not None:
        return nullcontext(examination_at(url, binding))
    file = config.getoption("--payments-binding")
    return examination_of(
        config.getoption("--payments-command"),
        binding,
        server=config.getoption("--payments-server"),
        quick=config.getoption("--payments-quick"),
        binding_file=None if file is None else Path(file),
    )
