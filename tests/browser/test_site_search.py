"""The site's search runs from the file system, where browsers start no worker."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.docs.pages import ROOT
from tests.support.tools import CHROMIUM_NAMES, require_tool

CHROMIUM = require_tool(*CHROMIUM_NAMES, purpose="which shows the site")
WORKER = 'addEventListener("message", (event) => postMessage(`heard ${event.data}`));'
PAGE = """<!doctype html><body><script src="iframe-worker.js"></script><script>
window.heard = new Promise((resolve) => {
  const worker = new Worker("worker.js");
  worker.addEventListener("message", (event) => resolve(event.data));
  worker.postMessage("busy");
});
</script></body>"""


def test_a_worker_answers_from_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "iframe-worker.js").write_text((ROOT / "tools/site/iframe-worker.js").read_text())
    (tmp_path / "worker.js").write_text(WORKER)
    (tmp_path / "page.html").write_text(PAGE)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("window.heard") == "heard busy"
        browser.close()
