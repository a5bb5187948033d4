"""A key that is the whole account's, sent for two payments at once: one of them has it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from payments_verify.binding import parse
from payments_verify.payments.exploration.scenario import ExploredScenario, explore_scenario
from payments_verify.payments.scenarios.named import ONE_KEY_TWO_PAYMENTS
from payments_verify.systems import empty_databases, started_service
from payments_verify.systems.examinations import examination_of
from pgweave.interleavings.source_dpor import SourceDPOR
from tests.conformance.test_peers import BINDING
from tests.support.charges import command_of
from tests.support.postgres import chosen_bin_dir

COMMAND = f"exec {command_of('account_service')}"
OF_ACCOUNT = parse(f'{BINDING.read_text()}\n[keys]\nscope = "account"\n', "mine.toml")


@pytest.mark.parametrize("bug", ["", "1"])
def test_a_key_that_is_looked_up_before_it_is_claimed_captures_two(
    bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUG", bug)

    async def main() -> ExploredScenario:
        async with started_service(COMMAND, OF_ACCOUNT, new, behind_gate=True) as gated:
            return await explore_scenario(ONE_KEY_TWO_PAYMENTS, gated, SourceDPOR, tmp_path)

    with empty_databases(chosen_bin_dir()) as new:
        found = asyncio.run(main())
    assert found.verdict == ("violated" if bug else "holds"), found.problem
    assert ("has captured two payments" in str(found.problem)) == bool(bug)
    assert bug or found.report.schedules > 1


def test_it_is_a_scenario_of_level_4_where_keys_are_the_accounts() -> None:
    with examination_of(COMMAND, OF_ACCOUNT, chosen_bin_dir(), highest=1) as examination:
        assert ONE_KEY_TWO_PAYMENTS in examination.scenarios
