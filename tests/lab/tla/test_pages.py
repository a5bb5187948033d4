"""The specification's page and its races say what is there."""

from __future__ import annotations

import re
from pathlib import Path

from lab.tla.models import read_models
from lab.tla.races import programs_of
from payments_verify.payments.scenarios.named import NAMED
from tests.docs.pages import names, rows, section
from tests.support.tla import FOLDER, tlc

PAGE = (FOLDER / "README.md").read_text()
MODELS = read_models(FOLDER)


def test_the_page_has_every_count() -> None:
    shown = {cells[0].strip("`"): cells[2:] for cells in rows(section(PAGE, "## The counts"))}
    expected = {
        model.name: [f"{model.states:,}", f"{model.generated:,}", f"{model.depth:,}"]
        for model in MODELS.values()
    }
    assert shown == expected


def test_the_page_has_every_weakened_model_with_what_it_violates() -> None:
    shown = {cells[0].strip("`"): cells[2] for cells in rows(section(PAGE, "## Weakened protocols"))}
    assert shown.keys() == {model.name for model in MODELS.values() if model.violates}
    for name, anomaly in shown.items():
        assert f"({MODELS[name].violates.removesuffix('AtTheEnd')})" in anomaly


def test_the_page_has_every_module() -> None:
    linked = set(re.findall(r"\]\((\w+\.\w+)\)", section(PAGE, "## How to read it")))
    assert linked == {path.name for path in FOLDER.iterdir() if path.suffix in (".tla", ".toml")}


def test_commands_name_models_that_there_are() -> None:
    asked = [line for line in PAGE.splitlines() if "tla counterexample" in line or "tla check every" in line]
    assert len(asked) == 2
    for line in asked:
        words = line.partition("#")[0].partition(" tla ")[2].split()[1:]
        assert set(words) <= {*MODELS, "graph"}
    assert all(
        name in MODELS
        for name in names(section(PAGE, "## Weakened protocols"))
        if "-" in name and " " not in name
    )


def test_a_race_does_what_its_scenario_does(tmp_path: Path) -> None:
    """Each scenario's processes, put into words anew, are those of the race of its model."""
    assumed = []
    for model in MODELS.values():
        if model.scenario:
            race = re.search(r"Programs <- (\w+)", (FOLDER / model.configuration).read_text())
            assert race is not None
            assumed.append(f"ASSUME {race[1]} = {programs_of(NAMED[model.scenario])}")
    assert len(assumed) > 20
    values = tmp_path / "Named.cfg"
    values.write_text((FOLDER / "races" / "capture-during-authorize.cfg").read_text())
    module = tmp_path / "Named.tla"
    lines = "\n".join(assumed)
    module.write_text(f"---- MODULE Named ----\nEXTENDS Races\n{lines}\n====\n")
    found = tlc().run(module, values)
    assert found.error is None, found.error
    wrong = lines.replace("SameKeyTwice", "DifferentKeys", 1)
    module.write_text(f"---- MODULE Named ----\nEXTENDS Races\n{wrong}\n====\n")
    assert "Assumption" in str(tlc().run(module, values).error)
