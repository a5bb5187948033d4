"""The contract of the HTTP interface: an OpenAPI document, and pages for people, made from the types."""

from payments_core.entrypoints.http.contract.docs_page import docs_page
from payments_core.entrypoints.http.contract.document import openapi, openapi_json
from payments_core.entrypoints.http.contract.problem_pages import markdown_pages

__all__ = ["docs_page", "markdown_pages", "openapi", "openapi_json"]
