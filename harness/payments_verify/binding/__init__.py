"""Bindings: a file says how a service's HTTP expresses commands and outcomes; a client does as it says."""

from payments_verify.binding.client import BoundClient
from payments_verify.binding.file import BindingFileError, default_binding, default_text, load, parse
from payments_verify.binding.http import Http, HttpRequest, Response
from payments_verify.binding.openapi import read_document
from payments_verify.binding.own import outcomes_by_name, own_client
from payments_verify.binding.requests import Names
from payments_verify.binding.scaffold import scaffold
from payments_verify.binding.sections import Binding, Clock, Locking, Sweep, Values
from payments_verify.binding.variables import service_environment, with_variables

__all__ = [
    "Binding",
    "BindingFileError",
    "BoundClient",
    "Clock",
    "Http",
    "HttpRequest",
    "Locking",
    "Names",
    "Response",
    "Sweep",
    "Values",
    "default_binding",
    "default_text",
    "load",
    "outcomes_by_name",
    "own_client",
    "parse",
    "read_document",
    "scaffold",
    "service_environment",
    "with_variables",
]
