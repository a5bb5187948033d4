"""How a program of this environment is called from the folder that the reader is in: what hints print."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

TO_VERIFY = "To verify: pip install 'CHECKOUT[verify]', with the folder of payments-core's sources"
"""What helps where a package is missing."""


def command_line(*arguments: object, program: str = "payments-verify", folder: Path | None = None) -> str:
    """Return a command line that runs as it is pasted, whether or not the environment is on the PATH.

    Args:
        arguments: the program's.
        program: one of this environment.
        folder: where it is pasted; the current folder if not given.
    """
    here = Path.cwd() if folder is None else folder.absolute()
    script = Path(sys.executable).with_name(program)
    found = shutil.which(program)
    if not script.exists() or (found is not None and script.samefile(found)):
        shown = program
    elif script.is_relative_to(here):
        shown = str(script.relative_to(here))
    else:
        shown = str(script)
    return shlex.join([shown, *map(str, arguments)])
