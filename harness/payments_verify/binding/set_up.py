"""Requests before those that are compared, whose answers are used in them: a customer, a card, an order."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from payments_verify.binding.answers import is_expected
from payments_verify.binding.http import Http, Response, document_of
from payments_verify.binding.requests import Names, writer_of
from payments_verify.binding.sections import Binding, SetUp
from payments_verify.binding.values import name_at
from payments_verify.payments.service.under_test import SetUpError


async def set_up(http: Http, binding: Binding, names: Names) -> None:
    """Send what has to come before everything else, and note what the answers name.

    Raises:
        SetUpError: there is no answer, or it is no success, or lacks what is to be noted.
    """
    for each in binding.setup:
        if each.before == "everything":
            try:
                names.saved |= await _saved(http, each, names.saved)
            except httpx.TransportError as error:
                told = f"setup: {each.request} was not answered: {type(error).__name__}"
                raise SetUpError(told) from None


async def set_up_payment(http: Http, binding: Binding, names: Names, payment: str) -> None:
    """Send what has to come before a payment is created.

    Raises:
        SetUpError: an answer is no success, or lacks what is to be noted.
        httpx.TransportError: there is none.
    """
    steps = [each for each in binding.setup if each.before == "create"]
    wanted = set[str]().union(*(each.save for each in steps))
    of_payment = names.saved_for.setdefault(payment, {})
    # Where the client chooses ids, creating again is the same request, also for those who do it at once.
    is_kept = binding.ids.chosen_by == "client"
    if is_kept and wanted and wanted <= of_payment.keys():
        return
    for each in steps:
        found = await _saved(http, each, names.saved | of_payment)
        of_payment.update(found | of_payment if is_kept else found)


async def _saved(http: Http, step: SetUp, known: Mapping[str, str | int]) -> dict[str, str | int]:
    method, path, headers, body = writer_of(step)(known)
    try:
        response = await http.request(method, path, headers=headers, json=body)
    except httpx.DecodingError as error:
        raise SetUpError(f"setup: the answer to {step.request} cannot be read: {error}") from None
    if not is_expected(response, step.answers):
        told = "; none of its answers in the binding is so" if step.answers else ""
        told = f"setup: {step.request} was answered {response.status_code}: {response.text}{told}"
        raise SetUpError(told, has_failed=response.status_code >= 500)
    return {name: _found(step, response, path_) for name, path_ in step.save.items()}


def _found(step: SetUp, response: Response, path: str) -> str | int:
    try:
        return name_at(document_of(response), path)
    except (ValueError, LookupError) as error:
        raise SetUpError(f"setup: the answer to {step.request}: {error}: {response.text}") from None
