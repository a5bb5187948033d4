"""How a command can fail to be a success. Each of these carries what is needed to go on."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from payments_client.documents import Problem

if TYPE_CHECKING:
    from payments_client.requests import Call

_LONGEST_MESSAGE = 500  # characters


class PaymentsError(Exception):
    """A command that did not succeed.

    Attributes:
        command: its name: ``create``, ``authorize``, ``capture``, ``fail``, ``read`` or ``captures``.
        payment_id: the payment.
        key: the idempotency key of a capture; ``None`` for the other commands.
        request_id: the ``X-Request-ID`` of every attempt, by which the service's log finds them.
        problem: the last problem that was answered; ``None`` if there was none.
    """

    def __init__(self, call: "Call[Any]", message: str, problem: Problem | None) -> None:
        super().__init__(f"{call.command} of payment {call.payment_id}: {_on_one_line(message)}")
        self.command: str = call.command
        self.payment_id: UUID = call.payment_id
        self.key: str | None = call.key
        self.request_id: str = call.request_id
        self.problem: Problem | None = problem


class Refused(PaymentsError):
    """A definite no. A capture that was refused stays refused under its key; a new intent takes a new key.

    But for a payment that is not known, and for too many refusals: nothing is stored of these.

    Attributes:
        problem: why; decide by its ``type``.
        replayed: whether the service had answered this key before: the answer was lost, or asked for again.
    """

    problem: Problem

    def __init__(self, call: "Call[Any]", problem: Problem, *, replayed: bool) -> None:
        super().__init__(call, f"{problem.status} {problem.type}: {problem.detail or problem.title}", problem)
        self.replayed = replayed


class Unavailable(PaymentsError):
    """The service could not be asked, or did not take the request on. Certainly nothing was done."""


class Unknown(PaymentsError):
    """There was no definite answer. The command may have been carried out, or may yet be.

    A capture is taken up again by the same call with this ``key``, now or in a week: it is not carried out
    twice. After an authorization or a failure, read the payment.
    """


def _on_one_line(message: str) -> str:
    """A message that quotes an answer, fit for a log: an answer may have line ends, or be long."""
    printable = "".join(each if each.isprintable() else " " for each in message[:_LONGEST_MESSAGE])
    return printable if len(message) <= _LONGEST_MESSAGE else f"{printable}…"
