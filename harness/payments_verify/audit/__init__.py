"""The audit: every payment's past in a live database, replayed through the model and compared with its rows.

``rows`` is what is read, ``replay`` applies a payment's events to the model, ``compare`` holds the rows to
what comes of that, and ``rules`` names the invariant that a difference breaks: pure functions. ``snapshot``
and ``stream`` read one snapshot of a database in the order of the payments, ``worker`` is the process that
audits a share of it, and ``run`` starts the workers and sums up.
"""

from payments_verify.audit.findings import AuditError, AuditReport, Finding
from payments_verify.audit.run import audit, complaint

__all__ = ["AuditError", "AuditReport", "Finding", "audit", "complaint"]
