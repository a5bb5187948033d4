"""The system's Chromium; without it the modules that ask are skipped, and in CI they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.tools import CHROMIUM_NAMES, require_tool

CHROMIUM = require_tool(*CHROMIUM_NAMES, purpose="which shows pages")


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Run one for as long as the block does."""
    # Chromium has no sandbox for root, and in containers none for others either.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, *sandbox])
        yield browser
        browser.close()
