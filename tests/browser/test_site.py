"""The site from the file system: its search runs without a worker, identifiers and pictures stay legible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.docs.pages import ROOT
from tests.support.tools import CHROMIUM_NAMES, require_tool

CHROMIUM = require_tool(*CHROMIUM_NAMES, purpose="which shows the site")
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


@pytest.fixture
def page() -> Iterator[Page]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser.new_page(viewport={"width": 390, "height": 844})
        browser.close()


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
