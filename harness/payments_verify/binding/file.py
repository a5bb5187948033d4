"""Binding files: how another service's HTTP interface says what the model says.

A TOML file with the sections of `sections`, each explained in ``default_binding.toml``, which binds the
interface of this repository's own service. What a service lacks is left out, and is then not checked.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import structs

from payments_verify.binding.hooks import HookError, signer
from payments_verify.binding.problems import problems_of, unfilled_placeholders
from payments_verify.binding.sections import Binding
from payments_verify.binding.variables import unset_variables, with_known_variables


class BindingFileError(ValueError):
    """A file that is no binding; the message names the file, the key, and what is wrong with it."""


@cache
def default_binding() -> Binding:
    """The binding of this repository's own HTTP interface."""
    return parse(default_text(), "default_binding.toml")


def default_text() -> str:
    """The default binding file: also what a new one is begun from."""
    return resources.files(__package__).joinpath("default_binding.toml").read_text()


def load(path: Path) -> Binding:
    """Read a binding file.

    Raises:
        BindingFileError: it cannot be read, or is no binding.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BindingFileError(f"{path}: cannot be read: {error}") from None
    binding = parse(text, str(path))
    if binding.service.sign is None:
        return binding
    # A hook lies beside the file that names it.
    sign = str(path.resolve().parent / binding.service.sign)
    try:
        signer(sign)
    except HookError as error:
        raise BindingFileError(f"{path}: service.sign: {error}") from None
    return structs.replace(binding, service=structs.replace(binding.service, sign=sign))


def parse(text: str, name: str) -> Binding:
    """Parse a binding file's text.

    Args:
        text: TOML.
        name: the file's name, for messages.

    Raises:
        BindingFileError: it is no binding.
    """
    try:
        content = tomllib.loads(text)
        for key, variable in unset_variables(content):
            raise BindingFileError(f"{name}: {key}: names the variable {variable}, which is not set")
        binding = msgspec.convert(with_known_variables(content), Binding)
    except tomllib.TOMLDecodeError as error:
        raise BindingFileError(f"{name}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise BindingFileError(f"{name}: {str(error).replace('$.', '')}") from None
    for key, problem in chain(unfilled_placeholders(content), problems_of(binding)):
        raise BindingFileError(f"{name}: {key}: {problem}")
    return binding
