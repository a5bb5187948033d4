"""Views: each locks the charge with `select_for_update`; that of a capture then looks up the answer that the
token was given, asks the database for the time, and writes all of it.

`BUG` leaves out the lock, or moves one of the others before it.
"""

import json
import os
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from django.db import IntegrityError, connection, transaction
from django.db.models import DateTimeField, Func
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from charges.models import CaptureRequest, Charge

BUG = os.environ.get("BUG", "")


class ClockTimestamp(Func):
    """The time now; `Now` is that at which the statement began, and it may have waited since."""

    function = "clock_timestamp"
    output_field = DateTimeField()


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


def answer_refusals(get_response):
    """Middleware: what a view refuses is rolled back."""

    def handle(request):
        return get_response(request)

    def process_exception(_request, error):
        if isinstance(error, Refused):
            return JsonResponse({"error": error.code}, status=error.status)
        return None

    handle.process_exception = process_exception
    return handle


def body_of(request, *names):
    body = json.loads(request.body)
    if not isinstance(body, dict) or set(body) != set(names):
        raise Refused(400, "bad_request")
    return body


def total_of(request):
    written = body_of(request, "total")["total"]
    try:
        total = Decimal(written) if isinstance(written, str) else Decimal(0)
    except InvalidOperation:
        total = Decimal(0)
    if not 0 < total < 10**9:
        raise Refused(400, "bad_amount")
    return total


def find(charge_id, charges=Charge.objects):
    try:
        return charges.get(pk=charge_id)
    except Charge.DoesNotExist:
        raise Refused(404, "no_such_charge") from None


def lock(charge_id):
    return find(charge_id, Charge.objects if BUG == "no-lock" else Charge.objects.select_for_update())


def now():
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def shown(charge):
    till = charge.valid_till and charge.valid_till.isoformat()
    paid = charge.paid and f"{charge.paid:.2f}"
    content = {"id": str(charge.id), "total": f"{charge.total:.2f}", "status": charge.status}
    return {"charge": {**content, "valid_till": till, "paid": paid}}


@require_POST
def create(request):
    return JsonResponse(shown(Charge.objects.create(total=total_of(request))), status=201)


def read(_request, charge_id):
    return JsonResponse(shown(find(charge_id)))


@require_POST
def authorize(request, charge_id):
    valid_for_ms = body_of(request, "valid_for_ms")["valid_for_ms"]
    charge = lock(charge_id)
    if charge.status != "new":
        raise Refused(409, f"is_{charge.status}")
    charge.status, charge.valid_till = "authorized", now() + timedelta(milliseconds=valid_for_ms)
    charge.save(update_fields=["status", "valid_till"])
    return JsonResponse(shown(charge))


@require_POST
def capture(request, charge_id):
    total, token = total_of(request), request.headers["X-Request-Token"]
    early = now() if BUG == "clock-before-lock" else None
    requests = CaptureRequest.objects.filter(charge=charge_id, token=token)
    known = requests.first() if BUG == "key-before-lock" else None
    charge = lock(charge_id)
    if BUG != "key-before-lock":
        known = requests.first()
    if known is not None and known.total != total:
        raise Refused(422, "token_was_used")
    if known is not None:
        again = {"X-Again": "yes"}
        return HttpResponse(known.answer, "application/json", known.status, headers=again)
    status, result = decide(charge, total, early or now())
    stored = {"charge": charge, "token": token, "total": total, "status": status}
    try:
        with transaction.atomic():
            CaptureRequest.objects.create(**stored, answer=json.dumps(result))
    except IntegrityError:
        raise Refused(409, "token_is_in_use") from None
    return HttpResponse(json.dumps(result), "application/json", status)


def decide(charge, total, instant):
    if charge.status != "authorized":
        return 409, {"error": f"is_{charge.status}"}
    if instant >= charge.valid_till:
        return 409, {"error": "too_late"}
    if total != charge.total:
        return 409, {"error": "another_total"}
    charge.status, charge.paid = "paid", total
    charge.save(update_fields=["status", "paid"])
    return 200, {"status": "paid"}


@require_POST
def cancel(_request, charge_id):
    charge = lock(charge_id)
    if charge.status != "authorized":
        raise Refused(409, f"is_{charge.status}")
    charge.status = "cancelled"
    charge.save(update_fields=["status"])
    return JsonResponse(shown(charge))


@require_POST
def expire(_request):
    Charge.objects.filter(status="authorized", valid_till__lte=ClockTimestamp()).update(status="cancelled")
    return HttpResponse(status=204)


urlpatterns = [
    path("charges", create),
    path("charges/<uuid:charge_id>", read),
    path("charges/<uuid:charge_id>/authorization", authorize),
    path("charges/<uuid:charge_id>/capture", capture),
    path("charges/<uuid:charge_id>/cancel", cancel),
    path("jobs/expire", expire),
]
