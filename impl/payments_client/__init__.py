"""A client of the service: typed, and safe to send again.

What succeeds is returned. What does not is raised, as one of three: `Refused` is a definite answer,
`Unavailable` says that nothing was done, and `Unknown` that nobody can say, with the key by which a capture
is taken up again. It knows the service by its HTTP interface alone, and imports nothing of it.
"""

from payments_client.asynchronous import AsyncPaymentsClient
from payments_client.blocking import PaymentsClient
from payments_client.documents import Capture, CaptureAttempt, Payment, Problem
from payments_client.errors import PaymentsError, Refused, Unavailable, Unknown
from payments_client.requests import new_key
from payments_client.retries import Policy

__all__ = [
    "AsyncPaymentsClient",
    "Capture",
    "CaptureAttempt",
    "Payment",
    "PaymentsClient",
    "PaymentsError",
    "Policy",
    "Problem",
    "Refused",
    "Unavailable",
    "Unknown",
    "new_key",
]
