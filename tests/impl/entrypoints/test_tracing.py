"""Traces: a span for each request and each wait, within the caller's trace, and nothing secret."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.tracing import Traced, TracedWaits
from payments_core.entrypoints.wiring import guarded, postgres_store
from tests.support.loopback import DIRECT
from tests.support.postgres import Database
from tests.support.processes import invoke, serving
from tests.support.stores import PostgresKit

TRACE = "0af7651916cd43dd8448eb211c80319c"
LIMIT_S = 30.0


@pytest.mark.anyio
async def test_a_request_is_a_span_of_the_callers_trace(postgres: PostgresKit) -> None:
    exporter, provider, metrics = InMemorySpanExporter(), TracerProvider(), Metrics()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    store = postgres_store(postgres.pool, waits=TracedWaits(metrics, tracer))
    app = guarded(create_app(store), Settings(), metrics)
    transport = httpx.ASGITransport(Traced(app, app.routes, tracer))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        path = f"/payments/{uuid4()}"
        await http.put(path, json={"amount_cents": 500})
        await http.post(f"{path}/authorize", json={"capture_window_seconds": 600})
        exporter.clear()
        fields = {"Idempotency-Key": "secret", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = await http.post(f"{path}/captures", json={"amount_cents": 500}, headers=fields)
        await http.get("/nowhere")
    lock, request, unknown = exporter.get_finished_spans()
    assert request.name == "POST /payments/{payment_id}/captures"
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["http.request.id"] == answer.headers["x-request-id"]
    assert context_of(request) == (TRACE, 0xB7AD6B7169203331)
    assert lock.name == "lock the payment"
    assert context_of(lock) == (TRACE, request.context.span_id if request.context else 0)
    assert unknown.name == "GET"
    assert unknown.status.status_code is StatusCode.UNSET
    assert not any("secret" in span.to_json() or path in span.to_json() for span in (lock, request, unknown))


def context_of(span: ReadableSpan) -> tuple[str, int]:
    assert span.context is not None
    assert span.parent is not None
    return f"{span.context.trace_id:032x}", span.parent.span_id


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Something that takes in traces; its address, and what came."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            is_zipped = self.headers.get("content-encoding") == "gzip"
            received.append(gzip.decompress(body) if is_zipped else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_service_sends_them_where_the_environment_says(shared_database: Database, tmp_path: Path) -> None:
    with collector() as (url, received):
        settings = {"PAYMENTS_TRACING": "yes", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        with serving(tmp_path, DATABASE_URL=shared_database.dsn, **settings) as server:
            answer = httpx.post(f"{server.url}/payments", json={"amount_cents": 5}, timeout=LIMIT_S, **DIRECT)
            assert answer.status_code == 201
            assert server.stop() == 0
            assert "Traceback" not in server.printed
    sent = b"".join(received)
    for expected in (b"POST /payments", b"wait for a connection", b"payments-core"):
        assert expected in sent
    assert answer.headers["x-request-id"].encode() in sent


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments_core.entrypoints.commands.find_spec", lambda _: None)
    ended = invoke(["serve", "--port", "0"], {"PAYMENTS_TRACING": "yes"})
    assert ended.exit_code == 2
    assert "install payments-core with its extra 'otel'" in ended.stderr
