"""specs/operations.md lists exactly the settings and the metrics that there are."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from lab.static_checks.environment import check_defaults, documented
from lab.static_checks.shipped import defaults
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from tests.docs.pages import ROOT, names, rows, section

OPERATIONS = (ROOT / "specs" / "operations.md").read_text()


def test_the_settings() -> None:
    assert documented(OPERATIONS) == defaults()


def test_a_setting_that_is_left_out_or_differs_is_missed() -> None:
    assert "| `PAYMENTS_POOL_MAX` | `10` |" in OPERATIONS
    for instead in ("| `PAYMENTS_POOL_MAX` | `11` |", "| `PAYMENTS_POOL_MOST` | `10` |"):
        page = OPERATIONS.replace("| `PAYMENTS_POOL_MAX` | `10` |", instead)
        assert documented(page) != defaults()
        assert check_defaults(defaults(), page).problems


def test_every_setting_is_explained_where_it_is_defaults() -> None:
    explained = (Settings.__doc__ or "").partition("Attributes:")[2]
    listed = [line.strip().partition(":")[0] for line in explained.splitlines() if ": " in line]
    assert [name for name in listed if name in Settings.model_fields] == list(Settings.model_fields)


def test_the_metrics() -> None:
    table = {names(row[0])[0] for row in rows(section(OPERATIONS, "## Metrics"))}
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(Metrics().exposition().decode())
        if not family.name.endswith("_created")  # when a counter began, which comes with each
    }
    assert table == families


def test_what_the_image_and_the_composition_set_are_settings() -> None:
    for file in (ROOT / "docker" / "Dockerfile", ROOT / "compose.yml"):
        used = {word for word in words(file) if word.startswith("PAYMENTS_")}
        assert used
        assert used <= set(defaults())


def words(file: Path) -> list[str]:
    lines = [line for line in file.read_text().splitlines() if not line.strip().startswith("#")]
    return "".join(c if c.isalnum() or c == "_" else " " for c in "\n".join(lines)).split()
