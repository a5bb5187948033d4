"""The site from the file system: its search runs without a worker, identifiers and pictures stay legible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.docs.pages import ROOT

SITE = ROOT / "tools" / "site"
WORKER = 'addEventListener("message", (event) => postMessage(`heard ${event.data}`));'
PAGE = """<!doctype html><body><script src="iframe-worker.js"></script><script>
window.heard = new Promise((resolve) => {
  const worker = new Worker("worker.js");
  worker.addEventListener("message", (event) => resolve(event.data));
  worker.postMessage("busy");
});
</script></body>"""


NARROW = """<!doctype html><style>
.md-typeset code { word-break: break-word } .md-typeset img { max-width: 100% }
</style>
<link rel="stylesheet" href="site.css"><div class="md-typeset" style="width: 300px">
<table><tr><td><code>capture_window_expired</code></td><td><code>idempotency_key_reused</code></td></tr></table>
<p><img src="" width="900" height="300" alt=""></p></div>"""


PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80"><style>
rect { fill: #ffffff } @media (prefers-color-scheme: dark) { rect { fill: #000000 } }
</style><rect width="80" height="80"/></svg>"""
SWITCHED = """<!doctype html><link rel="stylesheet" href="site.css">
<body data-md-color-scheme="SCHEME"><p class="md-typeset"><img src="picture.svg"></p></body>"""


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 390, "height": 844})


def test_a_worker_answers_from_the_file_system(tmp_path: Path, page: Page) -> None:
    (tmp_path / "iframe-worker.js").write_text((SITE / "iframe-worker.js").read_text())
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "page.html").write_text(PAGE)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("window.heard") == "heard busy"


def test_on_a_narrow_screen_identifiers_are_whole_and_pictures_large(tmp_path: Path, page: Page) -> None:
    (tmp_path / "site.css").write_text((SITE / "site.css").read_text())
    (tmp_path / "page.html").write_text(NARROW)
    page.goto((tmp_path / "page.html").as_uri())
    lines = page.evaluate("[...document.querySelectorAll('code')].map((e) => e.getClientRects().length)")
    assert lines == [1, 1]
    assert page.evaluate("document.querySelector('img').getBoundingClientRect().width") > 600


@pytest.mark.parametrize("system", ["light", "dark"])
def test_pictures_follow_the_switch_and_not_the_system(
    tmp_path: Path, page: Page, system: Literal["light", "dark"]
) -> None:
    (tmp_path / "site.css").write_text((SITE / "site.css").read_text())
    (tmp_path / "picture.svg").write_text(PICTURE)
    page.emulate_media(color_scheme=system)
    seen = []
    for scheme in ("default", "slate"):
        (tmp_path / f"{scheme}.html").write_text(SWITCHED.replace("SCHEME", scheme))
        page.goto((tmp_path / f"{scheme}.html").as_uri())
        seen.append(page.locator("img").screenshot())
    assert seen[0] != seen[1]
    page.emulate_media(color_scheme="light")
    page.goto((tmp_path / "picture.svg").as_uri())
    shown = page.screenshot(clip={"x": 0, "y": 0, "width": 80, "height": 80})
    assert shown == seen[0]
