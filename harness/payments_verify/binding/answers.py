"""What answers say in the model's terms, as a binding says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from payments_verify.binding.http import NotJsonError, Response, document_of
from payments_verify.binding.requests import Names
from payments_verify.binding.sections import (
    AnswerSection,
    Binding,
    Expected,
    Presence,
)
from payments_verify.binding.values import name_at, read_amount, read_instant, value_at, word_of
from payments_verify.binding.views import AttemptsView, Flag, Scalar
from payments_verify.payments.observed.observations import (
    FIELDS_OF_STATE,
    NOTHING_DONE,
    OUTCOME_NAMED,
    PAYMENT_FIELDS,
    WINDOW_FIELDS,
    Invocation,
    Observation,
    UnreadableAnswerError,
    View,
    answered_as,
    is_success,
)


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers.

    Attributes:
        binding: the service's interface.
        names: what the service calls things: those of its own choice are noted here.
        dated: whether instants are read.
    """

    binding: Binding
    names: Names
    dated: bool = True

    def read(self, invocation: Invocation, response: Response) -> Observation:
        """What a response says.

        Raises:
            UnreadableAnswerError: it is none that the binding knows.
        """
        if response.status_code >= 500:
            seen = {"status": response.status_code, "body": response.text}
            denied = {NOTHING_DONE: True} if is_expected(response, self.binding.nothing_done) else {}
            return Observation("unknown", {**seen, **denied})
        try:
            outcomes, document = self._said(invocation.f, response)
            seen = self._seen(invocation, outcomes, response, document)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise UnreadableAnswerError(
                f"{invocation.f} {dict(invocation.value)} got an answer that cannot be read ({error}): "
                f"{response.status_code} {response.text!r}"
            ) from error
        if len(outcomes) > 1:
            seen["also"] = list(outcomes[1:])
        return answered_as(outcomes[0], **seen)

    def _said(self, f: str, response: Response) -> tuple[Sequence[str], Any]:
        """The outcomes that a response may stand for, and its body.

        A refusal that the binding tells by its status alone may have any body: text, or a page.
        """
        try:
            document = document_of(response)
        except NotJsonError:
            for answer in self._answers.get((f, response.status_code), ()):
                if not answer.where and not any(map(is_success, answer.outcomes)):
                    return answer.outcomes, None
            raise
        return self._outcomes_of(f, response.status_code, document), document

    @cached_property
    def _answers(self) -> Mapping[tuple[str, int], Sequence[AnswerSection]]:
        """The answers to each command by their status, in the order in which they are looked at."""
        found: defaultdict[tuple[str, int], list[AnswerSection]] = defaultdict(list)
        for f, command in self.binding.commands.items():
            for answer in (*command.answers, *self.binding.answers):
                found[f, answer.status].append(answer)
        return found

    def _outcomes_of(self, f: str, status: int, document: Any) -> Sequence[str]:  # noqa: ANN401
        for answer in self._answers.get((f, status), ()):
            if fits(document, answer):
                return answer.outcomes
        raise ValueError(
            "no answer of the binding has this status and body: look first whether the binding lacks one"
        )

    def _seen(
        self,
        invocation: Invocation,
        outcomes: Sequence[str],
        response: Response,
        document: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        f = invocation.f
        if f == "capture":
            return self._seen_of_capture(response, document)
        # A refusal may have the status of a success, as in RPC.
        if not any(is_success(each) for each in outcomes):
            return {}
        command = self.binding.commands[f]
        if command.id is not None and not {"created", "exists"}.isdisjoint(outcomes):
            self.names.payments[invocation.value["payment"]] = name_at(document, command.id)
        if f == "attempts" and self.binding.attempts is not None:
            view = self.binding.attempts
            # Where a list of nothing is no list, as in Go, it is null.
            stored = value_at(document, view.items)
            return {"attempts": [self._attempt(view, each) for each in ([] if stored is None else stored)]}
        if not command.shows_payment:
            return {}
        seen: dict[str, Any] = {"payment": self._payment(document)}
        as_of = self.binding.payment.as_of
        if as_of is not None and self.dated:
            seen["as_of"] = read_instant(value_at(document, as_of), self.binding.values)
        return seen

    def _seen_of_capture(self, response: Response, document: Any) -> dict[str, Any]:  # noqa: ANN401
        view = self.binding.capture
        seen: dict[str, Any] = {}
        if view.replayed is not None:
            seen["replayed"] = _is_set(view.replayed, response, document)
        if view.body == "same bytes":
            seen["body"] = response.text
        decided = (value_at(document, path, None) for path in view.decided_at)
        first = next((each for each in decided if each is not None), None)
        if first is not None and self.dated:
            seen["decided_at"] = read_instant(first, self.binding.values)
        return seen

    def _attempt(self, view: AttemptsView, stored: Any) -> View:  # noqa: ANN401 - any JSON value
        key = str(name_at(stored, view.key))
        shown: View = {"key": self.names.keys.get(key, key)}
        if view.amount is not None:
            shown["amount"] = read_amount(value_at(stored, view.amount), self.binding.values)
        if view.outcome is not None:
            shown["outcome"] = _named_outcome(view, stored)
        if view.decided_at is not None and self.dated:
            shown["decided_at"] = read_instant(value_at(stored, view.decided_at), self.binding.values)
        return shown

    def _payment(self, document: Any) -> View:  # noqa: ANN401 - any JSON value
        """The payment in a document, with the fields that its state has and the binding knows.

        Raises:
            ValueError: if a field is set that the state does not have.
        """
        view = self.binding.payment
        state = _ours(view.states, value_at(document, view.state), "payment.states")
        shown: View = {"state": state}
        fail = self.binding.commands.get("fail")
        may_lack_window = state == "failed" and fail is not None and fail.from_pending
        for name, path in self._paths_of_fields:
            if may_lack_window and name in WINDOW_FIELDS:
                continue
            if name in FIELDS_OF_STATE[state]:
                if self.dated or not name.endswith("_at"):
                    shown[name] = self._field(state, name, path, document)
            elif view.only_in_their_states and value_at(document, path, None) is not None:
                raise ValueError(f"a {state} payment has no {name}")
        return shown

    @cached_property
    def _paths_of_fields(self) -> Sequence[tuple[str, str]]:
        paths = [(name, getattr(self.binding.payment, name)) for name in PAYMENT_FIELDS if name != "state"]
        return [(name, path) for name, path in paths if path is not None]

    def _field(self, state: str, name: str, path: str, document: Any) -> Any:  # noqa: ANN401 - any JSON value
        try:
            value = value_at(document, path)
            if name == "reason":
                return _ours(self.binding.payment.reasons, value, "payment.reasons")
            read = read_instant if name.endswith("_at") else read_amount
            return read(value, self.binding.values)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"payment.{name}, which a {state} payment has, at {path!r}: {error}") from error


def _ours(names: Mapping[str, str], theirs: Any, key: str) -> str:  # noqa: ANN401 - any JSON value
    ours = names.get(word_of(theirs))
    if ours is None:
        raise ValueError(f"{key} of the binding has no name for {theirs!r}")
    return ours


def _named_outcome(view: AttemptsView, stored: Any) -> str:  # noqa: ANN401 - any JSON value
    """The outcome of a stored attempt, by the first of its paths where something stands.

    Raises:
        ValueError: the binding does not name it.
    """
    paths = [view.outcome] if isinstance(view.outcome, str) else view.outcome or []
    found = next((each for path in paths if (each := value_at(stored, path, None)) is not None), None)
    named = view.outcomes.get(word_of(found), word_of(found))
    if named not in OUTCOME_NAMED:
        raise ValueError(f"attempts.outcomes of the binding has no name for {found!r} at {', '.join(paths)}")
    return named


def fits(document: Any, answer: Expected) -> bool:  # noqa: ANN401 - any JSON value
    """Whether an answer's body says what it has to."""
    return all(_is(value_at(document, path, None), wanted) for path, wanted in answer.where.items())


def is_expected(response: Response, answers: Sequence[Expected]) -> bool:
    """Whether a response is one of these; if there are none, whether its status is none of a refusal."""
    if not answers:
        return response.status_code < 400
    try:
        document = document_of(response)
    except NotJsonError:
        document = None
    return any(each.status == response.status_code and fits(document, each) for each in answers)


def _is(found: Any, wanted: Scalar | Presence) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(wanted, Presence):
        return (found is not None) == wanted.exists
    # In JSON true is no number, as it is in Python.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _is_set(flag: Flag, response: Response, document: Any) -> bool:  # noqa: ANN401 - any JSON value
    if flag.header is not None:
        shown, wanted = response.headers.get(flag.header.lower()), flag.text
        if shown is None:
            return False
        # Languages write true in cases of their own: Python's str(True) is "True".
        if wanted.lower() in ("true", "false"):
            shown, wanted = shown.lower(), wanted.lower()
        # A field that is there twice, by a service and its proxy, is one with commas.
        return shown == wanted or all(each.strip() == wanted for each in shown.split(","))
    assert flag.member is not None
    return _is(value_at(document, flag.member, None), flag.value)
