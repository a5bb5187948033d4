"""A service of another shape, in memory: forms, ids and keys of a form, orders before payments, no windows.

A capture names no amount, and a payment may be cancelled before it is authorized. With `AMOUNTS` a capture
names one, which is looked at after the key. With `SECRET` every POST has to be signed with it. With `ACCOUNT`
a key that one payment has used is refused for others. With `HOLDS` a creation authorizes, too.
With `RPC` every refusal has the status 200. With `KEEPS` the answer to an amount that is none is kept, too.
With `LOGIN` every other request needs the token of a
session, which a login gives that is answered 200 whatever is wrong with it.

`BUG` makes it wrong: `twice` captures again under another key, `forgets` captures again under the same key,
`revives` authorizes what was cancelled, and `forgives` repeats the answer to an amount that is none.
"""

from __future__ import annotations

import hmac
import os
import re
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

BUG, SECRET = os.environ.get("BUG", ""), os.environ.get("SECRET", "")
AMOUNTS = bool(os.environ.get("AMOUNTS"))
HOLDS = bool(os.environ.get("HOLDS"))
ACCOUNT = bool(os.environ.get("ACCOUNT"))
RPC = bool(os.environ.get("RPC"))
KEEPS = bool(os.environ.get("KEEPS"))
LOGIN = os.environ.get("LOGIN", "")
AMOUNT = re.compile("[1-9][0-9]{0,8}")
sessions: set[str] = set()
customers: set[str] = set()
orders: set[str] = set()
payments: dict[str, dict[str, Any]] = {}
asked: dict[tuple[str, str], str] = {}
answers: dict[tuple[str, str], JSONResponse] = {}


def refused(status: int, code: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code}}, 200 if RPC else status)


async def customer(request: Request) -> JSONResponse:
    await require_signature(request)
    customers.add(made := f"cus_{uuid4().hex}")
    return JSONResponse({"data": {"id": made}}, 201)


async def login(request: Request) -> JSONResponse:
    if dict(parse_qsl((await request.body()).decode())).get("password") != LOGIN:
        return JSONResponse({"outcome": "refused", "token": "none"})
    sessions.add(made := uuid4().hex)
    return JSONResponse({"outcome": "welcome", "token": made})


def require_session(request: Request) -> None:
    if LOGIN and request.headers.get("authorization", "").removeprefix("Bearer ") not in sessions:
        raise HTTPException(401, "log in")


async def require_signature(request: Request) -> None:
    require_session(request)
    signed = f"{request.method} {request.url.path}\n".encode() + await request.body()
    right = hmac.new(SECRET.encode(), signed, "sha256").hexdigest()
    if request.method == "POST" and SECRET and request.headers.get("x-signature") != right:
        raise HTTPException(401, "the signature is wrong")


async def order(request: Request) -> JSONResponse:
    await require_signature(request)
    if request.headers.get("x-shop") not in customers:
        return refused(401, "no_customer")
    orders.add(made := f"ord_{uuid4().hex}")
    return JSONResponse({"id": made}, 201)


async def create(request: Request) -> JSONResponse:
    await require_signature(request)
    form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    written, placed = form.get("money[cents]", ""), form.get("order[items][0][id]", "")
    if placed not in orders or form.get("test") != "true":
        return refused(400, "no_order")
    orders.remove(placed)
    if AMOUNT.fullmatch(written) is None:
        return refused(400, "no_amount")
    made = f"pay_{uuid4().hex[:20]}"
    payments[made] = {"id": made, "status": "held" if HOLDS else "new", "cents": int(written)}
    return JSONResponse(payments[made], 201)


async def act(request: Request) -> JSONResponse:
    await require_signature(request)
    payment, action = payments.get(request.path_params["id"]), request.path_params["action"]
    if payment is None:
        return refused(404, "no_payment")
    if action == "capture":
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if re.fullmatch("k-[0-9a-f]{14}", request.headers["idempotency-key"]) is None:
            return refused(400, "no_key")
        return captured(payment, request.headers["idempotency-key"], form.get("cents", ""))
    expected = {"authorize": {"new"}, "cancel": {"new", "held"}}[action]
    if BUG == "revives" and action == "authorize":
        expected = {"new", "cancelled"}
    if payment["status"] not in expected:
        return refused(409, f"is_{payment['status']}")
    payment["status"] = {"authorize": "held", "cancel": "cancelled"}[action]
    return JSONResponse(payment)


def captured(payment: dict[str, Any], key: str, cents: str) -> JSONResponse:
    place = (payment["id"], key)
    if ACCOUNT and any(used == key and other != payment["id"] for other, used in answers):
        return refused(422, "key_reused")
    if place in answers and BUG != "forgets":
        is_same = cents == asked[place] or (BUG == "forgives" and not AMOUNT.fullmatch(cents))
        return answers[place] if is_same else refused(422, "key_reused")
    if AMOUNTS and not AMOUNT.fullmatch(cents):
        if KEEPS:
            asked[place], answers[place] = cents, refused(400, "no_amount")
        return refused(400, "no_amount")
    asked[place] = cents
    if payment["status"] != "held" and not (BUG == "twice" and payment["status"] == "paid"):
        answers[place] = refused(409, f"is_{payment['status']}")
        return answers[place]
    if AMOUNTS and int(cents) != payment["cents"]:
        answers[place] = refused(422, "another_amount")
        return answers[place]
    payment["status"] = "paid"
    answers[place] = JSONResponse({"captured": True})
    return answers[place]


async def read(request: Request) -> JSONResponse:
    require_session(request)
    payment = payments.get(request.path_params["id"])
    return refused(404, "no_payment") if payment is None else JSONResponse(payment)


app = Starlette(
    routes=[
        Route("/login", login, methods=["POST"]),
        Route("/customers", customer, methods=["POST"]),
        Route("/orders", order, methods=["POST"]),
        Route("/payments", create, methods=["POST"]),
        Route("/payments/{id}", read),
        Route("/payments/{id}/{action}", act, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
