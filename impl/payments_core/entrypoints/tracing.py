"""OpenTelemetry traces, for those who install the extra ``otel`` and turn them on.

A span for each request, a part of the caller's trace if the request names one (W3C ``traceparent``), and
in it one for each wait: for a connection, and for the payment's lock. Where they go, the ``OTEL_*`` variables
say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_core.entrypoints.http.observed import REQUEST_ID
from payments_core.infrastructure.postgres.pool import Waits

_SECOND_NS = 1_000_000_000


def provider() -> TracerProvider:
    """Sends spans by OTLP over HTTP, in batches; to be shut down, so that the last batch is sent."""
    resource = Resource({SERVICE_NAME: "payments-core"}).merge(OTELResourceDetector().detect())
    made = TracerProvider(resource=resource)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


class Traced:
    """A span around each request. Outermost, so that everything belongs to it.

    Args:
        app: what is served.
        routes: from endpoints to the templates of their paths.
        tracer: makes the spans.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[Any, str], tracer: trace.Tracer) -> None:
        self._app = app
        self._routes = routes
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate"}
        }
        with self._tracer.start_as_current_span(
            scope["method"], context=extract(carrier), kind=SpanKind.SERVER
        ) as span:

            async def seen(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await self._app(scope, receive, seen)
            finally:
                route = self._routes.get(scope.get("endpoint"))
                span.update_name(f"{scope['method']} {route}" if route else scope["method"])
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.request.id", scope.get(REQUEST_ID, ""))
                if route:
                    span.set_attribute("http.route", route)


class TracedWaits:
    """Makes a span of each wait, and tells the next.

    Args:
        waits: told of the same.
        tracer: makes the spans.
    """

    def __init__(self, waits: Waits, tracer: trace.Tracer) -> None:
        self._waits = waits
        self._tracer = tracer

    def pool_wait(self, seconds: float) -> None:
        """For a connection."""
        self._span("wait for a connection", seconds)
        self._waits.pool_wait(seconds)

    def lock_wait(self, seconds: float) -> None:
        """For a payment's lock."""
        self._span("lock the payment", seconds)
        self._waits.lock_wait(seconds)

    def conflict(self) -> None:
        """A transaction was taken back."""
        trace.get_current_span().add_event("conflict")
        self._waits.conflict()

    def _span(self, name: str, seconds: float) -> None:
        end = time.time_ns()
        began = end - round(seconds * _SECOND_NS)
        self._tracer.start_span(name, kind=SpanKind.CLIENT, start_time=began).end(end)
