"""Programs of the system that some tests need, found by name.

On a developer's machine a test whose tool is missing is skipped, and says which. In CI it fails: `.ci/run`
installs what `.ci/packages` lists.
"""

from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def require_tool(*names: str, purpose: str) -> str:
    """The path of the first of these programs that the machine has; the test or module that asks needs it.

    Also looks where Debian keeps the programs of services, which is not on every account's PATH.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    missing = f"{names[0]}, {purpose}, is not installed"
    if os.environ.get("CI"):
        pytest.fail(f"{missing}, and CI must not skip: add its package to .ci/packages", pytrace=False)
    pytest.skip(missing, allow_module_level=True)
