"""specs/operations.md lists exactly the settings and the metrics that there are."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from tests.docs.pages import ROOT, names, rows, section

OPERATIONS = (ROOT / "specs" / "operations.md").read_text()


def documented(page: str) -> dict[str, str]:
    """The settings of the page and their defaults, as they are written there."""
    return {
        names(row[0])[0]: (names(row[1]) or [row[1]])[0] for row in rows(section(page, "## Settings")) if row
    }


def defined() -> dict[str, str]:
    """The settings of the code and their defaults, in the page's words."""
    return {
        str(field.validation_alias or f"PAYMENTS_{name.upper()}"): written(field.default)
        for name, field in Settings.model_fields.items()
    }


def written(default: object) -> str:
    match default:
        case None:
            return "none"
        case "":
            return "empty"
        case bool():
            return "yes" if default else "no"
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def test_the_settings() -> None:
    assert documented(OPERATIONS) == defined()


def test_a_setting_that_is_left_out_or_differs_is_missed() -> None:
    assert "| `PAYMENTS_POOL_MAX` | `10` |" in OPERATIONS
    for instead in ("| `PAYMENTS_POOL_MAX` | `11` |", "| `PAYMENTS_POOL_MOST` | `10` |"):
        page = OPERATIONS.replace("| `PAYMENTS_POOL_MAX` | `10` |", instead)
        assert documented(page) != defined()


def test_every_setting_is_explained_where_it_is_defined() -> None:
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
        assert used <= set(defined())


def words(file: Path) -> list[str]:
    lines = [line for line in file.read_text().splitlines() if not line.strip().startswith("#")]
    return "".join(c if c.isalnum() or c == "_" else " " for c in "\n".join(lines)).split()
