"""A service of another shape, in memory: forms, ids and keys of a form, orders before payments, no windows.

A capture names no amount, and a payment may be cancelled before it is authorized. `BUG` makes it wrong:
`twice` captures again under another key, `forgets` captures again under the same key, and `revives`
authorizes what was cancelled.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

BUG = os.environ.get("BUG", "")
customers: set[str] = set()
orders: set[str] = set()
payments: dict[str, dict[str, Any]] = {}
answers: dict[tuple[str, str], JSONResponse] = {}


def refused(status: int, code: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code}}, status)


async def customer(_request: Request) -> JSONResponse:
    customers.add(made := f"cus_{uuid4().hex}")
    return JSONResponse({"data": {"id": made}}, 201)


async def order(request: Request) -> JSONResponse:
    if request.headers.get("x-shop") not in customers:
        return refused(401, "no_customer")
    orders.add(made := f"ord_{uuid4().hex}")
    return JSONResponse({"id": made}, 201)


async def create(request: Request) -> JSONResponse:
    form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    written, placed = form.get("money[cents]", ""), form.get("order[items][0][id]", "")
    if placed not in orders or form.get("test") != "true":
        return refused(400, "no_order")
    orders.remove(placed)
    if re.fullmatch("[1-9][0-9]{0,8}", written) is None:
        return refused(400, "no_amount")
    made = f"pay_{uuid4().hex[:20]}"
    payments[made] = {"id": made, "status": "new", "cents": int(written)}
    return JSONResponse(payments[made], 201)


async def act(request: Request) -> JSONResponse:
    payment, action = payments.get(request.path_params["id"]), request.path_params["action"]
    if payment is None:
        return refused(404, "no_payment")
    if action == "capture":
        return captured(payment, request.headers["idempotency-key"])
    expected = {"authorize": {"new"}, "cancel": {"new", "held"}}[action]
    if BUG == "revives" and action == "authorize":
        expected = {"new", "cancelled"}
    if payment["status"] not in expected:
        return refused(409, f"is_{payment['status']}")
    payment["status"] = {"authorize": "held", "cancel": "cancelled"}[action]
    return JSONResponse(payment)


def captured(payment: dict[str, Any], key: str) -> JSONResponse:
    if re.fullmatch("k-[0-9a-f]{14}", key) is None:
        return refused(400, "no_key")
    place = (payment["id"], key)
    if place in answers and BUG != "forgets":
        return answers[place]
    if payment["status"] != "held" and not (BUG == "twice" and payment["status"] == "paid"):
        answers[place] = refused(409, f"is_{payment['status']}")
        return answers[place]
    payment["status"] = "paid"
    answers[place] = JSONResponse({"captured": True})
    return answers[place]


async def read(request: Request) -> JSONResponse:
    payment = payments.get(request.path_params["id"])
    return refused(404, "no_payment") if payment is None else JSONResponse(payment)


app = Starlette(
    routes=[
        Route("/customers", customer, methods=["POST"]),
        Route("/orders", order, methods=["POST"]),
        Route("/payments", create, methods=["POST"]),
        Route("/payments/{id}", read),
        Route("/payments/{id}/{action}", act, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
