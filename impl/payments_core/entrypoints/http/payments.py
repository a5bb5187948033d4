"""The routes under ``/payments``: parse, call a use case, show the result."""

from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.application.dto import CaptureResult, Created
from payments_core.application.ports import PaymentStore
from payments_core.application.use_cases import (
    AuthorizePayment,
    CapturePayment,
    CreatePayment,
    FailPayment,
    GetPayment,
)
from payments_core.entrypoints.http import parsing, problems, views
from payments_core.entrypoints.http.observed import CAPTURE
from payments_core.entrypoints.http.resources import JSON, read, resource, written


@dataclass(frozen=True)
class PaymentRoutes:
    """The endpoints of payments over one store."""

    create: CreatePayment
    get: GetPayment
    authorize: AuthorizePayment
    capture: CapturePayment
    fail: FailPayment

    @classmethod
    def over(cls, store: PaymentStore, max_stored_refusals: int) -> "PaymentRoutes":
        """The endpoints whose use cases work on ``store``."""
        return cls(
            create=CreatePayment(store),
            get=GetPayment(store),
            authorize=AuthorizePayment(store),
            capture=CapturePayment(store, views.capture_answer, max_stored_refusals),
            fail=FailPayment(store),
        )

    def routes(self) -> list[Route]:
        """Path and method to endpoint."""
        one = "/payments/{payment_id}"
        return [  # tried in this order: what is asked most comes first
            resource(f"{one}/captures", GET=self.list_captures, POST=self.capture_payment),
            resource("/payments", GET=self.list_payments, POST=self.create_payment),
            resource(one, GET=self.get_payment, PUT=self.put_payment),
            resource(f"{one}/authorize", POST=self.authorize_payment),
            resource(f"{one}/fail", POST=self.fail_payment),
        ]

    async def list_payments(self, request: Request) -> Response:
        """``GET /payments``: a page of payments in order of creation."""
        after, limit = parsing.page(request, parsing.decode_cursor)
        found = views.page(await self.get.page(after, limit))
        return read(found, _link(request, limit, found.next))

    async def create_payment(self, request: Request) -> Response:
        """``POST /payments``: create a payment under a new id."""
        wanted = await parsing.body(request, parsing.AmountRequest)
        return _created(await self.create(uuid4(), wanted.amount))

    async def put_payment(self, request: Request) -> Response:
        """``PUT /payments/{id}``: create a payment under the client's id; safe to repeat."""
        payment_id = parsing.payment_id(request)
        wanted = await parsing.body(request, parsing.AmountRequest)
        return _created(await self.create(payment_id, wanted.amount))

    async def get_payment(self, request: Request) -> Response:
        """``GET /payments/{id}``: the payment as it stands, with the database's time of the look."""
        return read(views.payment(await self.get(parsing.payment_id(request))))

    async def authorize_payment(self, request: Request) -> Response:
        """``POST /payments/{id}/authorize``: authorize, and open the capture window."""
        payment_id = parsing.payment_id(request)
        wanted = await parsing.body(request, parsing.AuthorizeRequest)
        return written(views.payment(await self.authorize(payment_id, wanted.window)))

    async def capture_payment(self, request: Request) -> Response:
        """``POST /payments/{id}/captures``: capture, at most once, idempotent by key."""
        payment_id = parsing.payment_id(request)
        key = parsing.idempotency_key(request)
        wanted = await parsing.body(request, parsing.AmountRequest)
        result = request.scope[CAPTURE] = await self.capture(payment_id, key, wanted.amount)
        return _captured(result)

    async def list_captures(self, request: Request) -> Response:
        """``GET /payments/{id}/captures``: a page of stored attempts in the order of their decisions."""
        payment_id = parsing.payment_id(request)
        after, limit = parsing.page(request, parsing.place)
        found = views.attempts(await self.get.attempts(payment_id, after or 0, limit))
        return read(found, _link(request, limit, found.next))

    async def fail_payment(self, request: Request) -> Response:
        """``POST /payments/{id}/fail``: decline or void."""
        payment_id = parsing.payment_id(request)
        wanted = await parsing.body(request, parsing.FailReason)
        return written(views.payment(await self.fail(payment_id, wanted.failure_reason)))


def _link(request: Request, limit: int, following: str | None) -> dict[str, str] | None:
    if following is None:
        return None
    return {"Link": f'<{request.scope["path"]}?limit={limit}&after={following}>; rel="next"'}


def _created(created: Created) -> Response:
    location = f"/payments/{created.snapshot.payment.payment_id}"
    document = views.payment(created.snapshot)
    return written(document, 201, {"Location": location}) if created.is_new else written(document)


def _captured(result: CaptureResult) -> Response:
    return Response(
        result.answer.body,
        result.answer.status,
        {"Idempotent-Replayed": "true"} if result.replayed else None,
        media_type=JSON if result.answer.status < 400 else problems.MEDIA_TYPE,
    )
