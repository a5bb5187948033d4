"""The charges of `examples/peers/charges`, for services of tests that change something about them."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from shlex import quote
from types import ModuleType
from typing import Any

import uvicorn

_ROOT = Path(__file__).parents[2]
_CHARGES = _ROOT / "examples" / "peers" / "charges" / "app.py"


def load_charges() -> ModuleType:
    """Their module, made anew; it reads the environment."""
    spec = importlib.util.spec_from_file_location("charges", _CHARGES)
    assert spec is not None
    assert spec.loader is not None
    charges = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(charges)
    return charges


def serve(app: Any) -> None:
    """Serve an application where the environment says."""
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")


def command_of(service: str) -> str:
    """The command that runs one of these services, a module of `tests.support`, wherever it is run."""
    return f"env {quote(f'PYTHONPATH={_ROOT}')} {sys.executable} -m tests.support.{service}"
