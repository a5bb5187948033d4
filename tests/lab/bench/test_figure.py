"""The figure: what it shows, and that each of its colours has another for dark."""

from __future__ import annotations

import importlib
import json
import re
from xml.etree import ElementTree as ET

import pytest

from lab.bench import figure
from lab.bench.searches import EXPLORER, Search, Searched

_SEARCHED = [
    Searched(
        bug="a bug, in two lines",
        scenario="different-keys",
        searches=[
            Search(how=EXPLORER, runs=3, found=True, seconds=0.1),
            Search(how="barrier", runs=2, found=True, seconds=0.1),
            Search(how="20 ms jitter", runs=17, found=True, seconds=0.1),
            Search(how="100 ms jitter", runs=100, found=False, seconds=0.1),
        ],
    )
]


def test_a_point_says_when_nothing_was_found() -> None:
    found, *_, given_up = figure.points(_SEARCHED)
    assert (found["kind"], found["runs"], found["end"], found["said"]) == (EXPLORER, 3, "found", "")
    assert (given_up["runs"], given_up["end"], given_up["said"]) == (100, "not found", ">100")


def test_every_colour_of_the_figure_has_one_for_dark() -> None:
    used = set(re.findall(r"#[0-9a-f]{6}", json.dumps(figure.chart(_SEARCHED))))
    assert used == set(figure.DARK)
    for light in used:
        assert f'[fill="{light}"]' in figure.style()


def test_every_kind_of_search_has_a_colour_and_a_shape() -> None:
    assert len(figure.KINDS) == len(figure.COLOURS) == len(figure.SHAPES)


def test_without_the_renderer_the_error_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "RENDERER", "no_such_renderer")
    with pytest.raises(figure.RendererMissingError, match="make bench-explore"):
        figure.draw(figure.chart(_SEARCHED))


def test_the_drawn_figure_is_one_svg_with_its_own_style(monkeypatch: pytest.MonkeyPatch) -> None:
    class Renderer:
        """Draws nothing: that the real one can draw is seen when it is run."""

        @staticmethod
        def vegalite_to_svg(_chart: object) -> str:
            return '<svg xmlns="http://www.w3.org/2000/svg" width="1"><g/></svg>'

    monkeypatch.setattr(importlib, "import_module", lambda _name: Renderer)
    root = ET.fromstring(figure.draw(figure.chart(_SEARCHED)))
    style, group = root
    assert style.tag.endswith("style")
    assert "prefers-color-scheme:dark" in str(style.text)
    assert group.tag.endswith("g")
