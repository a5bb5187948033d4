"""The check of the site finds what a page would load from elsewhere; links to what is no page are names."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import ROOT


def tool(name: str) -> ModuleType:
    """A script of tools/site, imported by its path: it belongs to no package."""
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "tools" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>', ["a.html: https://cdn.example/x.js"]),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/f">', ["a.html: //fonts.example/f"]),
        ("a.html", '<img src="http://pictures.example/p.png">', ["a.html: http://pictures.example/p.png"]),
        ("a.html", '<link rel="canonical" href="https://here.example/">', []),
        ("a.html", '<a href="https://www.rfc-editor.org/">RFC</a><img src="b.svg">', []),
        ("a.css", "@import 'https://fonts.example/f.css';", ["a.css: https://fonts.example/f.css"]),
        ("a.css", "b { background: url(//x.example/y.png) }", ["a.css: //x.example/y.png"]),
        ("a.css", "b { background: url(y.png) }", []),
    ],
)
def test_what_is_loaded_from_elsewhere(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    (tmp_path / name).write_text(text)
    assert tool("check").foreign(tmp_path) == found


def test_links_to_what_is_no_page_are_names(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.write_text("[code](model/step.py), [other](other.md#there), [far](https://x.example), ![p](p.svg)")
    text = tool("assemble").standing_alone(page, {page, other})
    assert text == "code, [other](other.md#there), [far](https://x.example), ![p](p.svg)"
